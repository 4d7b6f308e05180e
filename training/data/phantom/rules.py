"""What a series of phantoms is drawn by: how often each finding and each density class occurs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from training.data.records import Category, Density

DENSITY_SHARE = {Density.A: 0.15, Density.B: 0.35, Density.C: 0.35, Density.D: 0.15}
# Far more than in a screening population, for a model that learns from 2,000 images; with these
# shares about one breast in six has no finding.
LESION_SHARE = {
    Category.MASS: 0.35,
    Category.CALCIFICATION: 0.35,
    Category.ASYMMETRY: 0.1,
    Category.FOCAL_ASYMMETRY: 0.12,
    Category.GLOBAL_ASYMMETRY: 0.08,
    Category.DISTORTION: 0.15,
    Category.SKIN_THICKENING: 0.12,
    Category.SKIN_RETRACTION: 0.0,
    Category.NIPPLE_RETRACTION: 0.12,
    Category.LYMPH_NODE: 0.12,
}


@dataclass(frozen=True, slots=True)
class PhantomRules:
    """Shares of breasts with each category, of women with each density; both may leave some out.

    `contrast` scales every lesion's attenuation: 1.0 is realistic, 0.5 hard to see.
    """

    lesion_share: Mapping[Category, float] = field(default_factory=lambda: dict(LESION_SHARE))
    density_share: Mapping[Density, float] = field(default_factory=lambda: dict(DENSITY_SHARE))
    contrast: float = 1.0

    def share(self, category: Category) -> float:
        """How many of all breasts have it."""
        return self.lesion_share.get(category, 0.0)


STANDARD = PhantomRules()
