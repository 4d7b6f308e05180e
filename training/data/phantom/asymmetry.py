"""Asymmetries: tissue like the breast's own where the other breast has none; no mass's outline.

Made of textured tissue with fat in between and concave borders, so that it is no smooth blob.
"""

from dataclasses import dataclass

import numpy as np

from model_store.arrays import F32
from training.data.phantom.field import ViewField
from training.data.phantom.patch import (
    STEPS_OF_CIRCLE,
    Point,
    by_angle,
    centred,
    lay,
    polar,
    sigmoid,
    smooth,
    texture,
    visible_box,
)
from training.data.records import Box, Category

# VinDr-Mammo's boxes, median of sqrt(w * h) in pixels of 0.07 to 0.1 mm: 219, 342 and 809.
SIZE_MM = {
    Category.ASYMMETRY: (17.0, 30.0),
    Category.FOCAL_ASYMMETRY: (22.0, 42.0),
    Category.GLOBAL_ASYMMETRY: (60.0, 85.0),
}
HEIGHT_MM = {
    Category.ASYMMETRY: (11.0, 17.0),
    Category.FOCAL_ASYMMETRY: (11.0, 17.0),
    Category.GLOBAL_ASYMMETRY: (10.0, 15.0),
}


EVENED = 0.5  # how much of the texture underneath gives way to it


@dataclass(frozen=True, slots=True)
class Asymmetry:
    """`size_mm`: sqrt(height * width) of the area; `height_mm`: gland along the beam at most."""

    size_mm: float
    height_mm: float
    aspect: float


def sample_asymmetry(rng: np.random.Generator, category: Category) -> Asymmetry:
    """Of one of the three kinds."""
    return Asymmetry(
        size_mm=float(rng.uniform(*SIZE_MM[category])),
        height_mm=float(rng.uniform(*HEIGHT_MM[category])),
        aspect=float(rng.uniform(1.0, 1.5)),
    )


def draw_asymmetry(
    rng: np.random.Generator,
    field: ViewField,
    asymmetry: Asymmetry,
    *,
    centre_mm: Point,
    contrast: float,
) -> Box | None:
    """Add the tissue around (row, column) in mm; the box holds what stands out."""
    half = asymmetry.size_mm / 2
    radius, angle = polar(1.7 * half)
    relative = radius / by_angle(angle, _border(rng, asymmetry) * np.float32(half))
    window = sigmoid((1.0 - relative) / np.float32(0.09))
    noise = texture(rng, radius.shape, exponent=3.4, longest_mm=asymmetry.size_mm * 0.6)
    tissue = sigmoid((noise + np.float32(1.3) * (1 - relative) + np.float32(0.35)) / 0.4)
    fine = texture(rng, radius.shape, exponent=2.6, longest_mm=asymmetry.size_mm / 4)
    grown = window * tissue * np.clip(1 + 0.3 * fine, 0.2, 1.8)
    grown = smooth(grown, 0.15)
    patch = centred(grown * np.float32(asymmetry.height_mm * contrast), centre_mm)
    evened = window * np.float32(EVENED * min(contrast, 1.0))
    lay(field, patch, evened=evened, grain_mm=half / 2)
    return visible_box(field, patch, share=0.3)


def _border(rng: np.random.Generator, asymmetry: Asymmetry) -> F32:
    """(STEPS_OF_CIRCLE,) relative radius by angle: bays where fat reaches in."""
    angle = np.linspace(0, 2 * np.pi, STEPS_OF_CIRCLE, endpoint=False)
    half, turned = asymmetry.aspect**0.5, angle + rng.uniform(0, 2 * np.pi)
    radii = 1 / np.hypot(np.cos(turned) / half, np.sin(turned) * half)
    for order in range(2, 8):
        radii *= np.exp(
            rng.normal(0, 0.3 / order) * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
        )
    bays, phase = int(rng.integers(4, 7)), rng.uniform(0, 2 * np.pi)
    radii *= 1.12 - 0.28 * np.abs(np.cos(bays * angle / 2 + phase)) ** 1.5  # concave in between
    return np.asarray(np.clip(radii, 0.4, 1.6), np.float32)
