"""What is known of one image, be it of VinDr, RSNA, EMBED, a site's reports or a phantom.

Coordinates are pixel edges of the stored image, as in model_store.geometry. Knows nothing of files'
formats, captions or canvases.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique


@unique
class Category(StrEnum):
    """Findings under VinDr-Mammo's names (finding_annotations.csv), which the papers use too."""

    MASS = "Mass"
    CALCIFICATION = "Suspicious Calcification"
    ASYMMETRY = "Asymmetry"
    FOCAL_ASYMMETRY = "Focal Asymmetry"
    GLOBAL_ASYMMETRY = "Global Asymmetry"
    DISTORTION = "Architectural Distortion"
    SKIN_THICKENING = "Skin Thickening"
    SKIN_RETRACTION = "Skin Retraction"
    NIPPLE_RETRACTION = "Nipple Retraction"
    LYMPH_NODE = "Suspicious Lymph Node"


@unique
class Density(StrEnum):
    """BI-RADS density class."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"


@unique
class Split(StrEnum):
    """What an image is used for. All images of a patient are of one split."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Box:
    """Half-open box: rows top..bottom, columns left..right."""

    top: float
    left: float
    bottom: float
    right: float

    @property
    def area(self) -> float:
        """Square pixels."""
        return max(self.bottom - self.top, 0.0) * max(self.right - self.left, 0.0)

    def mirrored(self, columns: int) -> "Box":
        """The same box after the image was flipped left to right."""
        return Box(self.top, columns - self.right, self.bottom, columns - self.left)


@dataclass(frozen=True, slots=True)
class Finding:
    """One annotation: `box` in stored pixels, or None where only the presence is known.

    `attributes`: what is known beyond the category, of the closed set shape, margin, density (of a
    mass); morphology, distribution (of calcifications); quadrant, depth (of anything). Values are
    BI-RADS words in lower case: "irregular", "spiculated", "upper outer", "anterior".
    """

    categories: tuple[Category, ...]
    box: Box | None = None
    birads: int | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """Sentences of a report's two sections, and of a back-translation where the site has one."""

    findings: tuple[str, ...] = ()
    impression: tuple[str, ...] = ()
    text_augment: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image. `path` is relative to the data's root; None = not known, never "no".

    `annotated`: categories whose absence here means absence in the image; in RSNA, none.
    `labels`: yes or no for whole images beyond the categories: "malignancy", "biopsy", "implant".
    """

    source: str
    patient: str
    study: str
    image: str
    laterality: str
    view: str
    path: str
    rows: int | None = None
    columns: int | None = None
    density: Density | None = None
    birads: int | None = None
    findings: tuple[Finding, ...] = ()
    annotated: frozenset[Category] = frozenset()
    labels: Mapping[str, bool] = field(default_factory=dict)
    report: Report | None = None
    split: Split | None = None

    def present(self, category: Category) -> bool | None:
        """Whether the category is in the image; None where nobody has looked for it."""
        if any(category in finding.categories for finding in self.findings):
            return True
        return False if category in self.annotated else None
