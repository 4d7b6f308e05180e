"""Canvases on disk with what is known of each: what training and evaluation read.

A folder of NNNN.npy and one index.jsonl, a line a canvas. Knows nothing of where images come from
(canvas_cache renders DICOM and PNG files, phantom_canvases draws) nor of torch.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from model_store.arrays import U8
from model_store.geometry import Placement
from training.data.records import (
    Box,
    Category,
    Density,
    Finding,
    ImageRecord,
    Report,
    Split,
)

INDEX = "index.jsonl"


@dataclass(frozen=True, slots=True)
class CanvasRecord:
    """One canvas: its file in the folder, where it lies in the stored image, its own extremes."""

    image: ImageRecord
    file: str
    placement: Placement
    low: int
    high: int
    spacing_mm: tuple[float, float] | None = None

    def on_canvas(self, box: Box) -> Box:
        """A box in stored pixels -> in canvas pixels; it may reach beyond the canvas."""
        corners = self.placement.to_canvas([[box.top, box.left], [box.bottom, box.right]])
        (top, left), (bottom, right) = corners.tolist()
        return Box(top, left, bottom, right)

    def boxes(self, category: Category) -> list[Box]:
        """Canvas boxes of the findings of a category that have one."""
        return [
            self.on_canvas(finding.box)
            for finding in self.image.findings
            if finding.box is not None and category in finding.categories
        ]


@dataclass(frozen=True, slots=True)
class CanvasSet:
    """Canvases in a fixed order."""

    folder: Path
    records: tuple[CanvasRecord, ...]

    def __len__(self) -> int:
        return len(self.records)

    def canvas(self, record: CanvasRecord) -> U8:
        """(H, W) uint8, mapped from disk and not copied."""
        canvas: U8 = np.load(self.folder / record.file, mmap_mode="r")
        return canvas

    def where(self, keep: Callable[[ImageRecord], bool]) -> Self:
        """Those whose image `keep` accepts, in the same order."""
        return type(self)(self.folder, tuple(r for r in self.records if keep(r.image)))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What `write_index` wrote; FileNotFoundError where it never ended."""
        lines = (folder / INDEX).read_text(encoding="utf-8").splitlines()
        return cls(folder, tuple(from_json(json.loads(line)) for line in lines))


def write_index(folder: Path, records: Iterable[CanvasRecord]) -> None:
    """index.jsonl, whole or not at all."""
    partial = folder / f"{INDEX}.part"
    partial.write_text("".join(json.dumps(to_json(r)) + "\n" for r in records), encoding="utf-8")
    partial.rename(folder / INDEX)


def to_json(record: CanvasRecord) -> dict[str, Any]:
    """Plain JSON of a record."""
    entry = asdict(record)
    entry["image"]["annotated"] = sorted(record.image.annotated)
    return entry


def from_json(entry: dict[str, Any]) -> CanvasRecord:
    """The record that `to_json` described."""
    image, placement = dict(entry["image"]), dict(entry["placement"])
    for axis in ("rows", "columns"):
        placement[axis] = tuple((int(start), int(stop)) for start, stop in placement[axis])
    image["findings"] = tuple(_finding(finding) for finding in image["findings"])
    image["annotated"] = frozenset(Category(name) for name in image["annotated"])
    image["density"] = image["density"] and Density(image["density"])
    image["split"] = image["split"] and Split(image["split"])
    if image["report"] is not None:
        image["report"] = Report(**{key: tuple(value) for key, value in image["report"].items()})
    spacing = entry["spacing_mm"]
    return CanvasRecord(
        image=ImageRecord(**image),
        file=entry["file"],
        placement=Placement(**placement),
        low=entry["low"],
        high=entry["high"],
        spacing_mm=spacing and (float(spacing[0]), float(spacing[1])),
    )


def _finding(entry: dict[str, Any]) -> Finding:
    return Finding(
        categories=tuple(Category(name) for name in entry["categories"]),
        box=entry["box"] and Box(**entry["box"]),
        birads=entry["birads"],
        attributes=dict(entry["attributes"]),
    )
