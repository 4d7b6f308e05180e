"""A view of an evenly fatty breast, so that what a lesion adds is what is there."""

import copy
from functools import cache

import cv2
import numpy as np

from training.data.phantom.field import PX_PER_MM, Outline, Projection, ViewField
from training.data.records import Box

NIPPLE_MM = (75.0, 80.0)
CENTRE_MM = (75.0, 40.0)


def flat_view(projection: Projection = Projection.CC, *, gland: float = 0.1) -> ViewField:
    """15 cm by 10 cm; in MLO with axilla and muscle in the upper corner. `gland`: its share."""
    return copy.deepcopy(_flat_view(projection, gland))


@cache
def _flat_view(projection: Projection, gland: float) -> ViewField:
    oblique = projection is Projection.MLO
    outline = Outline(
        projection,
        nipple=NIPPLE_MM,
        depth=80.0,
        above=62.0,
        below=62.0,
        tip_power=2.0,
        above_power=2.0,
        below_power=2.0,
        muscle_top=38.0 if oblique else 0.0,
        muscle_bottom=90.0 if oblique else 0.0,
    )
    rows, columns = np.mgrid[0:1500, 0:1000].astype(np.float32) / PX_PER_MM
    inside = ((rows - NIPPLE_MM[0]) / 62) ** 2 + (columns / 80) ** 2 < 1
    inside |= np.hypot(rows - NIPPLE_MM[0], columns - NIPPLE_MM[1]) < 4  # the nipple
    if oblique:
        inside |= (rows < NIPPLE_MM[0]) & (columns < 65)
    air = np.pad(inside.astype(np.uint8), ((0, 0), (300, 0)), mode="edge")
    skin = cv2.distanceTransform(air, cv2.DIST_L2, 5)[:, 300:] / PX_PER_MM * inside
    muscle = inside & (outline.muscle_edge(rows) > columns)
    thickness = 50 * np.sqrt(1 - np.clip(1 - skin / 20, 0, 1) ** 2)
    dense = gland * thickness + 10.0 * muscle
    return ViewField(
        dense_mm=dense.astype(np.float32),
        thickness_mm=thickness.astype(np.float32),
        calcium_mm=np.zeros_like(rows),
        inside=inside,
        skin_mm=skin.astype(np.float32),
        muscle=muscle,
        nipple_mm=NIPPLE_MM,
        outline=outline,
    )


def share_inside(signal: np.ndarray, box: Box, *, margin_mm: float = 0.0) -> float:
    """How much of a signal's energy lies in a box, widened by a margin."""
    energy = np.square(signal, dtype=np.float64)
    margin = margin_mm * PX_PER_MM
    rows = slice(max(int(box.top - margin), 0), int(box.bottom + margin))
    columns = slice(max(int(box.left - margin), 0), int(box.right + margin))
    return float(energy[rows, columns].sum() / energy.sum())
