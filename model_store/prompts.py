"""What is asked of an image: questions made of a model's findings and of a caller's sentences.

Every rule for a caller's sentences is here. Knows nothing of embeddings.
"""

import hashlib
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from model_store.manifest import Calibration, Finding, Frozen, Manifest, Sentences

MAX_PROMPTS = 64
MAX_CHARS = 512
MAX_ENSEMBLE = 16
MAX_SENTENCES = 256
"""Different sentences in one request: what the queue holds by default."""
MAX_JSON_CHARS = 262_144
_KEYS = ("name", "positive", "negative")
_SENTENCE = f"a sentence of 1 to {MAX_CHARS} characters"


class PromptError(ValueError):
    """A caller asked for something that cannot be asked."""


class UnknownFinding(PromptError):
    """The model has no finding of this name; `known` lists those it has."""

    def __init__(self, asked: str, known: Sequence[str]) -> None:
        has = ", ".join(known) if known else "none"
        super().__init__(
            f"the model has no finding {_short(asked)}; it has: {has}. "
            "Ask one of these, or bring your own sentence in `prompts`."
        )
        self.asked = asked
        self.known = list(known)


class BadPrompts(PromptError):
    """`where` in the JSON should be `expected`, but is `got`; `advice` says what to do."""

    def __init__(self, where: str, *, expected: str, got: str, advice: str) -> None:
        super().__init__(f"{where}: expected {expected}, got {got}; {advice}")
        self.where = where
        self.expected = expected
        self.got = got
        self.advice = advice


@dataclass(frozen=True, slots=True)
class Question:
    """Two ensembles of sentences that compete for an image."""

    name: str
    positive: Sentences
    negative: Sentences
    calibration: Calibration | None = None
    threshold: float | None = None
    is_finding: bool = False


class PromptSet(Frozen):
    """prompts/NAME.json: findings that training copies into a manifest."""

    findings: tuple[Finding, ...]
    default_negative: Sentences


def read_prompt_set(name: str) -> PromptSet:
    """A prompt set that comes with this package; ValueError lists those there are."""
    folder = resources.files("model_store") / "prompts"
    files = [entry.name for entry in folder.iterdir() if entry.name.endswith(".json")]
    known = sorted(file.removesuffix(".json") for file in files)
    if name not in known:
        raise ValueError(f"no prompt set {name!r}; known: {', '.join(known)}")
    return PromptSet.model_validate_json((folder / f"{name}.json").read_bytes())


def questions_for(
    manifest: Manifest, *, findings: Sequence[str] | None, prompts_json: str | None
) -> tuple[Question, ...]:
    """The asked findings, then the caller's own prompts: exactly what was asked, in order.

    Neither asked = all findings of the model; prompts alone = the prompts alone.
    `prompts_json` is a list of sentences, or of {"name"?, "positive", "negative"?} with a sentence
    or a list of them; without a negative the model's default negatives oppose it.
    Raises UnknownFinding or BadPrompts.
    """
    asked = _asked_findings(manifest, findings, prompts_json)
    own = [] if prompts_json is None else _parse(prompts_json, manifest.default_negative)
    _check_names((*asked, *own))
    sentences = len(all_sentences(own))
    if sentences > MAX_SENTENCES:
        raise BadPrompts(
            "prompts",
            expected=f"at most {MAX_SENTENCES} different sentences in all",
            got=f"{sentences}",
            advice="ask in several requests",
        )
    return (*asked, *own)


def all_sentences(questions: Sequence[Question]) -> Sentences:
    """Every sentence once, in the order of the questions."""
    return tuple(dict.fromkeys(s for q in questions for s in (*q.positive, *q.negative)))


def prompts_digest(questions: Sequence[Question]) -> str:
    """sha256 of names and sentences, 64 hex digits.

    The order of questions, of the sentences of an ensemble and of JSON keys is not in it, nor is
    calibration: that belongs to the model and is in the model's digest.
    """
    asked = sorted((q.name, sorted(q.positive), sorted(q.negative)) for q in questions)
    content = json.dumps(asked, separators=(",", ":")).encode()
    return hashlib.sha256(content).hexdigest()


def _asked_findings(
    manifest: Manifest, findings: Sequence[str] | None, prompts_json: str | None
) -> list[Question]:
    by_name = {finding.name: finding for finding in manifest.findings}
    if not findings and prompts_json is None:
        findings = list(by_name)
    for name in findings or ():
        if name not in by_name:
            raise UnknownFinding(name, list(by_name))
    return [_of_finding(by_name[name]) for name in dict.fromkeys(findings or ())]


def _check_names(questions: Sequence[Question]) -> None:
    seen: set[str] = set()
    for question in questions:
        if question.name in seen:
            raise BadPrompts(
                "prompts",
                expected="a name of its own for each question",
                got=f"{_short(question.name)} twice",
                advice='give one of them another "name"',
            )
        seen.add(question.name)


def _of_finding(finding: Finding) -> Question:
    return Question(
        name=finding.name,
        positive=_distinct(finding.positive),
        negative=_distinct(finding.negative),
        calibration=finding.calibration,
        threshold=finding.threshold,
        is_finding=True,
    )


def _parse(prompts_json: str, default_negative: Sentences) -> list[Question]:
    expected = "a JSON list of sentences or of objects with positive and negative"
    if len(prompts_json) > MAX_JSON_CHARS:
        raise BadPrompts(
            "prompts",
            expected=f"at most {MAX_JSON_CHARS} characters",
            got=f"{len(prompts_json)}",
            advice="ask in several requests",
        )
    try:
        prompts = json.loads(prompts_json)
    except (ValueError, RecursionError):
        raise BadPrompts(
            "prompts", expected=expected, got="no JSON", advice='write ["there is a mass"]'
        ) from None
    if not isinstance(prompts, list):
        raise BadPrompts(
            "prompts", expected=expected, got=_kind(prompts), advice="put it in [ and ]"
        )
    if not 1 <= len(prompts) <= MAX_PROMPTS:
        raise BadPrompts(
            "prompts",
            expected=f"1 to {MAX_PROMPTS} prompts",
            got=f"{len(prompts)}",
            advice="ask in several requests" if prompts else "write one, or leave `prompts` out",
        )
    return [
        _question(prompt, f"prompts[{index}]", default_negative)
        for index, prompt in enumerate(prompts)
    ]


def _question(prompt: Any, where: str, default_negative: Sentences) -> Question:
    if isinstance(prompt, str):
        sentence = _sentence(prompt, where)
        return Question(name=sentence, positive=(sentence,), negative=_distinct(default_negative))
    if not isinstance(prompt, dict):
        raise BadPrompts(
            where,
            expected="a sentence or an object",
            got=_kind(prompt),
            advice='write "there is a mass" or {"positive": "mass", "negative": "no mass"}',
        )
    unknown = [key for key in prompt if key not in _KEYS]
    if unknown or "positive" not in prompt:
        raise BadPrompts(
            where,
            expected='"positive", and perhaps "name" and "negative"',
            got=f"the key {_short(unknown[0])}" if unknown else 'no "positive"',
            advice="leave it out" if unknown else "say what the image may show",
        )
    positive = _ensemble(prompt["positive"], f"{where}.positive")
    negative = _distinct(default_negative)
    if "negative" in prompt:
        negative = _ensemble(prompt["negative"], f"{where}.negative")
    name = _sentence(prompt["name"], f"{where}.name") if "name" in prompt else positive[0]
    return Question(name=name, positive=positive, negative=negative)


def _ensemble(value: Any, where: str) -> Sentences:
    if not isinstance(value, list):
        return (_sentence(value, where),)
    if not 1 <= len(value) <= MAX_ENSEMBLE:
        raise BadPrompts(
            where,
            expected=f"1 to {MAX_ENSEMBLE} sentences",
            got=f"{len(value)}",
            advice="keep those that differ most" if value else "write one, or leave the key out",
        )
    return _distinct([_sentence(one, f"{where}[{index}]") for index, one in enumerate(value)])


def _sentence(value: Any, where: str) -> str:
    """NFC, without space around it."""
    if not isinstance(value, str):
        raise BadPrompts(
            where, expected=_SENTENCE, got=_kind(value), advice="write it in double quotes"
        )
    sentence = unicodedata.normalize("NFC", value).strip()
    if not 1 <= len(sentence) <= MAX_CHARS:
        raise BadPrompts(
            where,
            expected=_SENTENCE,
            got=f"{len(sentence)} characters" if sentence else "nothing but space",
            advice="shorten it" if sentence else "write one",
        )
    for character in sentence:
        if not _is_text(character):
            raise BadPrompts(
                where,
                expected="text without control characters",
                got=f"U+{ord(character):04X}",
                advice="take it out",
            )
    return sentence


def _is_text(character: str) -> bool:
    """No control, format, surrogate, private or unassigned character, no line separator."""
    category = unicodedata.category(character)
    return category[0] != "C" and category not in ("Zl", "Zp")


def _distinct(sentences: Sequence[str]) -> Sentences:
    """Each once, in order: a sentence written twice has no more weight."""
    return tuple(dict.fromkeys(sentences))


def _kind(value: Any) -> str:
    """What JSON calls it; the value itself stays out of the message."""
    kinds = {str: "a string", bool: "true or false", dict: "an object", list: "a list"}
    return "null" if value is None else kinds.get(type(value), "a number")


def _short(text: str) -> str:
    """A caller's own word in a message: printable ASCII, cut."""
    return ascii(text if len(text) <= 60 else f"{text[:57]}...")
