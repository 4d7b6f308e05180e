"""The door to a phantom's findings: what a breast has, and how each is drawn into a view.

A finding is decided once for a breast and drawn into its views at the place where each shows it.
Knows nothing of tissue, digitising or captions.
"""

from dataclasses import dataclass, replace

import numpy as np

from training.data.phantom.asymmetry import Asymmetry, draw_asymmetry, sample_asymmetry
from training.data.phantom.calcification import Cluster, draw_cluster, sample_cluster
from training.data.phantom.distortion import Distortion, draw_distortion, sample_distortion
from training.data.phantom.distractors import draw_distractors
from training.data.phantom.field import Place, Projection, Side, ViewField, project
from training.data.phantom.lymph_node import (
    LymphNode,
    axillary_place,
    draw_lymph_node,
    sample_lymph_node,
)
from training.data.phantom.mass import Mass, draw_mass, sample_mass
from training.data.phantom.nipple import (
    NippleRetraction,
    draw_nipple_retraction,
    sample_nipple_retraction,
)
from training.data.phantom.patch import Point
from training.data.phantom.rules import PhantomRules
from training.data.phantom.skin import SkinThickening, draw_skin_thickening, sample_skin_thickening
from training.data.records import Box, Category

__all__ = ["DRAWN", "Lesion", "draw_distractors", "draw_lesion", "sample_lesions", "words_of"]

Parameters = Mass | Cluster | Asymmetry | Distortion | SkinThickening | NippleRetraction | LymphNode
BOTH = (Projection.CC, Projection.MLO)
DRAWN = (
    Category.NIPPLE_RETRACTION,
    Category.SKIN_THICKENING,
    Category.GLOBAL_ASYMMETRY,
    Category.DISTORTION,
    Category.FOCAL_ASYMMETRY,
    Category.ASYMMETRY,
    Category.MASS,
    Category.LYMPH_NODE,
    Category.CALCIFICATION,
)
"""Categories of which phantoms know, in the order they are drawn: what pulls tissue comes first."""
APART = 0.45  # between two findings' places, in units of Place
ANTERIOR, POSTERIOR = 2 / 3, 1 / 3  # thirds of the way from the chest wall to the nipple


@dataclass(frozen=True, slots=True)
class Lesion:
    """A finding of one breast. `place` is None where it has none of its own (skin, nipple, node).

    attributes: records.Finding's words. seen_in: an asymmetry is seen in one view only.
    """

    category: Category
    place: Place | None
    attributes: dict[str, str]
    parameters: Parameters
    seen_in: tuple[Projection, ...] = BOTH


def words_of(place: Place) -> dict[str, str]:
    """Quadrant and depth as a report says them."""
    upper, outer = "upper" if place.upper > 0 else "lower", "outer" if place.outer > 0 else "inner"
    depth = "middle"
    if place.depth > ANTERIOR:
        depth = "anterior"
    elif place.depth < POSTERIOR:
        depth = "posterior"
    return {"quadrant": f"{upper} {outer}", "depth": depth}


def sample_lesions(
    rng: np.random.Generator, rules: PhantomRules, *, side: Side
) -> tuple[Lesion, ...]:
    """What a breast has: at most one of a category, each on its own chance, in drawing order."""
    del side  # neither breast is more often ill in these phantoms
    found: list[Lesion] = []
    for category in DRAWN:
        if rng.random() < rules.share(category):
            found.append(_sample(rng, category, [lesion.place for lesion in found]))
    return tuple(found)


def _sample(rng: np.random.Generator, category: Category, taken: list[Place | None]) -> Lesion:
    match category:
        case Category.LYMPH_NODE:
            node = sample_lymph_node(rng, suspicious=True)
            return Lesion(category, None, {}, node, seen_in=(Projection.MLO,))
        case Category.NIPPLE_RETRACTION:
            return Lesion(category, None, {}, sample_nipple_retraction(rng))
        case Category.SKIN_THICKENING:
            skin = sample_skin_thickening(rng)
            depth = float(rng.uniform(0.4, 0.85))  # of the breast, not of the axilla
            return Lesion(category, replace(_sample_place(rng, []), depth=depth), {}, skin)
    place = _sample_place(rng, taken)
    words = words_of(place)
    match category:
        case Category.MASS:
            mass = sample_mass(rng)
            return Lesion(category, place, words | mass.attributes, mass)
        case Category.CALCIFICATION:
            cluster = sample_cluster(rng)
            return Lesion(category, place, words | cluster.attributes, cluster)
        case Category.DISTORTION:
            return Lesion(category, place, words, sample_distortion(rng))
    one = category is Category.ASYMMETRY
    seen_in = (BOTH[int(rng.integers(2))],) if one else BOTH
    return Lesion(category, place, words, sample_asymmetry(rng, category), seen_in)


def _sample_place(rng: np.random.Generator, taken: list[Place | None]) -> Place:
    """More often upper and outer than not; if it can be, apart from places that are taken."""
    others = np.array([(p.depth * 2, p.upper, p.outer) for p in taken if p is not None])
    for _ in range(20):
        upper, outer = rng.uniform(0.25, 0.75, 2) * rng.choice([-1.0, 1.0], 2, p=[0.35, 0.65])
        place = Place(float(rng.uniform(0.15, 0.8)), float(upper), float(outer))
        point = (place.depth * 2, place.upper, place.outer)
        if len(others) == 0 or np.hypot.reduce((others - point).T).min() > APART:
            return place
    return place


def draw_lesion(
    rng: np.random.Generator,
    field: ViewField,
    lesion: Lesion,
    *,
    projection: Projection,
    contrast: float,
) -> Box | None:
    """Draw a finding into a view, in place. Its box in pixels of the unmirrored frame.

    None where this view does not show it. `contrast` scales its attenuation.
    """
    if projection not in lesion.seen_in:
        return None
    match lesion.parameters:
        case LymphNode() as node:
            at = axillary_place(rng, field, margin_mm=node.size_mm / 2 + 1)
            if at is None:
                return None
            return draw_lymph_node(rng, field, node, centre_mm=at, contrast=contrast)
        case NippleRetraction() as retraction:
            return draw_nipple_retraction(rng, field, retraction, contrast=contrast)
    if lesion.place is None:
        raise ValueError(f"{lesion.category} needs a place")
    at = project(lesion.place, projection, field.outline)
    return _draw_at(rng, field, lesion, centre_mm=at, contrast=contrast)


def _draw_at(
    rng: np.random.Generator, field: ViewField, lesion: Lesion, *, centre_mm: Point, contrast: float
) -> Box | None:
    match lesion.parameters:
        case Mass() as mass:
            return draw_mass(rng, field, mass, centre_mm=centre_mm, contrast=contrast)
        case Cluster() as cluster:
            return draw_cluster(rng, field, cluster, centre_mm=centre_mm, contrast=contrast)
        case Distortion() as distortion:
            return draw_distortion(rng, field, distortion, centre_mm=centre_mm, contrast=contrast)
        case SkinThickening() as skin:
            return draw_skin_thickening(rng, field, skin, centre_mm=centre_mm, contrast=contrast)
        case Asymmetry() as asymmetry:
            return draw_asymmetry(rng, field, asymmetry, centre_mm=centre_mm, contrast=contrast)
    raise ValueError(f"{lesion.category} is not drawn at a place")
