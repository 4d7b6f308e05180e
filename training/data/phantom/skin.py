"""Skin thickening: a band of over 2 mm along the skin line, local or around most of a breast."""

from dataclasses import dataclass

import numpy as np

from model_store.arrays import F32
from training.data.phantom.field import PX_PER_MM, ViewField
from training.data.phantom.patch import (
    Patch,
    Point,
    coordinates,
    curve,
    draw_strand,
    lay,
    sigmoid,
    smooth,
    texture,
    visible_box,
)
from training.data.records import Box

DIFFUSE_SHARE = 0.35
LOCAL_MM, DIFFUSE_MM = (3.5, 7.0), (3.0, 5.5)  # normal skin is up to 2 mm
COARSE_PX = 5  # the skin line is looked for on a grid of half millimetres
FILLED = 0.75  # share of the beam's path that is skin, where it runs along the skin


@dataclass(frozen=True, slots=True)
class SkinThickening:
    """`thickness_mm`: of the skin at most; `reach_mm`: from the middle to where skin is normal."""

    thickness_mm: float
    reach_mm: float
    diffuse: bool


def sample_skin_thickening(rng: np.random.Generator) -> SkinThickening:
    """Local or diffuse."""
    diffuse = bool(rng.random() < DIFFUSE_SHARE)
    return SkinThickening(
        thickness_mm=float(rng.uniform(*(DIFFUSE_MM if diffuse else LOCAL_MM))),
        reach_mm=float(rng.uniform(70, 110) if diffuse else rng.uniform(16, 32)),
        diffuse=diffuse,
    )


def draw_skin_thickening(
    rng: np.random.Generator,
    field: ViewField,
    thickening: SkinThickening,
    *,
    centre_mm: Point,
    contrast: float,
) -> Box | None:
    """Thicken the skin nearest to (row, column) in mm, or around the nipple where it is diffuse.

    The box holds the band, its trabeculae underneath and nothing of the breast beyond.
    """
    middle = field.nipple_mm if thickening.diffuse else _nearest_skin(field, centre_mm)
    if middle is None:
        return None
    rows, columns = field.window(middle, thickening.reach_mm)
    skin = field.skin_mm[rows, columns]
    weight = _weight(thickening, rows, columns, middle)
    noise = texture(rng, skin.shape, exponent=5.0, longest_mm=30.0)
    thick = np.float32(thickening.thickness_mm) * weight * np.clip(1 + 0.12 * noise, 0.7, 1.3)
    inside = field.inside[rows, columns]
    band = sigmoid((thick - skin) / np.float32(0.3)) * np.minimum(thick, 1) * inside
    dense, thickness = field.dense_mm[rows, columns], field.thickness_mm[rows, columns]
    added = np.clip(FILLED * thickness - dense, 0, None) * band * np.float32(contrast)
    np.minimum(dense + added, np.maximum(thickness, dense), out=dense)
    trabeculae = _trabeculae(rng, thickening, skin, weight) * np.float32(contrast)
    lay(field, Patch(trabeculae, rows.start, columns.start))
    return visible_box(field, Patch(band, rows.start, columns.start), share=0.5)


def _nearest_skin(field: ViewField, centre_mm: Point) -> Point | None:
    """The skin beside a place, straight away from the nipple's axis; None where there is none."""
    outline = field.outline
    rows, columns = (np.array([value], np.float32) for value in centre_mm)
    along, across = (float(value.item()) for value in outline.axes(rows, columns))
    half = outline.half_extent(along, up=across > 0)
    aim = outline.point(along, half if across > 0 else -half)
    skin = field.skin_mm[::COARSE_PX, ::COARSE_PX]
    line = np.argwhere((skin > 0) & (skin < 1.5 * COARSE_PX / PX_PER_MM)) * COARSE_PX / PX_PER_MM
    if len(line) == 0:
        return None
    nearest = line[np.hypot(*(line - aim).T).argmin()]
    return float(nearest[0]), float(nearest[1])


def _weight(thickening: SkinThickening, rows: slice, columns: slice, middle: Point) -> F32:
    """1 in the middle, 0 from the reach on."""
    down, right = coordinates(rows, columns)
    away = np.hypot(down - np.float32(middle[0]), right - np.float32(middle[1]))
    relative = away / np.float32(thickening.reach_mm)
    return np.asarray(np.clip(1.7 * (1 - relative**2), 0, 1), np.float32)


def _trabeculae(
    rng: np.random.Generator, thickening: SkinThickening, skin: F32, weight: F32
) -> F32:
    """Short strands from the thick skin into the fat beneath, mm of tissue."""
    drawn = np.zeros_like(skin)
    starts = np.argwhere(
        (np.abs(skin[::8, ::8] - thickening.thickness_mm) < 1) & (weight[::8, ::8] > 0.5)
    )
    down, right = np.gradient(skin[::8, ::8], axis=0), np.gradient(skin[::8, ::8], axis=1)
    count = min(int(thickening.reach_mm * rng.uniform(0.4, 0.7)), len(starts))
    for row, column in starts[rng.permutation(len(starts))[:count]]:
        inwards = np.array([down[row, column], right[row, column]])
        inwards = inwards / max(float(np.hypot(*inwards)), 1e-6) + rng.normal(0, 0.5, 2)
        end = np.array([row, column]) * 8 + inwards * rng.uniform(4, 10) * PX_PER_MM
        line = curve(rng, (row * 8.0, column * 8.0), (float(end[0]), float(end[1])), bend=0.1)
        draw_strand(drawn, line, width_mm=(0.6, 0.3), height_mm=(2.2, 0.3))
    return smooth(drawn, 0.2)
