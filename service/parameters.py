"""What a request asks for: pairs of names and values (query or form) -> one frozen object.

A table (PARAMETERS here, two more in heat_parameters) is the only list of them: parsing and
OpenAPI both read it.
"""

import math
from collections.abc import Iterable, Mapping
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
    """One name; `many` = may come more than once; not `in_query` = in a form alone."""

    description: str
    schema: Mapping[str, Any]
    many: bool = False
    in_query: bool = True


Table = Mapping[str, Parameter]


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


def table(*names: str) -> dict[str, Parameter]:
    """These of PARAMETERS, for one route."""
    return {name: PARAMETERS[name] for name in names}


OF_CLASSIFY = table("model", "findings", "prompts", "include", "encoding", "deadline")
OF_EMBED = table("model", "texts", "encoding", "deadline")


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
    given = grouped(pairs, OF_CLASSIFY)
    include = listed(given, "include")
    if include and set(include) != {"embedding"}:
        raise invalid("include", "the only thing to include is `embedding`")
    return ClassifyRequest(
        deadline_s=deadline(given, deadlines),
        model=single(given, "model"),
        findings=listed(given, "findings"),
        prompts_json=single(given, "prompts"),
        include_embedding=bool(include),
        encoding=encoding(given),
    )


def embed_request(pairs: Pairs, deadlines: Deadlines) -> EmbedRequest:
    """Raises InvalidParameter."""
    given = grouped(pairs, OF_EMBED)
    return EmbedRequest(
        deadline_s=deadline(given, deadlines),
        model=single(given, "model"),
        texts=tuple(given.get("texts", ())),
        encoding=encoding(given),
    )


def invalid(parameter: str, message: str) -> InvalidParameter:
    """The refusal of one parameter."""
    item = ErrorItem(message=message, parameter=parameter)
    return InvalidParameter(f"`{parameter}`: {message}.", errors=[item])


def openapi_parameters(known: Table) -> list[dict[str, Any]]:
    """These parameters as OpenAPI query parameters."""
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": parameter.description,
            "schema": dict(parameter.schema),
        }
        for name, parameter in known.items()
        if parameter.in_query
    ]


def grouped(pairs: Pairs, known: Table) -> dict[str, list[str]]:
    """Values by name, in the order they came. Raises InvalidParameter for a name not in `known`."""
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in known:
            names = ", ".join(known)
            shown = ascii(name[:SHOWN_CHARS])
            raise InvalidParameter(
                f"Unknown parameter {shown}; known: {names}; files go into `files`.",
                errors=[ErrorItem(message=f"known: {names}", parameter=shown)],
            )
        given.setdefault(name, []).append(value)
    for name, values in given.items():
        if len(values) > 1 and not known[name].many:
            raise invalid(name, "it came more than once")
    return given


def single(given: Mapping[str, list[str]], name: str) -> str | None:
    """The only value; None where it did not come."""
    return given[name][0] if name in given else None


def listed(given: Mapping[str, list[str]], name: str) -> tuple[str, ...] | None:
    """Comma-separated or repeated; None where it did not come."""
    if name not in given:
        return None
    parts = [part.strip() for value in given[name] for part in value.split(",")]
    return tuple(part for part in parts if part)


def encoding(given: Mapping[str, list[str]]) -> Encoding:
    """How numbers are written. Raises InvalidParameter."""
    value = single(given, "encoding") or "float"
    if value == "base64":
        return "base64"
    if value == "float":
        return "float"
    raise invalid("encoding", "it is `float` or `base64`")


def deadline(given: Mapping[str, list[str]], deadlines: Deadlines) -> float:
    """Seconds to wait. Raises InvalidParameter."""
    value = single(given, "deadline")
    if value is None:
        return deadlines.default_s
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not SHORTEST_S <= seconds <= deadlines.longest_s:
        raise invalid("deadline", f"seconds, {SHORTEST_S:g} to {deadlines.longest_s:g}")
    return seconds
