"""Breast outline and tissue of a phantom view: skin, fat, glandular tissue, pectoral muscle, 1/f^3.

Tissue is made at 0.2 mm and enlarged; what is finer (noise, specks) the caller adds at 0.1 mm.
Frame: chest wall at the left edge. Stored values are those of a 12-bit For Presentation image.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

COARSE_MM = 0.2
POWER_LAW = 3.0  # Burgess, Proc SPIE 5034 (2003): beta 2.8 to 3; P(f) = K / f^beta
FIELD_SHAPE = (1152, 960)  # covers 2294 x 1914 at half size; factors 2, 3, 5 make the FFT fast
# Dense share of the projected area, mean and sd: 403 women, by BI-RADS class (facts in LOG.md).
DENSE_SHARE = {"A": (0.05, 0.03), "B": (0.19, 0.06), "C": (0.40, 0.08), "D": (0.62, 0.08)}
SKIN_MM = 1.5
ROLL_OFF_MM = 9.0  # the compressed breast thins towards the skin


@dataclass(frozen=True, slots=True)
class Outline:
    """The breast's silhouette in mm: half an ellipse on the chest wall; MLO adds axilla, muscle."""

    nipple_mm: float
    half_height_mm: float
    centre_mm: float
    axilla_mm: float
    muscle_top_mm: float
    muscle_bottom_mm: float


@dataclass(frozen=True, slots=True, eq=False)
class Tissue:
    """Noise-free stored values (H, W) float32, and where the breast is (H, W) bool."""

    values: F32
    inside: NDArray[np.bool_]


def sample_outline(rng: np.random.Generator, *, nipple_mm: float, oblique: bool) -> Outline:
    """Size and form of one view; both views of a breast share the nipple's distance."""
    nipple = nipple_mm * float(rng.uniform(0.95, 1.05))
    half_height = float(np.clip(nipple * rng.uniform(0.95, 1.15), 65, 95))
    if not oblique:
        return Outline(nipple, half_height, float(rng.uniform(108, 120)), 0, 0, 0)
    return Outline(
        nipple,
        half_height,
        centre_mm=float(rng.uniform(122, 130)),
        axilla_mm=nipple * float(rng.uniform(0.55, 0.75)),
        muscle_top_mm=nipple * float(rng.uniform(0.35, 0.6)),
        muscle_bottom_mm=float(rng.uniform(90, 135)),
    )


def draw_tissue(
    rng: np.random.Generator, outline: Outline, *, density: str, shape: tuple[int, int]
) -> Tissue:
    """Tissue of one view at full size. `density` is A to D."""
    coarse = (shape[0] // 2, shape[1] // 2)
    extent_mm = _extent(outline, coarse[0])
    columns_mm = (np.arange(coarse[1], dtype=np.float32) + 0.5) * np.float32(COARSE_MM)
    inside = columns_mm[None, :] < extent_mm[:, None]
    depth_mm = _skin_distance(inside)
    field = power_law_field(rng)[: coarse[0], : coarse[1]]
    glandular = _glandular(rng, outline, inside & (depth_mm > 4), field=field, density=density)
    fat = np.float32(rng.uniform(1150, 1350))
    values = fat + glandular * np.float32(rng.uniform(750, 950))
    values += np.roll(field, (371, 293), (0, 1)) * np.float32(rng.uniform(90, 130))
    _draw_muscle(values, outline, columns_mm, level=float(fat + rng.uniform(850, 1100)))
    values *= 0.62 + 0.38 * (1 - np.exp(-depth_mm / np.float32(ROLL_OFF_MM)))
    values[inside & (depth_mm < SKIN_MM)] += 160
    np.clip(values, 760, None, out=values)
    full = np.asarray(cv2.resize(values, shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
    mask = cv2.resize(inside.astype(np.float32), shape[::-1], interpolation=cv2.INTER_LINEAR)
    return Tissue(full, mask > 0.5)


def _extent(outline: Outline, rows: int) -> F32:
    """How far the breast reaches from the chest wall in each coarse row, mm."""
    rows_mm = (np.arange(rows, dtype=np.float32) + 0.5) * np.float32(COARSE_MM)
    relative = (rows_mm - outline.centre_mm) / outline.half_height_mm
    ellipse = outline.nipple_mm * np.sqrt(np.clip(1 - relative**2, 0, None))
    nipple = 4 * np.exp(-(((rows_mm - outline.centre_mm) / 4) ** 2))
    above = rows_mm < outline.centre_mm
    axilla = np.where(above, outline.axilla_mm * (1 - 0.25 * rows_mm / outline.centre_mm), 0)
    smooth = (ellipse**4 + axilla**4) ** 0.25 + nipple
    return np.asarray(smooth, np.float32)


def _skin_distance(inside: NDArray[np.bool_]) -> F32:
    """Distance to the skin in mm; the frame's edges are no skin."""
    padded = cv2.copyMakeBorder(inside.astype(np.uint8), 0, 0, 400, 0, cv2.BORDER_REPLICATE)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[:, 400:]
    return np.asarray(distance * COARSE_MM, np.float32)


@cache
def _amplitude() -> F32:
    rows = np.fft.fftfreq(FIELD_SHAPE[0])[:, None]
    columns = np.fft.rfftfreq(FIELD_SHAPE[1])[None, :]
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = np.inf
    # Below two periods a frame the field would be a slope, not texture.
    return np.where(frequency < 2 / FIELD_SHAPE[0], 0, frequency ** (-POWER_LAW / 2)).astype(
        np.float32
    )


def power_law_field(rng: np.random.Generator) -> F32:
    """Isotropic Gaussian field with spectrum 1/f^3: FIELD_SHAPE, mean 0, sd 1."""
    amplitude = _amplitude()
    spectrum = rng.standard_normal((*amplitude.shape, 2), dtype=np.float32)
    complex_spectrum = spectrum.view(np.complex64)[..., 0] * amplitude
    field = np.fft.irfft2(complex_spectrum, s=FIELD_SHAPE).astype(np.float32)
    return np.asarray(field / field.std(), np.float32)


def _glandular(
    rng: np.random.Generator,
    outline: Outline,
    inside: NDArray[np.bool_],
    *,
    field: F32,
    density: str,
) -> F32:
    """Share of glandular tissue, 0 to 1: the field, drawn towards the nipple, cut at a quantile."""
    mean, sd = DENSE_SHARE[density]
    share = float(np.clip(rng.normal(mean, sd), 0.01, 0.8))
    rows_mm = (np.arange(field.shape[0], dtype=np.float32) * COARSE_MM)[:, None]
    columns_mm = (np.arange(field.shape[1], dtype=np.float32) * COARSE_MM)[None, :]
    away = ((rows_mm - outline.centre_mm) / (0.6 * outline.half_height_mm)) ** 2
    away = away + ((columns_mm - 0.6 * outline.nipple_mm) / (0.45 * outline.nipple_mm)) ** 2
    tendency = field - np.float32(0.5) * away.astype(np.float32)
    cut = np.quantile(tendency[::4, ::4][inside[::4, ::4]], 1 - share)
    gland = _sigmoid((tendency - np.float32(cut)) / np.float32(0.3))
    return np.asarray(cv2.blur(gland * inside, (5, 5)), np.float32)


def _draw_muscle(values: F32, outline: Outline, columns_mm: F32, *, level: float) -> None:
    """Pectoral muscle of an MLO view: a triangle in the upper corner on the chest wall."""
    if outline.muscle_top_mm == 0:
        return
    rows_mm = (np.arange(values.shape[0], dtype=np.float32) * np.float32(COARSE_MM))[:, None]
    edge_mm = outline.muscle_top_mm * (1 - rows_mm / outline.muscle_bottom_mm)
    weight = _sigmoid((edge_mm - columns_mm[None, :]) / np.float32(0.8))
    values += weight * np.float32(0.75) * (np.float32(level) - values)


def _sigmoid(x: F32) -> F32:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -30, 30))), np.float32)
