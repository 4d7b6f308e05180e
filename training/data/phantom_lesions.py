"""Lesions of a phantom: what a mass or a calcification cluster is, and how it is drawn.

Drawn into (H, W) float32 stored values at 0.1 mm a pixel, in place; the box drawn is returned.
Brightness is added (in stored values of a 12-bit image) as more attenuation would add it.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
PX_PER_MM = 10
MASS_BRIGHTNESS = 520.0  # against about 850 between fat and glandular tissue
SPECK_BRIGHTNESS = 1000.0


@dataclass(frozen=True, slots=True)
class Box:
    """Half-open box in stored pixels: rows top..bottom, columns left..right."""

    top: int
    left: int
    bottom: int
    right: int

    def mirrored(self, columns: int) -> "Box":
        """The same box after the image was flipped left to right."""
        return Box(self.top, columns - self.right, self.bottom, columns - self.left)


@dataclass(frozen=True, slots=True)
class Mass:
    """A mass of 5 to 12 mm radius; lobes are the relative amplitudes of its outline's harmonics."""

    radius_mm: float
    spiculated: bool
    lobes: tuple[float, ...]
    brightness: float


@dataclass(frozen=True, slots=True)
class Calcifications:
    """A cluster: at least five specks of 0.2 to 0.6 mm within about a centimetre."""

    specks: int
    spread_mm: float
    brightness: float


def sample_mass(rng: np.random.Generator) -> Mass:
    """Radius from CBIS-DDSM's middle range (facts: 8 to 22 mm across), margins as often either."""
    return Mass(
        radius_mm=float(rng.uniform(5, 12)),
        spiculated=bool(rng.random() < 0.5),
        lobes=tuple(float(a) for a in rng.normal(0, [0.1, 0.06, 0.04])),
        brightness=float(rng.uniform(0.8, 1.25)),
    )


def sample_calcifications(rng: np.random.Generator) -> Calcifications:
    """Number, spread and brightness of a cluster."""
    return Calcifications(
        specks=int(rng.integers(7, 22)),
        spread_mm=float(rng.uniform(1.6, 2.8)),
        brightness=float(rng.uniform(0.8, 1.25)),
    )


def draw_mass(
    rng: np.random.Generator,
    values: F32,
    *,
    mass: Mass,
    centre_mm: tuple[float, float],
    contrast: float,
) -> Box:
    """Add a mass around (row, column) in mm; its box encloses the body, not the spicules."""
    reach = int(mass.radius_mm * PX_PER_MM * 2)
    size = 2 * reach + 1
    ys, xs = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    angle = np.arctan2(ys, xs)
    radius = np.full_like(angle, mass.radius_mm * PX_PER_MM)
    for order, amplitude in enumerate(mass.lobes, start=2):
        phase = float(rng.uniform(0, 2 * np.pi))
        radius *= 1 + np.float32(amplitude) * np.cos(order * angle + phase)
    relative = np.hypot(ys, xs) / radius
    # Half a sphere seen from above, with a flat foot so that the margin is an edge.
    body = np.where(relative < 1, 0.45 + 0.55 * np.sqrt(np.clip(1 - relative**2, 0, 1)), 0)
    body = cv2.GaussianBlur(body.astype(np.float32), (0, 0), 2.5 if mass.spiculated else 1.5)
    if mass.spiculated:
        body = np.maximum(body, _spicules(rng, mass, size))
    brightness = MASS_BRIGHTNESS * mass.brightness * contrast
    top, left = (round(mm * PX_PER_MM) - reach for mm in centre_mm)
    _add_clipped(values, body * np.float32(brightness), top, left)
    rows, columns = np.nonzero(relative < 1)
    return _clipped_box(rows + top, columns + left, values.shape)


def _spicules(rng: np.random.Generator, mass: Mass, size: int) -> F32:
    drawn = np.zeros((size, size), np.float32)
    centre = size // 2
    for angle in np.linspace(0, 2 * np.pi, int(rng.integers(14, 24)), endpoint=False):
        turned = float(angle + rng.normal(0, 0.12))
        length = mass.radius_mm * PX_PER_MM * float(rng.uniform(1.3, 1.9))
        end = (
            round(centre + length * float(np.cos(turned))),
            round(centre + length * float(np.sin(turned))),
        )
        cv2.line(drawn, (centre, centre), end, float(rng.uniform(0.5, 0.9)), 3, cv2.LINE_AA)
    away = np.abs(np.arange(size, dtype=np.float32) - centre) / centre
    drawn *= 1.2 - np.hypot(away[:, None], away[None, :])  # they thin out
    return np.asarray(cv2.GaussianBlur(drawn, (0, 0), 1.5), np.float32)


def draw_calcifications(
    rng: np.random.Generator,
    values: F32,
    *,
    cluster: Calcifications,
    centre_mm: tuple[float, float],
    contrast: float,
) -> Box:
    """Add a cluster around (row, column) in mm; its box encloses every speck."""
    offsets = np.clip(rng.normal(0, cluster.spread_mm, (cluster.specks, 2)), -5, 5)
    centres = (np.asarray(centre_mm) + offsets) * PX_PER_MM
    centres = np.clip(centres, 8, np.asarray(values.shape) - 9)
    _draw_specks(rng, values, centres, brightness=cluster.brightness * contrast)
    rows, columns = np.rint(centres).astype(int).T
    around = np.array([-4, 4])
    return _clipped_box(
        (rows[:, None] + around).ravel(), (columns[:, None] + around).ravel(), values.shape
    )


def draw_benign(
    rng: np.random.Generator, values: F32, *, inside: NDArray[np.bool_], contrast: float
) -> None:
    """One to three single calcifications anywhere in the breast: specks, or coarse and round.

    A speck here is drawn as one of a suspicious cluster is; what is suspicious is the cluster.
    """
    rows, columns = np.nonzero(inside[::16, ::16])
    for chosen in rng.integers(len(rows), size=int(rng.integers(1, 4))):
        centre = np.array([[rows[chosen] * 16.0, columns[chosen] * 16.0]])
        # Up to brighter than a cluster's, whose maximum is taken over many specks.
        brightness = float(rng.uniform(1.0, 1.6)) * contrast
        if rng.random() < 0.6:
            _draw_specks(rng, values, centre, brightness=brightness)
            continue
        spot = np.zeros((41, 41), np.float32)
        cv2.circle(spot, (20, 20), int(rng.integers(6, 12)), 1.0, -1, cv2.LINE_AA)
        blurred = np.asarray(cv2.GaussianBlur(spot, (0, 0), 1.5), np.float32)
        top, left = (int(at) - 20 for at in centre[0])
        _add_clipped(values, blurred * np.float32(0.8 * SPECK_BRIGHTNESS * brightness), top, left)


def _draw_specks(
    rng: np.random.Generator, values: F32, centres: NDArray[np.float64], *, brightness: float
) -> None:
    """Specks of 0.2 to 0.6 mm at (N, 2) row, column in pixels."""
    for row, column in centres:
        length = float(rng.uniform(2, 6))
        size = (length, length * float(rng.uniform(0.6, 1)))
        patch = np.zeros((17, 17), np.float32)
        turned = float(rng.uniform(0, 180))
        cv2.ellipse(patch, ((8.0, 8.0), size, turned), 1.0, -1, cv2.LINE_AA)
        blurred = np.asarray(cv2.GaussianBlur(patch, (0, 0), 0.7), np.float32)
        bright = SPECK_BRIGHTNESS * brightness * float(rng.uniform(0.7, 1.2))
        _add_clipped(values, blurred * np.float32(bright), round(row) - 8, round(column) - 8)


def _add_clipped(values: F32, patch: F32, top: int, left: int) -> None:
    height, width = values.shape
    bottom, right = min(top + patch.shape[0], height), min(left + patch.shape[1], width)
    first_row, first_column = max(top, 0), max(left, 0)
    values[first_row:bottom, first_column:right] += patch[
        first_row - top : bottom - top, first_column - left : right - left
    ]


def _clipped_box(
    rows: NDArray[np.int64], columns: NDArray[np.int64], shape: tuple[int, ...]
) -> Box:
    return Box(
        top=max(int(rows.min()), 0),
        left=max(int(columns.min()), 0),
        bottom=min(int(rows.max()) + 1, shape[0]),
        right=min(int(columns.max()) + 1, shape[1]),
    )
