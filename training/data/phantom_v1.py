"""Synthetic mammogram studies, v1: four views of two breasts, masses and calcification clusters.

Everything is drawn in one frame: chest wall at the left edge, rows downwards, 0.1 mm a pixel;
right breasts are mirrored at the very end, boxes with them. All chance comes from the generator
passed in. Numbers are those of the literature where one is named. A phantom proves that the
machinery works and nothing about patients. Knows nothing of DICOM, captions or torch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum, unique

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data.phantom_lesions import (
    Box,
    Calcifications,
    Mass,
    draw_benign,
    draw_calcifications,
    draw_mass,
    sample_calcifications,
    sample_mass,
)
from training.data.phantom_tissue import Outline, Tissue, draw_tissue, sample_outline

ROWS, COLUMNS = 2294, 1914  # a 19 x 23 cm detector at 0.1 mm
SPACING_MM = 0.1
BITS_STORED = 12
MAXIMUM = 2**BITS_STORED - 1
GENERATOR = 2
"""Raised with every change of what is drawn: canvases on disk are of one generator."""
BENIGN_SHARE = 0.85  # views with single calcifications that are of no concern
MARKER_TOP_MM = 16.0  # inside the upper tenth of the frame, which the breast box does not look at


@unique
class Side(StrEnum):
    """Laterality, as DICOM codes it."""

    LEFT = "L"
    RIGHT = "R"


@unique
class Projection(StrEnum):
    """The two standard views."""

    CC = "CC"
    MLO = "MLO"


@unique
class Density(StrEnum):
    """BI-RADS density class."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"


DENSITY_SHARE = {Density.A: 0.1, Density.B: 0.4, Density.C: 0.4, Density.D: 0.1}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a lesion lies, as fractions: depth 0 chest wall to 1 nipple; the others -1 to 1."""

    depth: float
    upper: float
    outer: float


@dataclass(frozen=True, slots=True)
class Breast:
    """One breast's truth: what both its views show."""

    side: Side
    density: Density
    mass: Mass | None
    mass_place: Place | None
    calcifications: Calcifications | None
    calcifications_place: Place | None


@dataclass(frozen=True, slots=True, eq=False)
class PhantomView:
    """One image: (2294, 1914) uint16 stored values, 12 bit, and its lesions' boxes in stored px."""

    side: Side
    projection: Projection
    pixels: NDArray[np.uint16]
    mass_box: Box | None
    calcifications_box: Box | None


@dataclass(frozen=True, slots=True, eq=False)
class PhantomStudy:
    """Four views and the truth of both breasts."""

    breasts: tuple[Breast, Breast]
    views: tuple[PhantomView, ...]

    def breast(self, side: Side) -> Breast:
        """The breast of that side."""
        return self.breasts[0] if self.breasts[0].side is side else self.breasts[1]


@dataclass(frozen=True, slots=True)
class PhantomRules:
    """How often and how clearly lesions appear. `contrast` scales all lesions' brightness."""

    mass_share: float = 0.4
    calcification_share: float = 0.4
    contrast: float = 1.0


STANDARD = PhantomRules()


def make_study(rng: np.random.Generator, rules: PhantomRules = STANDARD) -> PhantomStudy:
    """Draw one whole study; the same generator state gives the same pixels."""
    density = Density(rng.choice([*DENSITY_SHARE], p=[*DENSITY_SHARE.values()]))
    breasts = (
        sample_breast(rng, Side.LEFT, density=density, rules=rules),
        sample_breast(rng, Side.RIGHT, density=density, rules=rules),
    )
    return PhantomStudy(breasts, tuple(_views(rng, breasts, rules)))


def study_generator(seed: int, number: int) -> np.random.Generator:
    """The generator of study `number` of a series: independent of all the others."""
    return np.random.default_rng([seed, number])


def sample_breast(
    rng: np.random.Generator, side: Side, *, density: Density, rules: PhantomRules
) -> Breast:
    """Decide what one breast holds."""
    has_mass = rng.random() < rules.mass_share
    has_calcifications = rng.random() < rules.calcification_share
    return Breast(
        side=side,
        density=density,
        mass=sample_mass(rng) if has_mass else None,
        mass_place=_sample_place(rng) if has_mass else None,
        calcifications=sample_calcifications(rng) if has_calcifications else None,
        calcifications_place=_sample_place(rng) if has_calcifications else None,
    )


def _sample_place(rng: np.random.Generator) -> Place:
    upper, outer = rng.uniform(0.1, 0.75, 2) * rng.choice([-1.0, 1.0], 2, p=[0.4, 0.6])
    return Place(depth=float(rng.uniform(0.2, 0.75)), upper=float(upper), outer=float(outer))


def _views(
    rng: np.random.Generator, breasts: tuple[Breast, Breast], rules: PhantomRules
) -> Iterator[PhantomView]:
    nipple_mm = float(rng.uniform(60, 105))  # posterior nipple line
    for projection in Projection:
        for breast in breasts:
            outline = sample_outline(rng, nipple_mm=nipple_mm, oblique=projection is Projection.MLO)
            yield draw_view(rng, breast, projection=projection, outline=outline, rules=rules)


def draw_view(
    rng: np.random.Generator,
    breast: Breast,
    *,
    projection: Projection,
    outline: Outline,
    rules: PhantomRules,
) -> PhantomView:
    """One view of one breast."""
    tissue = draw_tissue(rng, outline, density=breast.density.value, shape=(ROWS, COLUMNS))
    boxes: list[Box | None] = [None, None]
    if breast.mass is not None and breast.mass_place is not None:
        centre = _project(breast.mass_place, projection, outline)
        boxes[0] = draw_mass(
            rng, tissue.values, mass=breast.mass, centre_mm=centre, contrast=rules.contrast
        )
    # Bright specks that are no cluster appear in any breast: brightness alone must not tell.
    if rng.random() < BENIGN_SHARE:
        draw_benign(rng, tissue.values, inside=tissue.inside, contrast=rules.contrast)
    if breast.calcifications is not None and breast.calcifications_place is not None:
        centre = _project(breast.calcifications_place, projection, outline)
        boxes[1] = draw_calcifications(
            rng,
            tissue.values,
            cluster=breast.calcifications,
            centre_mm=centre,
            contrast=rules.contrast,
        )
    pixels = _digitise(rng, tissue)
    _draw_marker(pixels, breast.side, projection)
    if breast.side is Side.RIGHT:
        pixels = np.ascontiguousarray(pixels[:, ::-1])
        boxes = [box and box.mirrored(COLUMNS) for box in boxes]
    return PhantomView(breast.side, projection, pixels, *boxes)


def _project(place: Place, projection: Projection, outline: Outline) -> tuple[float, float]:
    """Where a lesion is seen, (row, column) in mm. CC: outer is up; MLO: upper is up."""
    across = place.outer if projection is Projection.CC else place.upper
    half_height = outline.half_height_mm * np.sqrt(1 - place.depth**2)
    row = outline.centre_mm - 0.75 * across * half_height
    return float(row), place.depth * outline.nipple_mm


def _digitise(rng: np.random.Generator, tissue: Tissue) -> NDArray[np.uint16]:
    """Quantum noise, brightness of this exposure, clip to 12 bit; air is exactly 0."""
    noise = rng.standard_normal(tissue.values.shape, dtype=np.float32)
    noise *= np.float32(rng.uniform(18, 30))
    noise += tissue.values
    noise *= np.float32(rng.uniform(0.9, 1.1))
    np.clip(noise, 1, MAXIMUM - 200, out=noise)
    noise *= tissue.inside
    return noise.astype(np.uint16)


def _draw_marker(pixels: NDArray[np.uint16], side: Side, projection: Projection) -> None:
    """The lead marker, at full brightness: the brightest thing of every image, lesion or not."""
    text = f"{side.value} {projection.value}"
    column = COLUMNS - 380
    drawn = np.zeros((120, 360), np.uint8)
    cv2.putText(drawn, text, (10, 90), cv2.FONT_HERSHEY_SIMPLEX, 2.4, 255, 8)
    if side is Side.RIGHT:
        drawn = drawn[:, ::-1]  # the whole image is mirrored later, the marker must stay readable
    bottom = int(MARKER_TOP_MM / SPACING_MM)
    pixels[bottom - 120 : bottom, column : column + 360][drawn > 127] = MAXIMUM
