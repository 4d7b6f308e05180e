"""Architectural distortion: tissue pulled towards a point, strands radiating from it, no mass."""

from dataclasses import dataclass

import cv2
import numpy as np

from model_store.arrays import F32
from training.data.phantom.field import PX_PER_MM, ViewField
from training.data.phantom.patch import (
    Patch,
    Point,
    centred,
    curve,
    draw_strand,
    lay,
    overlap,
    polar,
    smooth,
    visible_box,
)
from training.data.records import Box

SIZE_MM = (18.0, 34.0)  # VinDr-Mammo: box side of 201 pixels in the median, near 0.085 mm

GAPS = 0.35  # how much of the tissue between strands gives way to fat


@dataclass(frozen=True, slots=True)
class Distortion:
    """`size_mm`: across the strands; `pull`: how far tissue moves inwards, share of its distance.

    height_mm: gland along the beam in a strand where it leaves the middle.
    """

    size_mm: float
    strands: int
    pull: float
    height_mm: float


def sample_distortion(rng: np.random.Generator) -> Distortion:
    """Its size, strands and pull."""
    return Distortion(
        size_mm=float(rng.uniform(*SIZE_MM)),
        strands=int(rng.integers(16, 27)),
        pull=float(rng.uniform(0.35, 0.5)),
        height_mm=float(rng.uniform(4.0, 6.5)),
    )


def draw_distortion(
    rng: np.random.Generator,
    field: ViewField,
    distortion: Distortion,
    *,
    centre_mm: Point,
    contrast: float,
) -> Box | None:
    """Pull tissue in and add strands around (row, column) in mm; the box holds the strands."""
    half = distortion.size_mm / 2
    strands = centred(_strands(rng, distortion), centre_mm)
    _pull(field, centre_mm, reach_mm=1.25 * half, pull=min(distortion.pull * contrast, 0.6))
    patch = Patch(strands.values * np.float32(contrast), strands.top, strands.left)
    lay(field, patch)
    _open_gaps(field, patch, size_mm=distortion.size_mm, share=min(GAPS * contrast, 0.9))
    return visible_box(field, patch, share=0.12)


def _pull(field: ViewField, centre_mm: Point, *, reach_mm: float, pull: float) -> None:
    """Tissue within reach moves towards the centre; at the edge of the reach nothing moves."""
    radius, _ = polar(reach_mm)
    reach = len(radius) // 2
    relative = np.minimum(radius / np.float32(reach_mm), 1)
    outwards = 1 + np.float32(pull) / (1 - np.float32(pull)) * (1 - relative**2) ** 2
    axis = np.arange(-reach, reach + 1, dtype=np.float32)
    row, column = (at * PX_PER_MM for at in centre_mm)
    here, there = overlap(
        Patch(radius, round(row) - reach, round(column) - reach), field.dense_mm.shape
    )
    columns = (np.float32(column) + axis[None, :] * outwards)[here]
    rows = (np.float32(row) + axis[:, None] * outwards)[here]
    if columns.size == 0:
        return
    first_row, first_column = max(int(rows.min()) - 2, 0), max(int(columns.min()) - 2, 0)
    around = (
        slice(first_row, int(rows.max()) + 3),
        slice(first_column, int(columns.max()) + 3),
    )
    columns -= np.float32(first_column)
    rows -= np.float32(first_row)
    moved = _remapped(field.dense_mm[around], rows, columns)
    muscle = _remapped(field.muscle[around].astype(np.float32), rows, columns) > 0
    mask = field.inside[there] & ~field.muscle[there] & ~muscle  # muscle is not pulled
    field.dense_mm[there][mask] = np.minimum(moved, field.thickness_mm[there])[mask]


def _open_gaps(field: ViewField, strands: Patch, *, size_mm: float, share: float) -> None:
    """Fat between the strands: what is no strand gets thinner towards the middle."""
    radius = polar((len(strands.values) // 2) / PX_PER_MM)[0]
    near = np.exp(-np.square(radius / np.float32(0.4 * size_mm)))
    between = 1 - np.clip(strands.values / max(float(strands.values.max()) / 3, 1e-6), 0, 1)
    here, there = overlap(strands, field.dense_mm.shape)
    thinner = 1 - np.float32(share) * (near * smooth(between, 0.15))[here]
    field.dense_mm[there] *= np.where(field.muscle[there], 1, thinner)


def _remapped(values: F32, rows: F32, columns: F32) -> F32:
    moved = cv2.remap(
        values,
        np.ascontiguousarray(columns),
        np.ascontiguousarray(rows),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(moved, np.float32)


def _strands(rng: np.random.Generator, distortion: Distortion) -> F32:
    half = distortion.size_mm / 2
    drawn = np.zeros_like(polar(1.35 * half)[0])
    middle = len(drawn) // 2
    step = 2 * np.pi / distortion.strands
    for angle in np.arange(distortion.strands) * step + rng.uniform(0, 2 * np.pi):
        turned = float(angle + rng.normal(0, step / 3))
        start = float(rng.uniform(0.04, 0.34)) * half * PX_PER_MM
        end = float(rng.uniform(0.6, 1.25)) * half * PX_PER_MM
        line = curve(
            rng,
            (middle + start * float(np.sin(turned)), middle + start * float(np.cos(turned))),
            (middle + end * float(np.sin(turned)), middle + end * float(np.cos(turned))),
            bend=0.05,
        )
        height = distortion.height_mm * float(rng.uniform(0.6, 1.1))
        width = float(rng.uniform(0.45, 0.8))
        draw_strand(drawn, line, width_mm=(width, 0.25), height_mm=(height, 0.1 * height))
    return smooth(drawn, 0.15)
