"""One measured figure as it stands in results.json, in tables and in plots."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from training.evaluate.metrics import Interval

EVERYTHING = "everything"
"""Target of the one figure of a part that could not run at all."""
NO_INTERVAL = "too few patients for an interval"


@dataclass(frozen=True, slots=True)
class Figure:
    """`value` with its 95 % interval by patient, or None and in `note` why there is none.

    A value without an interval rests on too few patients, and the note says so.
    `part`: which evaluation; `target`: a finding, "density" or "reports"; `setting` as the papers
    write it: "zero-shot", "LP 10%", "FT 100%", "frozen 100%".
    """

    part: str
    target: str
    setting: str
    metric: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    note: str = ""

    def measured(self, interval: Interval, *, note: str = "") -> "Figure":
        """With a value and its interval."""
        if interval.low is None:
            note = f"{note}; {NO_INTERVAL}" if note else NO_INTERVAL
        return replace(
            self,
            value=interval.value,
            low=interval.low,
            high=interval.high,
            n=interval.n,
            note=note,
        )

    def missing(self, why: str) -> "Figure":
        """Without a value."""
        return replace(self, note=why)


def write_figures(path: Path, parts: dict[str, Sequence[Figure]], *, about: dict[str, Any]) -> None:
    """results.json, whole or not at all: `about` the run, and every part's figures."""
    entry = {
        "about": about,
        "parts": {part: [asdict(figure) for figure in figures] for part, figures in parts.items()},
    }
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(entry, indent=1) + "\n", encoding="utf-8")
    partial.rename(path)


def read_figures(path: Path, *, about: dict[str, Any]) -> dict[str, list[Figure]]:
    """Parts that are done; none where there is no file or it tells `about` another run."""
    if not path.exists():
        return {}
    entry = json.loads(path.read_text(encoding="utf-8"))
    if entry["about"] != json.loads(json.dumps(about)):
        return {}
    return {
        part: [Figure(**figure) for figure in figures] for part, figures in entry["parts"].items()
    }


def flat(parts: dict[str, Sequence[Figure]]) -> list[Figure]:
    """Every figure, part by part."""
    return [figure for figures in parts.values() for figure in figures]


def by_setting(figures: Iterable[Figure]) -> dict[tuple[str, str, str], Figure]:
    """Figures by target, setting and metric."""
    return {(figure.target, figure.setting, figure.metric): figure for figure in figures}
