"""Nipple retraction: the silhouette is pulled in, strands run back from it, its skin is thick.

Changes the field's silhouette in place, so it is drawn before all other findings.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from model_store.arrays import F32
from training.data.phantom.field import PX_PER_MM, Bool, Outline, ViewField
from training.data.phantom.patch import (
    Patch,
    coordinates,
    curve,
    draw_strand,
    lay,
    sigmoid,
    smooth,
    visible_box,
)
from training.data.records import Box

AROUND_MM = 34.0  # the window that is looked at
SKIN_MM = 2.2  # of the areola, thicker than elsewhere
FILLED = 0.75


@dataclass(frozen=True, slots=True)
class NippleRetraction:
    """`depth_mm`: of the dimple; width_mm: half of its width; height_mm: gland in the strands."""

    depth_mm: float
    width_mm: float
    strands: int
    height_mm: float


def sample_nipple_retraction(rng: np.random.Generator) -> NippleRetraction:
    """From a slit to an inverted nipple."""
    return NippleRetraction(
        depth_mm=float(rng.uniform(4.0, 8.0)),
        width_mm=float(rng.uniform(5.0, 8.5)),
        strands=int(rng.integers(5, 9)),
        height_mm=float(rng.uniform(5.0, 8.0)),
    )


def draw_nipple_retraction(
    rng: np.random.Generator, field: ViewField, retraction: NippleRetraction, *, contrast: float
) -> Box | None:
    """Pull the nipple in, in place; the box holds the dimple and the tissue behind it.

    How deep the dimple is does not depend on `contrast`, which scales the tissue.
    """
    window = field.window(field.nipple_mm, AROUND_MM)
    if field.inside[window].size == 0 or not field.inside[window].any():
        return None
    removed = _carve(field, window, retraction)
    behind = _tissue_behind(rng, field, window, retraction) * np.float32(contrast)
    top, left = window[0].start, window[1].start
    lay(field, Patch(behind, top, left))
    seen = visible_box(field, Patch(behind, top, left), share=0.3)
    rows = np.flatnonzero(removed.any(1))
    if seen is None or len(rows) == 0:
        return seen
    first, last = int(rows[0]), int(rows[-1]) + 1
    breast = np.flatnonzero(field.inside[window][first:last].any(0))
    return Box(
        top=min(seen.top, float(top + first)),
        left=seen.left,
        bottom=max(seen.bottom, float(top + last)),
        right=max(seen.right, float(left + breast[-1] + 1)),
    )


def _carve(field: ViewField, window: tuple[slice, slice], retraction: NippleRetraction) -> Bool:
    """Make the dimple: what is in front of it becomes air. Where that was breast, (h, w) bool."""
    rows, columns = window
    forward, across = field.outline.axes(*coordinates(rows, columns))
    dimple = retraction.depth_mm * np.exp(-((across / retraction.width_mm) ** 2))
    inside = field.inside[window]
    edge = _skin_line(field.outline, across) - dimple.astype(np.float32)
    edge += _gap(inside, forward - edge, across, reach_mm=2 * retraction.width_mm)
    near = np.abs(across) < 2 * retraction.width_mm
    removed = inside & near & (forward > edge)
    inside &= ~removed
    air = cv2.copyMakeBorder(inside.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    distance = cv2.distanceTransform(air, cv2.DIST_L2, 5)[1:-1, 1:-1] / PX_PER_MM
    skin = np.minimum(field.skin_mm[window], distance.astype(np.float32)) * inside
    _thin(field, window, skin)
    field.skin_mm[window] = skin
    field.calcium_mm[window] *= inside
    return np.asarray(removed)


def _gap(inside: Bool, beyond: F32, across: F32, *, reach_mm: float) -> F32:
    """How far the real skin line lies before the computed one, even from side to side, mm.

    It is measured where the dimple ends, so that there is no step.
    """
    ends = []
    for side in (-reach_mm, reach_mm):
        strip = inside & (np.abs(across - side) < 0.4)
        ends.append(float(beyond[strip].max()) if strip.any() else 0.0)
    share = np.clip(across / np.float32(2 * reach_mm) + 0.5, 0, 1)
    return np.asarray(ends[0] + (ends[1] - ends[0]) * share, np.float32)


def _skin_line(outline: Outline, across: F32) -> F32:
    """How far forward the skin is beside the nipple, without the nipple, mm along the axis."""
    half = np.where(across > 0, outline.above, outline.below).astype(np.float32)
    power = np.where(across > 0, outline.above_power, outline.below_power).astype(np.float32)
    side = np.minimum(np.abs(across) / half, 1) ** power
    return np.asarray(outline.depth * (1 - side) ** (1 / outline.tip_power), np.float32)


def _thin(field: ViewField, window: tuple[slice, slice], skin: F32) -> None:
    """The breast thins towards the new skin line as it does towards the old one elsewhere."""
    before, thickness = field.skin_mm[window], field.thickness_mm[window]
    steps = np.arange(0, AROUND_MM, 0.5, dtype=np.float32)
    index = np.minimum((before * 2).astype(int), len(steps) - 1)
    count = np.bincount(index[before > 0], minlength=len(steps))
    total = np.bincount(index[before > 0], thickness[before > 0], minlength=len(steps))
    known = count > 0
    usual = np.interp(skin, steps[known] + 0.25, total[known] / count[known])
    usual *= np.clip(skin / 0.25, 0, 1)
    np.minimum(thickness, usual.astype(np.float32), out=thickness)
    dense = field.dense_mm[window]
    areola = sigmoid((np.float32(SKIN_MM) - skin) / np.float32(0.3)) * (skin > 0)
    areola *= np.clip((before - skin) / 2, 0, 1)  # where the skin line has moved
    dense += areola * np.clip(FILLED * thickness - dense, 0, None)
    np.minimum(dense, thickness, out=dense)


def _tissue_behind(
    rng: np.random.Generator,
    field: ViewField,
    window: tuple[slice, slice],
    retraction: NippleRetraction,
) -> F32:
    """The nipple, now behind the skin line, and a fan of strands that pull at it; mm of tissue."""
    outline = field.outline
    corner = np.array([window[0].start, window[1].start], np.float32)
    drawn = np.zeros(field.inside[window].shape, np.float32)

    def pixel(behind: float, across: float) -> tuple[float, float]:
        at = np.array(outline.point(outline.depth - behind, across)) * PX_PER_MM - corner
        return float(at[0]), float(at[1])

    tip = retraction.depth_mm + 1.0
    for angle in np.linspace(-0.75, 0.75, retraction.strands) + rng.normal(0, 0.06):
        length = float(rng.uniform(14, 24))
        end = pixel(tip + length * float(np.cos(angle)), length * float(np.sin(angle)))
        line = curve(rng, pixel(tip, 0.5 * float(np.sin(angle))), end, bend=0.05)
        height = retraction.height_mm * float(rng.uniform(0.7, 1.1))
        width = float(rng.uniform(1.0, 1.8))
        draw_strand(drawn, line, width_mm=(width, 0.4), height_mm=(height, 0.1 * height))
    nipple = np.zeros_like(drawn)
    row, column = pixel(tip + 2.0, 0.0)
    centre = (round(column), round(row))
    cv2.circle(nipple, centre, 35, 1.2 * retraction.height_mm, -1, cv2.LINE_AA)
    return smooth(np.maximum(drawn, smooth(nipple, 1.0)), 0.3)
