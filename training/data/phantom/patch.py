"""Patches: a lesion's millimetres of tissue around its centre, laid into a ViewField in place.

Also the texture and the strands that several lesions are made of, and the box around what is
visible. Knows no finding.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from model_store.arrays import F32
from training.data.phantom.field import PX_PER_MM, SPACING_MM, ViewField
from training.data.records import Box

FULL = 1.15  # gland-equivalent of a beam's path at most, for tumours are denser than gland
TEXTURE_PX = 2  # texture is made at 0.2 mm and enlarged
STEPS_OF_CIRCLE = 720  # of an outline by angle
Point = tuple[float, float]


@dataclass(slots=True, eq=False)
class Patch:
    """(h, w) millimetres along the beam; top, left: where its corner lies in the view, pixels."""

    values: F32
    top: int
    left: int


def centred(values: F32, centre_mm: Point) -> Patch:
    """The patch whose middle pixel lies at (row, column) in mm."""
    height, width = values.shape
    return Patch(
        values,
        round(centre_mm[0] * PX_PER_MM) - height // 2,
        round(centre_mm[1] * PX_PER_MM) - width // 2,
    )


def polar(half_mm: float) -> tuple[F32, F32]:
    """Radius in mm and angle (0 to 2 pi, 0 to the right, growing downwards) around a centre.

    Both (n, n) with n = 2 * half + 1 pixels.
    """
    reach = round(half_mm * PX_PER_MM)
    axis = np.arange(-reach, reach + 1, dtype=np.float32) / np.float32(PX_PER_MM)
    columns, rows = np.meshgrid(axis, axis)
    radius, angle = cv2.cartToPolar(columns, rows)
    return np.asarray(radius, np.float32), np.asarray(angle, np.float32)


def coordinates(rows: slice, columns: slice) -> tuple[F32, F32]:
    """(h, 1) rows and (1, w) columns in mm of a view's window."""
    down, right = (
        np.arange(part.start, part.stop).astype(np.float32) * np.float32(SPACING_MM)
        for part in (rows, columns)
    )
    return down[:, None], right[None, :]


def by_angle(angle: F32, values: F32) -> F32:
    """Values given at equal steps of the whole circle, looked up at angles of 0 to 2 pi."""
    index = (angle * np.float32(len(values) / (2 * np.pi))).astype(np.int32) % len(values)
    return np.asarray(values[index], np.float32)


def smooth(values: F32, sigma_mm: float) -> F32:
    """Gaussian blur of `sigma_mm`."""
    sigma = max(sigma_mm * PX_PER_MM, 0.3)
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma), np.float32)


def sigmoid(x: F32) -> F32:
    """1 / (1 + exp(-x))."""
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -30, 30))), np.float32)


def texture(
    rng: np.random.Generator, shape: tuple[int, int], *, exponent: float = 3.0, longest_mm: float
) -> F32:
    """Power-law noise of `shape`, mean 0, sd 1; nothing longer than `longest_mm`.

    The breast's own texture is 1/f^3 (Burgess, Proc SPIE 5034, 2003), and so are the lesions made
    of tissue.
    """
    rows, columns = (cv2.getOptimalDFTSize(size // TEXTURE_PX + 2) for size in shape)
    frequency = np.hypot(
        np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None, :]
    )  # cycles a coarse pixel
    lowest = TEXTURE_PX / (longest_mm * PX_PER_MM)
    amplitude = np.maximum(frequency, lowest) ** (-exponent / 2)
    amplitude[0, 0] = 0
    noise = rng.standard_normal((*amplitude.shape, 2), dtype=np.float32)
    spectrum = noise.view(np.complex64)[..., 0] * amplitude.astype(np.float32)
    coarse = np.fft.irfft2(spectrum, s=(rows, columns)).astype(np.float32)
    coarse /= max(float(coarse.std()), 1e-9)
    large = cv2.resize(coarse, None, fx=TEXTURE_PX, fy=TEXTURE_PX, interpolation=cv2.INTER_LINEAR)
    return np.asarray(large[: shape[0], : shape[1]], np.float32)


def draw_strand(
    values: F32, points: F32, *, width_mm: tuple[float, float], height_mm: tuple[float, float]
) -> None:
    """A tapering line along (n, 2) row, column pixels, from first to last width and height.

    Height is tissue along the beam. Where it crosses what is drawn already, the higher one stays.
    """
    line = np.zeros_like(values)
    steps = len(points) - 1
    corners = np.rint(points[:, ::-1] * 16).astype(int)
    for step in range(steps):
        share = (step + 0.5) / steps
        width = width_mm[0] + share * (width_mm[1] - width_mm[0])
        height = height_mm[0] + share * (height_mm[1] - height_mm[0])
        cv2.line(
            line,
            tuple(corners[step].tolist()),
            tuple(corners[step + 1].tolist()),
            float(height),
            max(round(width * PX_PER_MM), 1),
            cv2.LINE_AA,
            4,
        )
    np.maximum(values, line, out=values)


def curve(
    rng: np.random.Generator, start: Point, end: Point, *, bend: float, points: int = 9
) -> F32:
    """(points, 2) of a gently bent line between two points; `bend` is a share of its length."""
    along = np.linspace(0, 1, points, dtype=np.float32)[:, None]
    first, last = np.asarray(start, np.float32), np.asarray(end, np.float32)
    across = np.array([-(last - first)[1], (last - first)[0]], np.float32)
    bow = np.float32(rng.normal(0, bend)) * np.sin(np.pi * along)
    sway = np.float32(rng.normal(0, bend / 2)) * np.sin(2 * np.pi * along)
    return np.asarray(first + along * (last - first) + (bow + sway) * across, np.float32)


def lay(
    field: ViewField,
    patch: Patch,
    *,
    evened: F32 | None = None,
    grain_mm: float = 5.0,
    denser: float = 0.0,
) -> None:
    """Add tissue to the field where the breast is; it takes the place of some that was there.

    `evened` (as the patch, 0 to 1): how much of the texture that was there gives way to its local
    mean over `grain_mm`, as a body does that pushes strands aside. `denser`: in gland throughout,
    this share more is added than in fat.
    """
    here, there = overlap(patch, field.dense_mm.shape)
    dense, thickness = field.dense_mm[there], field.thickness_mm[there]
    if dense.size == 0:
        return
    mean = _local_mean(dense, grain_mm)
    filled = np.clip(mean / np.maximum(thickness, 1), 0, 1)
    added = patch.values[here] * (1 + np.float32(denser) * filled)
    if evened is not None:
        added += evened[here] * (mean - dense)
    added *= field.inside[there]
    np.clip(added, -dense, None, out=added)
    dense += np.minimum(added, np.maximum(np.float32(FULL) * thickness - dense, 0))


def _local_mean(values: F32, grain_mm: float) -> F32:
    """Gaussian mean, computed at a quarter of the resolution."""
    size = (max(values.shape[1] // 4, 1), max(values.shape[0] // 4, 1))
    small = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), grain_mm * PX_PER_MM / 4)
    return np.asarray(cv2.resize(blurred, values.shape[::-1]), np.float32)


def overlap(
    patch: Patch, shape: tuple[int, ...]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Slices of the patch and of the view where the two overlap."""
    height, width = patch.values.shape
    top, left = max(patch.top, 0), max(patch.left, 0)
    bottom = max(min(patch.top + height, shape[0]), top)
    right = max(min(patch.left + width, shape[1]), left)
    return (
        (
            slice(top - patch.top, bottom - patch.top),
            slice(left - patch.left, right - patch.left),
        ),
        (slice(top, bottom), slice(left, right)),
    )


def visible_box(field: ViewField, patch: Patch, *, share: float) -> Box | None:
    """Around what exceeds `share` of the patch's maximum in the breast; None if nothing does."""
    here, there = overlap(patch, field.inside.shape)
    shown = np.abs(patch.values[here]) * field.inside[there]
    if shown.size == 0 or shown.max() <= 0:
        return None
    seen = shown > share * float(np.abs(patch.values).max())
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    if len(rows) == 0:
        return None
    top, left = there[0].start, there[1].start
    return Box(
        top=float(top + rows[0]),
        left=float(left + columns[0]),
        bottom=float(top + rows[-1] + 1),
        right=float(left + columns[-1] + 1),
    )
