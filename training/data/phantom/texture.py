"""Textures of tissue on the coarse grid: 1/f^3 fields, and strands that run towards the nipple.

A Gaussian field alone looks like clouds: what makes a mammogram are thin curved lines (Abbey and
Bochud on clustered backgrounds). The lines here are where a smooth noise is zero, of even width.
"""

from functools import cache

import cv2
import numpy as np

from model_store.arrays import F32
from training.data.phantom.field import ROWS
from training.data.phantom.outline import Outline
from training.data.phantom.silhouette import COARSE_MM, PLAN_MM, grid

POWER_LAW = 3.0  # Burgess, Proc SPIE 5034 (2003): beta 2.8 to 3; P(f) = K / f^beta
FIELD_SHAPE = (1152, 960)  # covers the coarse grid; factors 2, 3, 5 make the FFT fast
NOISE_CELLS = 128
BEND_SOFT_MM = 2.5


@cache
def _amplitude() -> F32:
    frequency = np.hypot(
        np.fft.fftfreq(FIELD_SHAPE[0])[:, None], np.fft.fftfreq(FIELD_SHAPE[1])[None, :]
    )
    frequency[0, 0] = np.inf
    # Below two periods a frame the field would be a slope, not texture.
    slow = frequency < 2 / FIELD_SHAPE[0]
    return np.where(slow, 0, frequency ** (-POWER_LAW / 2)).astype(np.float32)


def power_law_fields(rng: np.random.Generator) -> tuple[F32, F32]:
    """Two independent isotropic Gaussian fields with spectrum 1/f^3: FIELD_SHAPE, mean 0, sd 1."""
    amplitude = _amplitude()
    white = rng.standard_normal((*amplitude.shape, 2), dtype=np.float32)
    both = np.fft.fft2(white.view(np.complex64)[..., 0] * amplitude)
    real, imaginary = np.ascontiguousarray(both.real), np.ascontiguousarray(both.imag)
    return real / real.std(), imaginary / imaginary.std()


class Weave:
    """Coordinates that run towards the nipple, bent by a field, to draw textures along.

    `along` is the distance to the nipple and `across` the way around it, both in mm (coarse grid).
    """

    def __init__(self, outline: Outline, bend: F32, *, bend_mm: float = 4.5) -> None:
        rows, columns = grid(PLAN_MM, outline)
        # The lines meet a little before the nipple: behind it they run side by side.
        u, v = outline.axes(rows, columns)
        ahead = outline.depth + 14 - u
        shape, fine = ahead.shape[::-1], PLAN_MM / COARSE_MM
        along = np.hypot(ahead, v)
        across = np.arctan2(v, np.maximum(ahead, 1)) * np.float32(75)
        for bent, turned in ((along, bend), (across, bend[::-1, ::-1])):
            # The field's slow part alone, for lines that swing and do not shiver.
            slow = cv2.resize(turned, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
            slow = slow[: shape[1], : shape[0]]
            bent += np.float32(bend_mm) * cv2.GaussianBlur(slow, (0, 0), BEND_SOFT_MM / PLAN_MM)
        size = (round(shape[0] * fine), ROWS // 2)
        self.along = np.asarray(cv2.resize(along, size), np.float32)
        self.across = np.asarray(cv2.resize(across, size), np.float32)

    def stretched(self, field: F32, *, factor: float) -> F32:
        """A periodic field of the coarse grid's spacing, `factor` times as long along as across."""
        return self._look_up(field, COARSE_MM * factor, COARSE_MM)

    def noise(self, rng: np.random.Generator, *, along_mm: float, across_mm: float) -> F32:
        """Smooth noise, sd about 0.6, whose grains are this large 75 mm from the nipple."""
        cells = rng.standard_normal((NOISE_CELLS, NOISE_CELLS), dtype=np.float32)
        fine = cv2.resize(cells, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
        return self._look_up(np.asarray(fine, np.float32), along_mm / 4, across_mm / 4)

    def _look_up(self, texture: F32, along_mm: float, across_mm: float) -> F32:
        x = self.along * np.float32(1 / along_mm)
        y = self.across * np.float32(1 / across_mm) + np.float32(texture.shape[0] / 2)
        taken = cv2.remap(texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        return np.asarray(taken, np.float32)


def lines(noise: F32, *, half_width_mm: float) -> F32:
    """Curves of even width where the noise is zero: 1 on the curve, 0 away from it."""
    down, right = (cv2.Sobel(noise, cv2.CV_32F, *by, scale=1 / 8) for by in ((0, 1), (1, 0)))
    steep = np.asarray(cv2.magnitude(right, down), np.float32)
    steep = steep * np.float32(half_width_mm / COARSE_MM) + np.float32(1e-3)
    away = np.abs(noise) / steep
    return np.asarray(1 / (1 + away**4), np.float32)


def sigmoid(x: F32) -> F32:
    """0 to 1."""
    return np.asarray(0.5 + 0.5 * np.tanh(np.float32(0.5) * x), np.float32)
