"""Findings and a caller's sentences as questions; each fault of a caller has its message."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_store.manifest import Calibration, Finding, Manifest
from model_store.prompts import (
    MAX_JSON_CHARS,
    BadPrompts,
    Question,
    UnknownFinding,
    all_sentences,
    prompts_digest,
    questions_for,
    read_prompt_set,
)
from tests.tiny_model import FINDINGS, make_tiny_model

CALIBRATED = Finding(
    name="cancer",
    positive=("malignancy", "malignancy"),
    negative=("no malignancy",),
    calibration=Calibration(slope=1.5, intercept=0),
    threshold=0.3,
)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    root: Path = tmp_path_factory.mktemp("models")
    return make_tiny_model(root, findings=(*FINDINGS, CALIBRATED)).manifest


def _ask(manifest: Manifest, prompts: object) -> tuple[Question, ...]:
    return questions_for(manifest, findings=None, prompts_json=json.dumps(prompts))


@pytest.mark.parametrize("findings", [None, []])
def test_nothing_asked_is_every_finding_of_the_model(
    manifest: Manifest, findings: list[str] | None
) -> None:
    questions = questions_for(manifest, findings=findings, prompts_json=None)
    assert [question.name for question in questions] == [
        "mass",
        "suspicious calcification",
        "cancer",
    ]
    assert all(question.is_finding for question in questions)


def test_a_finding_brings_its_sentences_once_its_calibration_and_its_threshold(
    manifest: Manifest,
) -> None:
    (cancer,) = questions_for(manifest, findings=["cancer"], prompts_json=None)
    assert cancer.positive == ("malignancy",)
    assert cancer.negative == ("no malignancy",)
    assert cancer.calibration == CALIBRATED.calibration
    assert cancer.threshold == 0.3


def test_findings_come_in_the_order_asked_and_once(manifest: Manifest) -> None:
    asked = ["cancer", "mass", "cancer"]
    questions = questions_for(manifest, findings=asked, prompts_json=None)
    assert [question.name for question in questions] == ["cancer", "mass"]


def test_a_bare_sentence_is_opposed_by_the_models_default_negative(manifest: Manifest) -> None:
    (question,) = _ask(manifest, ["a round mass"])
    assert question == Question(
        name="a round mass", positive=("a round mass",), negative=("normal breast",)
    )


def test_prompts_alone_are_the_prompts_alone_and_findings_add_to_them(manifest: Manifest) -> None:
    both = questions_for(manifest, findings=["mass"], prompts_json='["a cyst"]')
    assert [question.name for question in _ask(manifest, ["a cyst"])] == ["a cyst"]
    assert [(q.name, q.is_finding) for q in both] == [("mass", True), ("a cyst", False)]


def test_an_object_brings_its_own_negatives_and_name(manifest: Manifest) -> None:
    (question,) = _ask(
        manifest, [{"name": "cyst", "positive": ["a cyst", "cyst"], "negative": "no cyst"}]
    )
    assert question == Question(name="cyst", positive=("a cyst", "cyst"), negative=("no cyst",))


def test_an_object_without_name_and_negative_is_as_good_as_a_sentence(manifest: Manifest) -> None:
    assert _ask(manifest, [{"positive": "a cyst"}]) == _ask(manifest, ["a cyst"])


def test_sentences_are_composed_and_stripped(manifest: Manifest) -> None:
    (question,) = _ask(manifest, ["  no\N{COMBINING ACUTE ACCENT}dulo "])
    assert question.positive == ("n\N{LATIN SMALL LETTER O WITH ACUTE}dulo",)


def test_an_unknown_finding_lists_the_known(manifest: Manifest) -> None:
    with pytest.raises(UnknownFinding, match="no finding 'cyst'; it has: mass, susp") as caught:
        questions_for(manifest, findings=["mass", "cyst"], prompts_json=None)
    assert caught.value.known == ["mass", "suspicious calcification", "cancer"]


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ("mass", r"prompts: expected a JSON list .* got a string; put it in \[ and \]"),
        ({"positive": "mass"}, r"prompts: .* got an object; put it in \[ and \]"),
        (None, "prompts: .* got null"),
        ([], "prompts: expected 1 to 64 prompts, got 0; write one"),
        (["a"] * 65, "prompts: expected 1 to 64 prompts, got 65; ask in several requests"),
        ([3], r"prompts\[0\]: expected a sentence or an object, got a number; write"),
        ([["mass"]], r"prompts\[0\]: .* got a list"),
        ([None], r"prompts\[0\]: .* got null"),
        ([{}], r"prompts\[0\]: expected \"positive\", .* got no \"positive\"; say what"),
        ([{"negative": "x"}], 'got no "positive"'),
        ([{"positive": "x", "neg": "y"}], "got the key 'neg'; leave it out"),
        ([{"positive": 5}], r"prompts\[0\].positive: expected a sentence .* got a number"),
        ([{"positive": []}], r"prompts\[0\].positive: expected 1 to 16 sentences, got 0"),
        ([{"positive": ["x"] * 17}], "expected 1 to 16 sentences, got 17; keep those"),
        ([{"positive": ["x", True]}], r"positive\[1\]: .* got true or false; write it in"),
        ([{"positive": "x", "negative": None}], r"prompts\[0\].negative: .* got null"),
        ([{"positive": "x", "name": 1}], r"prompts\[0\].name: .* got a number"),
        ([""], r"prompts\[0\]: expected a sentence .* got nothing but space; write one"),
        (["x" * 513], "expected a sentence of 1 to 512 characters, got 513 characters; shorten"),
        (["a\nb"], r"without control characters, got U\+000A; take it out"),
        (["a\0b"], r"got U\+0000"),
        (["a\N{RIGHT-TO-LEFT OVERRIDE}b"], r"got U\+202E"),
        (["a\N{LINE SEPARATOR}b"], r"got U\+2028"),
        (["a\ud800"], r"got U\+D800"),
        (["mass", "mass"], "expected a name of its own for each question, got 'mass' twice"),
        (
            [{"positive": [f"{i} {j}" for j in range(16)]} for i in range(17)],
            "expected at most 256 different sentences in all, got 273; ask in several",
        ),
    ],
)
def test_a_bad_prompt_is_told_what_was_expected_what_came_and_what_to_do(
    manifest: Manifest, prompts: object, message: str
) -> None:
    with pytest.raises(BadPrompts, match=message):
        _ask(manifest, prompts)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "[" + "9" * 10_000 + "]", "['mass']"])
def test_what_is_no_json_is_refused_however_deep(manifest: Manifest, text: str) -> None:
    with pytest.raises(BadPrompts, match="got no JSON; write"):
        questions_for(manifest, findings=None, prompts_json=text)


def test_a_text_too_long_is_refused_before_it_is_parsed(manifest: Manifest) -> None:
    with pytest.raises(BadPrompts, match="expected at most 262144 characters, got 262145"):
        questions_for(manifest, findings=None, prompts_json=" " * (MAX_JSON_CHARS + 1))


def test_a_prompt_named_as_an_asked_finding_is_refused(manifest: Manifest) -> None:
    with pytest.raises(BadPrompts, match="'mass' twice; give one of them another"):
        questions_for(manifest, findings=["mass"], prompts_json='["mass"]')


def test_a_callers_word_comes_back_short_and_in_ascii(manifest: Manifest) -> None:
    with pytest.raises(UnknownFinding) as caught:
        questions_for(manifest, findings=["\N{SNOWMAN}" * 10_000], prompts_json=None)
    assert str(caught.value).isascii()
    assert len(str(caught.value)) < 600


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_a_question_or_a_refusal(text: str) -> None:
    manifest = Manifest.model_construct(findings=(), default_negative=("normal breast",))
    for prompts_json in (text, json.dumps([text]), json.dumps([{"positive": text}])):
        try:
            questions = questions_for(manifest, findings=None, prompts_json=prompts_json)
        except BadPrompts:
            continue
        for sentence in all_sentences(questions):
            sentence.encode()


def test_every_sentence_is_listed_once_in_order() -> None:
    questions = (
        Question(name="a", positive=("x", "y"), negative=("z",)),
        Question(name="b", positive=("w",), negative=("z", "x")),
    )
    assert all_sentences(questions) == ("x", "y", "z", "w")


def test_the_digest_does_not_depend_on_any_order(manifest: Manifest) -> None:
    one = [{"name": "n", "positive": ["a", "b"], "negative": ["c"]}, "d"]
    other = ["d", {"negative": ["c"], "positive": ["b", "a"], "name": "n"}]
    assert prompts_digest(_ask(manifest, one)) == prompts_digest(_ask(manifest, other))


@pytest.mark.parametrize(
    "other",
    [
        {"name": "n", "positive": ["a"], "negative": ["c"]},
        {"name": "n", "positive": ["a", "b"], "negative": ["d"]},
        {"name": "m", "positive": ["a", "b"], "negative": ["c"]},
        {"name": "n", "positive": ["a,b"], "negative": ["c"]},
        {"name": "n", "positive": ["c"], "negative": ["a", "b"]},
    ],
)
def test_the_digest_tells_other_sentences_and_names_apart(
    manifest: Manifest, other: object
) -> None:
    one = {"name": "n", "positive": ["a", "b"], "negative": ["c"]}
    assert prompts_digest(_ask(manifest, [one])) != prompts_digest(_ask(manifest, [other]))


def test_the_digest_of_a_known_question_stays_what_it_is() -> None:
    question = Question(name="mass", positive=("mass",), negative=("no mass",))
    # printf '[["mass",["mass"],["no mass"]]]' | sha256sum
    assert prompts_digest([question]) == DIGEST_OF_MASS


DIGEST_OF_MASS = "4bdbf90ce57af898edc68adf9e37933a80dd70adee40aabc86b8f6f70187c8f3"


def test_the_prompt_sets_of_the_package_can_be_read() -> None:
    phantom = [finding.name for finding in read_prompt_set("phantom").findings]
    mammography = [finding.name for finding in read_prompt_set("mammography").findings]
    assert phantom[:2] == ["mass", "suspicious calcification"]
    assert set(mammography) - set(phantom) == {"malignancy", "skin retraction"}
    assert read_prompt_set("phantom").default_negative


def test_every_prompt_of_the_package_keeps_the_rules_for_callers(manifest: Manifest) -> None:
    for name in ("phantom", "mammography"):
        prompts = [
            {"name": f.name, "positive": list(f.positive), "negative": list(f.negative)}
            for f in read_prompt_set(name).findings
        ]
        for question, prompt in zip(_ask(manifest, prompts), prompts, strict=True):
            assert list(question.positive) == prompt["positive"]
            assert not set(question.positive) & set(question.negative)


def test_an_unknown_prompt_set_lists_the_known() -> None:
    with pytest.raises(ValueError, match="known: mammography, phantom"):
        read_prompt_set("../models")
