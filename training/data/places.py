"""Where in the breast a box lies, in a report's words, estimated from the canvas alone.

VinDr's findings have boxes and no quadrant. The nipple is taken to be where the breast reaches
farthest from the chest wall; a CC view then tells outer from inner, an MLO view upper from lower
(images hang as usual: CC with the outer half on top). What lies near the nipple's level is not
told. Depth is in thirds from the nipple to the edge of the image, horizontally.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from model_store.arrays import U8
from model_store.breast import breast_mask
from training.data.canvas_set import CanvasRecord, CanvasSet
from training.data.facts import DEPTHS
from training.data.records import Box, Finding

UNDECIDED = 0.06
"""Of the breast's height: a box whose centre is nearer to the nipple's level is of neither half."""
TIP = 0.02
"""Of the breast's width: the columns farthest out, whose middle row is the nipple's level."""
HALVES: Mapping[str, tuple[str, str]] = {"CC": ("outer", "inner"), "MLO": ("upper", "lower")}
"""Words for above and below the nipple's level."""


@dataclass(frozen=True, slots=True)
class Outline:
    """A breast on its canvas, in canvas pixels."""

    nipple_row: float
    nipple_column: float
    wall_column: float
    height: float

    @property
    def depth(self) -> float:
        """From the nipple to the chest wall."""
        return abs(self.wall_column - self.nipple_column)


def outline_of(canvas: U8, laterality: str) -> Outline:
    """(H, W) uint8 canvas of a breast hung as usual: a left breast's wall is at the left."""
    mask = breast_mask(canvas)
    mask = mask if laterality == "L" else mask[:, ::-1]
    columns = np.flatnonzero(mask.any(axis=0))
    rows = np.flatnonzero(mask.any(axis=1))
    tip = columns[-1]
    thick = max(round(TIP * len(columns)), 1)
    level = float(np.flatnonzero(mask[:, tip - thick + 1 : tip + 1].any(axis=1)).mean()) + 0.5
    width = canvas.shape[1]
    nipple, wall = float(tip + 1), float(columns[0])
    if laterality != "L":
        nipple, wall = width - nipple, width - wall
    return Outline(level, nipple, wall, float(rows[-1] + 1 - rows[0]))


def place_words(box: Box, outline: Outline, view: str) -> dict[str, str]:
    """Words for records.Finding.attributes: half (as `quadrant`) and depth, what can be told."""
    row, column = (box.top + box.bottom) / 2, (box.left + box.right) / 2
    words: dict[str, str] = {}
    above = (outline.nipple_row - row) / outline.height
    if view in HALVES and abs(above) > UNDECIDED:
        words["quadrant"] = HALVES[view][above < 0]
    if outline.depth > 0:
        share = abs(column - outline.nipple_column) / outline.depth
        words["depth"] = DEPTHS[min(int(3 * share), 2)]
    return words


def with_places(canvases: CanvasSet) -> CanvasSet:
    """The same set, with a place in every finding that has a box and none."""
    return replace(canvases, records=tuple(_placed(canvases, r) for r in canvases.records))


def _placed(canvases: CanvasSet, record: CanvasRecord) -> CanvasRecord:
    image = record.image
    if not any(_lacks_place(finding) for finding in image.findings):
        return record
    outline = outline_of(canvases.canvas(record), image.laterality)
    findings = tuple(
        replace(
            finding,
            attributes=place_words(record.on_canvas(finding.box), outline, image.view)
            | dict(finding.attributes),
        )
        if finding.box is not None and _lacks_place(finding)
        else finding
        for finding in image.findings
    )
    return replace(record, image=replace(image, findings=findings))


def _lacks_place(finding: Finding) -> bool:
    return finding.box is not None and not {"quadrant", "depth"} & finding.attributes.keys()
