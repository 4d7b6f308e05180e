"""Sentences about a phantom, and what each of them claims.

A caption carries its claims, so that the loss can tell which captions of a batch are true of which
images: two normal breasts share "no mass", and must not be each other's negatives. All chance comes
from the generator passed in; nothing is taken from the order of a set.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from training.data.phantom import Breast, Density, Place, Side

UNSTATED = -1
"""A caption claims nothing of this attribute; an image's value is never UNSTATED."""


class Attribute(IntEnum):
    """Columns of a vector of facts or claims."""

    MASS = 0  # 0 absent, 1 present
    CALCIFICATION = 1  # 0 absent, 1 present
    MARGIN = 2  # 0 no mass, 1 circumscribed, 2 spiculated
    MASS_QUADRANT = 3  # 0 no mass, else 1 + QUADRANTS.index
    CALCIFICATION_QUADRANT = 4
    DENSITY = 5  # 0 to 3 for A to D
    SIDE = 6  # 0 left, 1 right


Facts = NDArray[np.int8]
"""(7,) what is so in an image, or what a caption claims, by Attribute."""

QUADRANTS = ("upper outer", "upper inner", "lower outer", "lower inner")
DENSITY_WORDS = {
    Density.A: ("the breast is almost entirely fatty", "almost entirely fatty breast", "density a"),
    Density.B: (
        "there are scattered areas of fibroglandular density",
        "scattered fibroglandular tissue",
        "density b",
    ),
    Density.C: (
        "the breast is heterogeneously dense",
        "heterogeneously dense breast tissue",
        "density c",
    ),
    Density.D: ("the breast is extremely dense", "extremely dense breast tissue", "density d"),
}
MASS_OPENERS = ("", "there is a ", "there is a ", "shows a ", "a ", "findings: ", "evidence of a ")
CALCIFICATION_OPENERS = ("", "", "there is evidence of ", "shows ", "findings: ", "evidence of ")
MASS_NOUNS = ("mass", "mass", "mass", "mass lesion", "breast mass", "soft tissue mass")
SPICULATED = ("spiculated", "spiculated, irregular", "stellate")
CIRCUMSCRIBED = ("circumscribed", "round", "smooth, circumscribed", "well defined")
CALCIFICATION_NOUNS = (
    "suspicious calcification",
    "suspicious calcifications",
    "calcification",
    "calcifications",
    "a cluster of calcifications",
    "clustered microcalcifications",
    "grouped suspicious calcifications",
    "microcalcifications",
)
NO_MASS = (
    "no mass",
    "no mass",
    "there is no mass",
    "no mass is seen",
    "no evidence of a mass",
    "no suspicious mass",
    "without mass",
)
NO_CALCIFICATION = (
    "no suspicious calcification",
    "no suspicious calcification",
    "no suspicious calcifications",
    "no calcification",
    "no calcifications",
    "there are no suspicious calcifications",
    "no microcalcifications are seen",
    "without suspicious calcification",
)
NORMAL = (
    "normal",
    "normal breast",
    "normal mammogram",
    "no finding",
    "no abnormality",
    "no suspicious finding",
    "no evidence of malignancy",
    "unremarkable",
)


@dataclass(frozen=True, slots=True, eq=False)
class Caption:
    """A text and what it claims, (7,) int8 by Attribute."""

    text: str
    claims: Facts


def facts_of(breast: Breast) -> Facts:
    """What is so in both views of a breast."""
    facts = np.zeros(len(Attribute), np.int8)
    facts[Attribute.DENSITY] = "ABCD".index(breast.density.value)
    facts[Attribute.SIDE] = breast.side is Side.RIGHT
    if breast.mass is not None and breast.mass_place is not None:
        facts[Attribute.MASS] = 1
        facts[Attribute.MARGIN] = 2 if breast.mass.spiculated else 1
        facts[Attribute.MASS_QUADRANT] = _quadrant(breast.mass_place)
    if breast.calcifications_place is not None:
        facts[Attribute.CALCIFICATION] = 1
        facts[Attribute.CALCIFICATION_QUADRANT] = _quadrant(breast.calcifications_place)
    return facts


def _quadrant(place: Place) -> int:
    return 1 + 2 * (place.upper <= 0) + (place.outer <= 0)


def crop_facts(facts: Facts, *, mass: bool, calcification: bool) -> Facts:
    """Facts of a crop of a breast's image that shows these of its lesions."""
    crop = facts.copy()
    if not mass:
        crop[[Attribute.MASS, Attribute.MARGIN, Attribute.MASS_QUADRANT]] = 0
    if not calcification:
        crop[[Attribute.CALCIFICATION, Attribute.CALCIFICATION_QUADRANT]] = 0
    return crop


def truth(facts: Facts, claims: Facts) -> NDArray[np.bool_]:
    """(N, 7) facts of images, (M, 7) claims of captions -> (N, M): caption m is true of image n."""
    stated = claims[None] != UNSTATED
    agrees = facts[:, None] == claims[None]
    return np.asarray((agrees | ~stated).all(axis=2))


def mass_caption(rng: np.random.Generator, facts: Facts, *, local: bool) -> Caption:
    """Whether there is a mass; where and of which margin, sometimes. `local` says no place."""
    claims = _claims()
    claims[Attribute.MASS] = facts[Attribute.MASS]
    if not facts[Attribute.MASS]:
        return Caption(_pick(rng, NO_MASS), claims)
    noun = _pick(rng, MASS_NOUNS)
    if rng.random() < 0.5:
        claims[Attribute.MARGIN] = facts[Attribute.MARGIN]
        words = SPICULATED if facts[Attribute.MARGIN] == 2 else CIRCUMSCRIBED
        noun = f"{_pick(rng, words)} {noun}"
    text = _pick(rng, MASS_OPENERS) + noun
    if not local and rng.random() < 0.5:
        text += _place(facts, claims, Attribute.MASS_QUADRANT)
    elif rng.random() < 0.2:
        text += " in the breast"
    return Caption(text, claims)


def calcification_caption(rng: np.random.Generator, facts: Facts, *, local: bool) -> Caption:
    """Whether there are suspicious calcifications; where, sometimes. `local` says no place."""
    claims = _claims()
    claims[Attribute.CALCIFICATION] = facts[Attribute.CALCIFICATION]
    if not facts[Attribute.CALCIFICATION]:
        return Caption(_pick(rng, NO_CALCIFICATION), claims)
    text = _pick(rng, CALCIFICATION_OPENERS) + _pick(rng, CALCIFICATION_NOUNS)
    if not local and rng.random() < 0.5:
        text += _place(facts, claims, Attribute.CALCIFICATION_QUADRANT)
    return Caption(text, claims)


def density_caption(rng: np.random.Generator, facts: Facts) -> Caption:
    """The density class."""
    claims = _claims()
    claims[Attribute.DENSITY] = facts[Attribute.DENSITY]
    return Caption(_pick(rng, DENSITY_WORDS[Density("ABCD"[facts[Attribute.DENSITY]])]), claims)


def report(rng: np.random.Generator, facts: Facts, *, local: bool) -> Caption:
    """A short report of one breast (or, if `local`, of a crop): its sentences in any order."""
    sentences = [
        mass_caption(rng, facts, local=local),
        calcification_caption(rng, facts, local=local),
    ]
    normal = not facts[Attribute.MASS] and not facts[Attribute.CALCIFICATION]
    if normal and rng.random() < 0.4:
        sentences = [Caption(_pick(rng, NORMAL), _normal_claims())]
    if not local and rng.random() < 0.5:
        sentences.append(density_caption(rng, facts))
    order = rng.permutation(len(sentences))
    claims = np.max([sentence.claims for sentence in sentences], axis=0)
    return Caption(". ".join(sentences[i].text for i in order) + ".", claims)


def draw_captions(rng: np.random.Generator, facts: Facts, *, local: bool) -> list[Caption]:
    """Three captions of one image: mass, calcification, and the whole or its density."""
    third = (
        density_caption(rng, facts)
        if not local and rng.random() < 0.4
        else report(rng, facts, local=local)
    )
    return [
        mass_caption(rng, facts, local=local),
        calcification_caption(rng, facts, local=local),
        third,
    ]


def _place(facts: Facts, claims: Facts, attribute: Attribute) -> str:
    claims[attribute] = facts[attribute]
    claims[Attribute.SIDE] = facts[Attribute.SIDE]
    side = "right" if facts[Attribute.SIDE] else "left"
    return f" in the {QUADRANTS[facts[attribute] - 1]} {side} breast"


def _claims() -> Facts:
    return np.full(len(Attribute), UNSTATED, np.int8)


def _normal_claims() -> Facts:
    claims = _claims()
    claims[[Attribute.MASS, Attribute.CALCIFICATION]] = 0
    return claims


def _pick(rng: np.random.Generator, words: tuple[str, ...]) -> str:
    return words[int(rng.integers(len(words)))]
