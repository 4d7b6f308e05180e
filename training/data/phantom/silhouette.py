"""An Outline on a grid: where the breast is, and how far each point of it is from the skin.

The silhouette is where a smooth function of the place is positive: a tilted superellipse, joined
softly with the axilla, the abdomen's fold and the nipple.
"""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from model_store.arrays import F32
from training.data.phantom.field import COLUMNS, ROWS, SPACING_MM
from training.data.phantom.outline import Bool, Outline, Projection

COARSE_MM = 2 * SPACING_MM
PLAN_MM = 0.8  # the grid of what is smooth
SOFT_MM = 34.0
NIPPLE_MM = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Silhouette:
    """On the coarse grid of 0.2 mm, (1147, W): breast, distance to the skin, pectoral muscle.

    W is as far as the breast reaches.

    `level` is the function itself, mm inside the skin where it is small; `edge_mm`: distance to the
    muscle's edge along a row, positive within it.
    """

    level: F32
    inside: Bool
    skin_mm: F32
    muscle: Bool
    edge_mm: F32


def silhouette(outline: Outline) -> Silhouette:
    """Draw it on the coarse grid."""
    smooth = levels(outline, *grid(PLAN_MM, outline))
    rows, columns = grid(COARSE_MM, outline)
    size = (columns.shape[1], rows.shape[0])
    level = np.asarray(cv2.resize(smooth, size), np.float32)
    inside = level > 0
    skin = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 5)
    edge = outline.muscle_edge(rows) - columns
    return Silhouette(
        level, inside, np.asarray(skin * COARSE_MM, np.float32), inside & (edge > 0), edge
    )


def width_mm(outline: Outline) -> float:
    """How much of the frame the breast may take, in whole steps of the plan's grid."""
    reach = max(outline.nipple[1] + 8, outline.axilla + 20, outline.depth)
    return PLAN_MM * min(math.ceil(reach / PLAN_MM), COLUMNS * SPACING_MM // PLAN_MM)


def grid(step_mm: float, outline: Outline) -> tuple[F32, F32]:
    """Rows (H, 1) and columns (1, W) in mm of the middles of a grid over the breast."""
    height, width = round(ROWS * SPACING_MM / step_mm), round(width_mm(outline) / step_mm)
    rows = (np.arange(height, dtype=np.float32) + 0.5) * np.float32(step_mm)
    columns = (np.arange(width, dtype=np.float32) + 0.5) * np.float32(step_mm)
    return rows[:, None], columns[None, :]


def levels(outline: Outline, rows: F32, columns: F32) -> F32:
    """The smooth function, about the distance in mm to the silhouette; positive inside."""
    u, v = outline.axes(rows, columns)
    relative = np.clip(u / outline.depth, 0, None)
    up = v > 0
    across = np.abs(v) / np.where(up, np.float32(outline.above), np.float32(outline.below))
    power = np.where(up, np.float32(outline.above_power), np.float32(outline.below_power))
    reach = np.sqrt(relative ** np.float32(outline.tip_power) + across**power)
    level = (1 - reach) * np.float32(0.5 * (outline.above + outline.below))
    for order, amplitude in enumerate(outline.ripple, start=2):
        level += np.float32(amplitude) * np.sin(order * v / np.float32(40))
    if outline.projection is Projection.MLO:
        level = _join(level, _axilla(outline, rows) - columns, SOFT_MM)
        level = _join(level, _abdomen(outline, rows) - columns, 12)
    nipple = NIPPLE_MM - np.hypot((u - outline.depth - 0.5) / 1.1, v)
    return _join(level, nipple, 3.0)


def _axilla(outline: Outline, rows: F32) -> F32:
    """Column of the axilla's front at each row: it recedes towards the breast, and then is gone."""
    relative = rows / np.float32(outline.axilla_bottom)
    front = outline.axilla * (1 - 0.5 * relative - 0.5 * relative**2)
    return np.asarray(front, np.float32)


def _abdomen(outline: Outline, rows: F32) -> F32:
    below = np.clip((rows - outline.abdomen_top) / 45, -1, 1.6)
    return np.asarray(outline.abdomen * below - 6, np.float32)


def _join(one: F32, other: F32, soft_mm: float) -> F32:
    """The greater of the two, rounded where they meet."""
    apart = np.clip(soft_mm - np.abs(one - other), 0, None)
    return np.asarray(np.maximum(one, other) + apart**2 / np.float32(4 * soft_mm), np.float32)


def areas_mm2(outline: Outline, step_mm: float = 3.0) -> tuple[float, float]:
    """(breast without muscle, muscle) in the frame, mm2."""
    rows, columns = grid(step_mm, outline)
    inside = levels(outline, rows, columns) > 0
    muscle = inside & (outline.muscle_edge(rows) > columns)
    cell = step_mm**2
    return float((inside & ~muscle).sum()) * cell, float(muscle.sum()) * cell


def fitted(outline: Outline, *, area_mm2: float, muscle_share: float) -> Outline:
    """The outline scaled until breast and muscle have these areas, as far as the frame allows."""
    for _ in range(5):
        breast, muscle = areas_mm2(outline)
        outline = _scaled(outline, float(np.sqrt(area_mm2 / breast)))
        if outline.muscle_top > 0 and muscle > 0:
            wanted = muscle_share / (1 - muscle_share) * area_mm2
            factor = float(np.clip(np.sqrt(wanted / muscle), 0.7, 1.4))
            outline = replace(
                outline,
                muscle_top=outline.muscle_top * factor,
                muscle_bottom=min(outline.muscle_bottom * factor, 190.0),
                axilla=outline.axilla + outline.muscle_top * (factor - 1),
            )
    return outline


def _scaled(outline: Outline, factor: float) -> Outline:
    """The breast larger about where its axis meets the chest wall; its height within the frame."""
    foot = outline.point(0, 0)
    tall = min(factor, 125.0 / max(outline.above, outline.below))
    grown = replace(
        outline,
        depth=outline.depth * factor**2 / tall,
        above=outline.above * tall,
        below=outline.below * tall,
    )
    row, column = grown.point(0, 0)
    nipple = (outline.nipple[0] + foot[0] - row, outline.nipple[1] + foot[1] - column)
    return replace(grown, nipple=nipple)
