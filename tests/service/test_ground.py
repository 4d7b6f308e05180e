"""POST /v1/ground: a report comes apart, and each sentence is found in each image."""

import contextlib
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.errors import InvalidParameter
from service.heat_maps import MAX_PLACES
from service.heat_parameters import MAX_REPORT_CHARS
from service.heat_schemas import GroundAnswer
from service.queue import heat
from service.reports import MAX_SENTENCES, sentences_of
from tests import bad_dicom
from tests.service.bright_study import bright, overlap, service, square
from tests.service.live import DICOM, Files, Live, files, problem

__all__ = ["service"]

MARKER = square(0.4, 0.4)
REPORT = """COMPARISON: none.
FINDINGS: There is a mass of 1.5 cm, e.g. a cyst, seen by Dr. Smith. No calcification
in the other breast.
- the skin is normal
IMPRESSION: a mass."""


def ground(
    service: Live, report: str | None = REPORT, sent: Files | None = None, **fields: Any
) -> httpx.Response:
    data = fields if report is None else {"report": report, **fields}
    return service.client.post("/v1/ground", files=sent or study(), data=data)


def study() -> Files:
    return files(bright(None, laterality="R"), bright(MARKER))


def sentences(response: httpx.Response) -> list[tuple[str | None, str]]:
    assert response.status_code == 200, response.text
    return [(one["section"], one["text"]) for one in response.json()["sentences"]]


def test_a_report_is_grounded_sentence_by_sentence(service: Live) -> None:
    response = ground(service)
    assert sentences(response) == [
        ("comparison", "none."),
        ("findings", "There is a mass of 1.5 cm, e.g. a cyst, seen by Dr. Smith."),
        ("findings", "No calcification in the other breast."),
        ("findings", "the skin is normal"),
        ("impression", "a mass."),
    ]
    answer = response.json()
    GroundAnswer.model_validate(answer)
    assert answer["negative"] == ["normal breast"]
    for sentence in answer["sentences"]:
        assert [one["image"] for one in sentence["images"]] == [0, 1]


def test_a_sentence_names_its_best_image_and_its_place_in_it(service: Live) -> None:
    answer = ground(service).json()
    mass = answer["sentences"][4]
    assert mass["best_image"] == 1
    negative, positive = mass["images"]
    assert (negative["present"], negative["boxes"]) == (False, [])
    assert positive["score"] > 0.9 > negative["score"]
    assert overlap(positive["boxes"][0]["pixels"], MARKER) > 0.75


def test_grids_and_overlays_come_where_they_are_asked_for(service: Live) -> None:
    plain = ground(service, "A mass.").json()["sentences"][0]["images"][1]
    assert (plain["grid"], plain["overlay"]) == (None, None)
    both = ground(service, "A mass.", include="grid,overlay").json()["sentences"][0]["images"][1]
    assert both["grid"]["rows"] == 32
    assert both["overlay"]["width_px"] > 100


def test_sections_may_come_as_json(service: Live) -> None:
    report = json.dumps({"impression": "A mass.", "findings": "No mass. It is normal."})
    assert sentences(ground(service, report)) == [
        ("findings", "No mass."),
        ("findings", "It is normal."),
        ("impression", "A mass."),
    ]


def test_the_answer_says_by_digest_what_was_asked(service: Live) -> None:
    asked = [["1", ["a mass."], ["normal breast"]], ["2", ["it is new."], ["normal breast"]]]
    content = json.dumps(asked, separators=(",", ":")).encode()
    found = ground(service, "a mass. it is new.").json()["prompts_digest"]
    assert found == hashlib.sha256(content).hexdigest()
    assert ground(service, "a mass. it is old.").json()["prompts_digest"] != found


def test_a_long_report_is_grounded_in_rounds_with_each_sentence_at_its_place(
    service: Live,
) -> None:
    report = "No mass. " * (2 * heat.MAX_SENTENCES) + "A mass. No calcification. A mass."
    before = service.metric("mammo_cache_requests_total", kind="heat", result="miss")
    answer = ground(service, report).json()
    after = service.metric("mammo_cache_requests_total", kind="heat", result="miss")
    assert after - before == 2 * 2  # of two images: the second round asks what the first did
    assert len(answer["sentences"]) == 2 * heat.MAX_SENTENCES + 3
    short = ground(service, "A mass. No mass. No calcification.").json()["sentences"]
    expected = {one["text"]: one["images"] for one in short}
    for sentence in answer["sentences"]:
        for one, known in zip(sentence["images"], expected[sentence["text"]], strict=True):
            assert one["score"] == pytest.approx(known["score"], abs=1e-6)
            assert one["boxes"] == known["boxes"]


def test_as_many_sentences_as_are_documented_are_answered(service: Live) -> None:
    found = sentences(ground(service, "A mass. " * MAX_SENTENCES))
    assert found == [(None, "A mass.")] * MAX_SENTENCES


def test_the_page_on_the_api_names_the_bounds_of_a_report() -> None:
    page = " ".join((Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8").split())
    for said in (
        f"{MAX_REPORT_CHARS:,} characters",
        f"{MAX_SENTENCES} sentences",
        f"{MAX_PLACES} places",
        f"each {heat.MAX_SENTENCES} sentences",
    ):
        assert said in page


def test_a_sentence_that_is_too_long_is_told_and_costs_the_others_nothing(service: Live) -> None:
    long = "mass " * 103 + "."
    answer = ground(service, f"{long} A mass. It is new.").json()
    GroundAnswer.model_validate(answer)
    first, second, third = answer["sentences"]
    assert first == {
        "text": " ".join(long.split()),
        "section": None,
        "not_grounded": "too_long",
        "best_image": None,
        "images": [],
    }
    assert (second["not_grounded"], second["best_image"]) == (None, 1)
    assert overlap(second["images"][1]["boxes"][0]["pixels"], MARKER) > 0.75
    assert third["text"] == "It is new."
    assert len(third["images"]) == 2


def test_a_sentence_is_as_long_as_its_composed_form(service: Live) -> None:
    (sentence,) = ground(service, "e\u0301" * 512).json()["sentences"]
    assert sentence["text"] == "\u00e9" * 512
    assert sentence["not_grounded"] is None


@pytest.mark.parametrize("sign", ["\ufeff", "\u00ad", "\u200d", "\u200b", "\u202e"])
def test_a_sign_that_nobody_sees_costs_nothing(service: Live, sign: str) -> None:
    assert sentences(ground(service, f"{sign}A ma{sign}ss.{sign} It is{sign} new.")) == [
        (None, "A mass."),
        (None, "It is new."),
    ]
    report = json.dumps({"findings": f"A ma{sign}ss."})
    assert sentences(ground(service, sign + report)) == [("findings", "A mass.")]


def test_half_a_character_in_json_is_left_out(service: Live) -> None:
    long = "mass " * 110
    report = f'{{"findings": "A mass.\\ud800 {long}\\ud83d."}}'
    assert [text for _, text in sentences(ground(service, report))] == [
        "A mass.",
        f"{long.strip()} .",
    ]


@pytest.mark.parametrize(
    ("report", "first"),
    [
        ("{R} There is a mass.", "{R} There is a mass."),
        ('{"findings": "A mass."', '{"findings": "A mass."'),
        ("{1} of 2: A mass.", "{1} of 2: A mass."),
    ],
)
def test_a_text_that_begins_with_a_brace_is_a_text(service: Live, report: str, first: str) -> None:
    assert sentences(ground(service, report))[0] == (None, first)


@pytest.mark.parametrize(
    "run", [".", "1.", "R. ", "\n", "a\u0301\u0323", "\u0301\u0323", "\u00ad", "A.\n", '{"a":']
)
def test_a_report_of_one_thing_is_read_in_no_time(run: str) -> None:
    report = "There is a mass " + run * ((MAX_REPORT_CHARS - 20) // len(run)) + "x"
    began = time.process_time()
    with contextlib.suppress(InvalidParameter):
        sentences_of(report)
    assert time.process_time() - began < 0.5


def test_a_sentence_that_comes_twice_is_answered_twice(service: Live) -> None:
    found = ground(service, "A mass. A mass.").json()["sentences"]
    assert found[0] == found[1]


def test_one_bad_file_does_not_cost_the_others_their_answer(service: Live) -> None:
    answer = ground(service, "A mass.", files(bad_dicom.ct(), bright(MARKER))).json()
    assert [image["status"] for image in answer["images"]] == ["rejected", "analyzed"]
    (sentence,) = answer["sentences"]
    assert [one["image"] for one in sentence["images"]] == [1]
    assert sentence["best_image"] == 1


def test_a_study_of_nothing_usable_is_refused(service: Live) -> None:
    problem(ground(service, sent=files(bad_dicom.ct())), "no-usable-image")


@pytest.mark.parametrize(
    ("report", "said"),
    [
        ("A mass. " * 129, "at most 128 sentences, got 129"),
        ("a" * 20_001, "at most 20000 characters, got 20001"),
        ("mass " * 103 + ".", "at most 512 characters a sentence, and it holds none so short"),
        (
            "m" * 600 + ". A\x00mass.",
            "sentence 2: expected text without control characters, got U+0000",
        ),
        ("", "it holds no sentence"),
        ("1. 2. 3.", "it holds no sentence"),
        ('{"findings": ""}', "it holds no sentence"),
        ("{}", "it holds no sentence"),
        ('{"conclusion": "A mass."}', "findings"),
        ('{"findings": 1}', "findings"),
        ('{"findings": "A mass.", "conclusion": "A mass."}', "findings"),
        ("{" * 5000, "it holds no sentence"),
        (None, "send the text of the report as a form field"),
    ],
    ids=range(13),
)
def test_a_report_that_cannot_be_used_is_refused_with_the_reason(
    service: Live, report: str | None, said: str
) -> None:
    body = problem(ground(service, report), "invalid-parameter")
    assert said in body["detail"]
    assert body["errors"][0]["parameter"] == "report"


def test_a_long_report_for_many_files_is_refused_before_any_work(service: Live) -> None:
    sent = files(*[b"not even DICOM"] * 17)
    body = problem(ground(service, "A mass. " * 128, sent), "invalid-parameter")
    assert "at most 2048 places in an answer, got 17 files x 128 sentences" in body["detail"]


def test_no_refusal_quotes_the_report(service: Live) -> None:
    for report in ("SECRET " * 3000, "SECRET. " * 140, "SECRET\x01.", '{"SECRET": 1}'):
        assert "SECRET" not in ground(service, report).text


def test_a_report_in_the_address_is_refused_before_anything(service: Live) -> None:
    response = service.client.post("/v1/ground?report=a+mass", files=study())
    assert "addresses are logged" in problem(response, "invalid-parameter")["detail"]


def test_a_body_that_cannot_hold_a_report_is_refused(service: Live) -> None:
    response = service.client.post(
        "/v1/ground", content=bright(None), headers={"Content-Type": DICOM}
    )
    assert problem(response, "invalid-parameter")["errors"][0]["parameter"] == "report"


def test_questions_of_other_routes_are_unknown_here(service: Live) -> None:
    assert (
        "model, report" in problem(ground(service, findings="mass"), "invalid-parameter")["detail"]
    )
