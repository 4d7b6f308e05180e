"""Whole studies: two breasts, four views, what each shows, and what is known of each image.

All chance comes from the generator passed in. A phantom proves that the machinery works and nothing
about patients.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training.data.captioning import report_of
from training.data.facts import facts_of
from training.data.phantom.anatomy import Anatomy, sample_anatomies, sample_outline
from training.data.phantom.digitise import digitise, draw_marker
from training.data.phantom.field import COLUMNS, Projection, Side
from training.data.phantom.lesions import (
    DRAWN,
    Lesion,
    draw_distractors,
    draw_lesion,
    sample_lesions,
)
from training.data.phantom.rules import STANDARD, PhantomRules
from training.data.phantom.tissue import draw_field
from training.data.records import Box, Category, Density, Finding, ImageRecord

__all__ = [
    "GENERATOR",
    "STANDARD",
    "Breast",
    "PhantomRules",
    "PhantomStudy",
    "PhantomView",
    "make_study",
    "records_of",
    "study_generator",
]

GENERATOR = 3
"""Raised with every change of what is drawn: canvases on disk are of one generator."""
REPORTS = 2  # second number of a report's seed, apart from those of the pixels
MALIGNANT_WORDS = frozenset(
    {"spiculated", "irregular", "fine pleomorphic", "fine linear branching"}
)
ALWAYS_SUSPICIOUS = frozenset({Category.DISTORTION, Category.LYMPH_NODE})


@dataclass(frozen=True, slots=True, eq=False)
class Breast:
    """One breast's truth: what both its views show."""

    side: Side
    density: Density
    anatomy: Anatomy
    lesions: tuple[Lesion, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PhantomView:
    """One image: (2294, 1914) uint16 of 12 bit; its findings' boxes in stored px."""

    side: Side
    projection: Projection
    pixels: NDArray[np.uint16]
    boxes: Mapping[Category, Box]
    thickness_mm: float


@dataclass(frozen=True, slots=True, eq=False)
class PhantomStudy:
    """Four views and the truth of both breasts."""

    breasts: tuple[Breast, Breast]
    views: tuple[PhantomView, ...]
    drawn: frozenset[Category]

    def breast(self, side: Side) -> Breast:
        """The breast of that side."""
        return self.breasts[0] if self.breasts[0].side is side else self.breasts[1]


def study_generator(seed: int, number: int) -> np.random.Generator:
    """The generator of study `number` of a series: independent of all the others."""
    return np.random.default_rng([seed, number])


def make_study(rng: np.random.Generator, rules: PhantomRules = STANDARD) -> PhantomStudy:
    """Draw one whole study; the same generator state gives the same pixels."""
    shares = rules.density_share
    density = Density(rng.choice([*shares], p=[*shares.values()]))
    left, right = sample_anatomies(rng, density)
    breasts = (
        Breast(Side.LEFT, density, left, sample_lesions(rng, rules, side=Side.LEFT)),
        Breast(Side.RIGHT, density, right, sample_lesions(rng, rules, side=Side.RIGHT)),
    )
    drawn = frozenset(category for category in DRAWN if rules.share(category) > 0)
    return PhantomStudy(breasts, tuple(_views(rng, breasts, rules)), drawn)


def _views(
    rng: np.random.Generator, breasts: tuple[Breast, Breast], rules: PhantomRules
) -> Iterator[PhantomView]:
    for projection in Projection:
        for breast in breasts:
            yield draw_view(rng, breast, projection=projection, contrast=rules.contrast)


def draw_view(
    rng: np.random.Generator, breast: Breast, *, projection: Projection, contrast: float
) -> PhantomView:
    """One view of one breast."""
    outline = sample_outline(rng, breast.anatomy, projection)
    field = draw_field(rng, breast.anatomy, outline)
    boxes: dict[Category, Box] = {}
    for lesion in breast.lesions:
        box = draw_lesion(rng, field, lesion, projection=projection, contrast=contrast)
        if box is not None:
            boxes[lesion.category] = box
    # Bright things that are no finding appear in any breast: brightness alone must not tell.
    draw_distractors(rng, field, contrast=contrast)
    thickness = float(field.thickness_mm.max())
    pixels = digitise(rng, field)
    draw_marker(pixels, breast.side, projection)
    if breast.side is Side.RIGHT:
        pixels = np.ascontiguousarray(pixels[:, ::-1])
        boxes = {category: box.mirrored(COLUMNS) for category, box in boxes.items()}
    return PhantomView(breast.side, projection, pixels, boxes, thickness)


def records_of(study: PhantomStudy, *, series: int, number: int) -> list[ImageRecord]:
    """What is known of each view, in the views' order. (series, number) name the study."""
    return [
        _record(study, view, series=series, number=number, place=place)
        for place, view in enumerate(study.views)
    ]


def _record(
    study: PhantomStudy, view: PhantomView, *, series: int, number: int, place: int
) -> ImageRecord:
    name = f"phantom-{series}-{number}"
    breast = study.breast(view.side)
    findings = tuple(
        Finding(
            categories=(lesion.category,),
            box=view.boxes[lesion.category],
            birads=4 if is_suspicious(lesion) else 3,
            attributes=lesion.attributes,
        )
        for lesion in breast.lesions
        if lesion.category in view.boxes
    )
    malignant = any(is_suspicious(lesion) for lesion in breast.lesions)
    birads = max((finding.birads or 1 for finding in findings), default=1)
    record = ImageRecord(
        source="phantom",
        patient=name,
        study=name,
        image=f"{name}_{view.side.value}_{view.projection.value}",
        laterality=view.side.value,
        view=view.projection.value,
        path=f"{number:04d}/{view.side.value}_{view.projection.value}.dcm",
        rows=view.pixels.shape[0],
        columns=view.pixels.shape[1],
        density=breast.density,
        birads=birads,
        findings=findings,
        annotated=study.drawn,
        labels={"malignancy": malignant},
    )
    rng = np.random.default_rng([series, number, place, REPORTS])
    return replace(record, report=report_of(rng, facts_of(record)))


def is_suspicious(lesion: Lesion) -> bool:
    """Whether it would be BI-RADS 4 or more."""
    words = MALIGNANT_WORDS.intersection(lesion.attributes.values())
    return lesion.category in ALWAYS_SUSPICIOUS or bool(words)
