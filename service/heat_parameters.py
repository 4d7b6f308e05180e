"""What requests for heat maps ask for: the parameters of POST /v1/heatmap and POST /v1/ground."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.parameters import (
    Deadlines,
    Encoding,
    Pairs,
    Parameter,
    deadline,
    encoding,
    grouped,
    invalid,
    listed,
    single,
    table,
)

MAX_GRIDS = 128
"""Of one answer: so many of 48 x 29 cells are 2 MB of JSON, and hold the event loop for 75 ms."""
MAX_OVERLAYS = 32
"""Of one answer: a picture of a breast is 0.36 MB and takes 0.13 s to draw."""
MAX_REPORT_CHARS = 20_000
PARTS = ("grid", "overlay", "none")

BOXES = Parameter(
    "`present`: boxes only where the score says that the finding is there. `always`: even where "
    "it says that it is not; the hottest 5 % of a breast are then somewhere, whatever they mean.",
    {"type": "string", "enum": ["present", "always"], "default": "present"},
)
ENCODING = Parameter(
    "How grids are written: rows of numbers, or base64 of little-endian float32, row by row.",
    {"type": "string", "enum": ["float", "base64"], "default": "float"},
)
REPORT = Parameter(
    "The report: its text, or JSON with the text of its two sections: "
    '`{"findings": "...", "impression": "..."}`. In the form alone, never in the address.',
    {
        "type": "string",
        "maxLength": MAX_REPORT_CHARS,
        "examples": ["FINDINGS: There is a mass in the left breast. IMPRESSION: BI-RADS 4."],
    },
    in_query=False,
)


def _include(default: str) -> Parameter:
    return Parameter(
        "What comes with each heat map: `grid`, its cells; `overlay`, a PNG in base64; `none`. "
        f"Of one answer at most {MAX_GRIDS} grids or {MAX_OVERLAYS} overlays.",
        {
            "type": "array",
            "items": {"type": "string", "enum": list(PARTS)},
            "default": [default],
        },
        many=True,
    )


OF_HEATMAP = {
    **table("model", "findings", "prompts"),
    "boxes": BOXES,
    "include": _include("grid"),
    "encoding": ENCODING,
    **table("deadline"),
}
OF_GROUND = {
    **table("model"),
    "report": REPORT,
    "boxes": BOXES,
    "include": _include("none"),
    "encoding": ENCODING,
    **table("deadline"),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """How heat is told."""

    grid: bool
    overlay: bool
    encoding: Encoding = "float"
    boxes_always: bool = False


@dataclass(frozen=True, slots=True)
class HeatmapRequest:
    """What POST /v1/heatmap is asked for. `findings` None = not named."""

    deadline_s: float
    wanted: Wanted
    model: str | None = None
    findings: tuple[str, ...] | None = None
    prompts_json: str | None = None


@dataclass(frozen=True, slots=True)
class GroundRequest:
    """What POST /v1/ground is asked for. The report stays out of logs."""

    deadline_s: float
    wanted: Wanted
    report: str
    model: str | None = None


def heatmap_request(pairs: Pairs, deadlines: Deadlines) -> HeatmapRequest:
    """Raises InvalidParameter."""
    given = grouped(pairs, OF_HEATMAP)
    return HeatmapRequest(
        deadline_s=deadline(given, deadlines),
        wanted=_wanted(given, default="grid"),
        model=single(given, "model"),
        findings=listed(given, "findings"),
        prompts_json=single(given, "prompts"),
    )


def ground_request(query: Pairs, form: Pairs, deadlines: Deadlines) -> GroundRequest:
    """Raises InvalidParameter, also for a report that stands in the address."""
    query = list(query)
    for name, _ in query:
        if name in OF_GROUND and not OF_GROUND[name].in_query:
            raise invalid(name, "it goes into the form: addresses are logged on their way")
    given = grouped([*query, *form], OF_GROUND)
    report = single(given, "report")
    if report is None:
        raise invalid("report", "send the text of the report as a form field beside the files")
    return GroundRequest(
        deadline_s=deadline(given, deadlines),
        wanted=_wanted(given, default="none"),
        report=report,
        model=single(given, "model"),
    )


def _wanted(given: Mapping[str, list[str]], *, default: str) -> Wanted:
    include = listed(given, "include") or (default,)
    if not set(include) <= set(PARTS) or ("none" in include and len(set(include)) > 1):
        raise invalid("include", "it is `grid`, `overlay`, both of them, or `none`")
    boxes: Any = single(given, "boxes") or "present"
    if boxes not in ("present", "always"):
        raise invalid("boxes", "it is `present` or `always`")
    return Wanted(
        grid="grid" in include,
        overlay="overlay" in include,
        encoding=encoding(given),
        boxes_always=boxes == "always",
    )
