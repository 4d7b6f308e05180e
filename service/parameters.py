"""What a request asks for: pairs of names and values (query or form) -> one frozen object.

The table `PARAMETERS` is the only list of them: parsing and OpenAPI both read it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from service.errors import ErrorItem, InvalidParameter

Encoding = Literal["float", "base64"]
Pairs = Iterable[tuple[str, str]]
MAX_TEXTS = 64
SHOWN_CHARS = 40
SHORTEST_S = 1.0
"""A deadline below this could not be met by any study: better refused than always 504."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One name; `many` = may come more than once."""

    description: str
    schema: Mapping[str, Any]
    many: bool = False


PARAMETERS: dict[str, Parameter] = {
    "model": Parameter(
        "Model, as `name` (its newest version) or `name/version`; see GET /v1/models.",
        {"type": "string", "maxLength": 80},
    ),
    "findings": Parameter(
        "Findings of the model to ask for: comma-separated, or repeated. Without `findings` and "
        "`prompts`, all of the model's.",
        {"type": "array", "items": {"type": "string"}},
        many=True,
    ),
    "prompts": Parameter(
        'Your own sentences, as JSON: `["there is a mass"]`, or '
        '`[{"name": "mass", "positive": ["a mass"], "negative": ["no mass"]}]`.',
        {"type": "string", "examples": ['["there is a suspicious mass"]']},
    ),
    "include": Parameter(
        "`embedding` adds each image's vector.",
        {"type": "array", "items": {"type": "string", "enum": ["embedding"]}},
        many=True,
    ),
    "encoding": Parameter(
        "How vectors are written: numbers, or base64 of little-endian float32.",
        {"type": "string", "enum": ["float", "base64"], "default": "float"},
    ),
    "deadline": Parameter(
        "Seconds to wait for the answer, counted from the end of the upload.",
        {"type": "number", "minimum": SHORTEST_S},
    ),
    "texts": Parameter(
        "Sentences to embed; repeated.",
        {"type": "array", "items": {"type": "string"}, "maxItems": MAX_TEXTS},
        many=True,
    ),
}
OF_CLASSIFY = ("model", "findings", "prompts", "include", "encoding", "deadline")
OF_EMBED = ("model", "texts", "encoding", "deadline")


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds: what applies without a `deadline`, and the most that may be asked for."""

    default_s: float
    longest_s: float


@dataclass(frozen=True, slots=True)
class ClassifyRequest:
    """What POST /v1/classify is asked for. `findings` None = not named."""

    deadline_s: float
    model: str | None = None
    findings: tuple[str, ...] | None = None
    prompts_json: str | None = None
    include_embedding: bool = False
    encoding: Encoding = "float"


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """What POST /v1/embed is asked for."""

    deadline_s: float
    model: str | None = None
    texts: tuple[str, ...] = ()
    encoding: Encoding = "float"


def classify_request(pairs: Pairs, deadlines: Deadlines) -> ClassifyRequest:
    """Raises InvalidParameter."""
    given = _grouped(pairs, OF_CLASSIFY)
    include = _listed(given, "include")
    if include and set(include) != {"embedding"}:
        raise invalid("include", "the only thing to include is `embedding`")
    return ClassifyRequest(
        deadline_s=_deadline(given, deadlines),
        model=_single(given, "model"),
        findings=_listed(given, "findings"),
        prompts_json=_single(given, "prompts"),
        include_embedding=bool(include),
        encoding=_encoding(given),
    )


def embed_request(pairs: Pairs, deadlines: Deadlines) -> EmbedRequest:
    """Raises InvalidParameter."""
    given = _grouped(pairs, OF_EMBED)
    return EmbedRequest(
        deadline_s=_deadline(given, deadlines),
        model=_single(given, "model"),
        texts=tuple(given.get("texts", ())),
        encoding=_encoding(given),
    )


def invalid(parameter: str, message: str) -> InvalidParameter:
    """The refusal of one parameter."""
    item = ErrorItem(message=message, parameter=parameter)
    return InvalidParameter(f"`{parameter}`: {message}.", errors=[item])


def openapi_parameters(names: Sequence[str]) -> list[dict[str, Any]]:
    """These parameters as OpenAPI query parameters."""
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": PARAMETERS[name].description,
            "schema": dict(PARAMETERS[name].schema),
        }
        for name in names
    ]


def _grouped(pairs: Pairs, known: Sequence[str]) -> dict[str, list[str]]:
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in known:
            listed = ", ".join(known)
            shown = ascii(name[:SHOWN_CHARS])
            raise InvalidParameter(
                f"Unknown parameter {shown}; known: {listed}; files go into `files`.",
                errors=[ErrorItem(message=f"known: {listed}", parameter=shown)],
            )
        given.setdefault(name, []).append(value)
    for name, values in given.items():
        if len(values) > 1 and not PARAMETERS[name].many:
            raise invalid(name, "it came more than once")
    return given


def _single(given: Mapping[str, list[str]], name: str) -> str | None:
    return given[name][0] if name in given else None


def _listed(given: Mapping[str, list[str]], name: str) -> tuple[str, ...] | None:
    """Comma-separated or repeated; None where it did not come."""
    if name not in given:
        return None
    parts = [part.strip() for value in given[name] for part in value.split(",")]
    return tuple(part for part in parts if part)


def _encoding(given: Mapping[str, list[str]]) -> Encoding:
    value = _single(given, "encoding") or "float"
    if value == "base64":
        return "base64"
    if value == "float":
        return "float"
    raise invalid("encoding", "it is `float` or `base64`")


def _deadline(given: Mapping[str, list[str]], deadlines: Deadlines) -> float:
    value = _single(given, "deadline")
    if value is None:
        return deadlines.default_s
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not SHORTEST_S <= seconds <= deadlines.longest_s:
        raise invalid("deadline", f"seconds, {SHORTEST_S:g} to {deadlines.longest_s:g}")
    return seconds
