"""What is so in an image, and what a sentence claims, as vectors of small integers.

With both, a loss can tell which sentences of a batch are true of which images: two normal breasts
share "no mass", and must not be each other's negatives. Knows nothing of words for sentences.
"""

from collections.abc import Collection, Iterable, Mapping
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from training.data.records import Category, Density, Finding, ImageRecord

UNSTATED = -1
"""A caption claims nothing of this attribute; an image's value is never UNSTATED."""
UNKNOWN = -2
"""Nobody looked, or it was not written down; a caption's value is never UNKNOWN."""
ABSENT, PRESENT = 0, 1


class Attribute(IntEnum):
    """Columns of a vector of facts or claims.

    The first ten say whether a category is there, in the order of records.Category. From MASS_SHAPE
    on, 0 is "no such finding" and a word's number is one more than its place in WORDS.
    """

    MASS = 0
    CALCIFICATION = 1
    ASYMMETRY = 2
    FOCAL_ASYMMETRY = 3
    GLOBAL_ASYMMETRY = 4
    DISTORTION = 5
    SKIN_THICKENING = 6
    SKIN_RETRACTION = 7
    NIPPLE_RETRACTION = 8
    LYMPH_NODE = 9
    MALIGNANCY = 10  # 0 no, 1 yes
    DENSITY = 11  # 0 to 3 for A to D
    SIDE = 12  # 0 left, 1 right
    MASS_SHAPE = 13
    MASS_MARGIN = 14
    MASS_DENSITY = 15
    CALC_MORPHOLOGY = 16
    CALC_DISTRIBUTION = 17
    MASS_VERTICAL = 18
    MASS_LATERAL = 19
    MASS_DEPTH = 20
    CALC_VERTICAL = 21
    CALC_LATERAL = 22
    CALC_DEPTH = 23
    ASYMMETRY_VERTICAL = 24  # of any of the three kinds
    ASYMMETRY_LATERAL = 25
    ASYMMETRY_DEPTH = 26
    DISTORTION_VERTICAL = 27
    DISTORTION_LATERAL = 28
    DISTORTION_DEPTH = 29


Facts = NDArray[np.int8]
"""(30,) what is so in an image, or what a caption claims, by Attribute."""

PRESENCE: dict[Category, Attribute] = {
    category: Attribute(column) for column, category in enumerate(Category)
}
ASYMMETRIES = (Category.ASYMMETRY, Category.FOCAL_ASYMMETRY, Category.GLOBAL_ASYMMETRY)

# BI-RADS atlas, 5th edition, and the older words of CBIS-DDSM beside them.
SHAPES = ("round", "oval", "lobulated", "irregular")
MARGINS = ("circumscribed", "obscured", "microlobulated", "indistinct", "spiculated")
MASS_DENSITIES = ("high", "equal", "low", "fat-containing")
MORPHOLOGIES = (
    "amorphous",
    "coarse heterogeneous",
    "fine pleomorphic",
    "fine linear branching",
    "punctate",
    "round",
    "typically benign",
)
DISTRIBUTIONS = ("diffuse", "regional", "grouped", "linear", "segmental")
VERTICALS = ("upper", "lower", "central")
LATERALS = ("outer", "inner", "central")
DEPTHS = ("anterior", "middle", "posterior")

SAME_WORD: Mapping[str, str] = {
    "ill-defined": "indistinct",
    "ill defined": "indistinct",
    "clustered": "grouped",
    "cluster": "grouped",
    "scattered": "diffuse",
    "pleomorphic": "fine pleomorphic",
    "fine linear": "fine linear branching",
    "linear branching": "fine linear branching",
    "coarse": "typically benign",
    "isodense": "equal",
    "high density": "high",
    "equal density": "equal",
    "low density": "low",
    "fat containing": "fat-containing",
    "mid": "middle",
    "retroareolar": "central",
}
"""Words of other lists for the words of WORDS."""

WORDS: dict[Attribute, tuple[str, ...]] = {
    Attribute.MASS_SHAPE: SHAPES,
    Attribute.MASS_MARGIN: MARGINS,
    Attribute.MASS_DENSITY: MASS_DENSITIES,
    Attribute.CALC_MORPHOLOGY: MORPHOLOGIES,
    Attribute.CALC_DISTRIBUTION: DISTRIBUTIONS,
}
PLACES: dict[Category, tuple[Attribute, Attribute, Attribute]] = {
    Category.MASS: (Attribute.MASS_VERTICAL, Attribute.MASS_LATERAL, Attribute.MASS_DEPTH),
    Category.CALCIFICATION: (
        Attribute.CALC_VERTICAL,
        Attribute.CALC_LATERAL,
        Attribute.CALC_DEPTH,
    ),
    Category.DISTORTION: (
        Attribute.DISTORTION_VERTICAL,
        Attribute.DISTORTION_LATERAL,
        Attribute.DISTORTION_DEPTH,
    ),
} | dict.fromkeys(
    ASYMMETRIES,
    (Attribute.ASYMMETRY_VERTICAL, Attribute.ASYMMETRY_LATERAL, Attribute.ASYMMETRY_DEPTH),
)
"""Columns of vertical, lateral and depth of the findings whose place is told."""
for _vertical, _lateral, _depth in PLACES.values():
    WORDS |= {_vertical: VERTICALS, _lateral: LATERALS, _depth: DEPTHS}

DETAILS: dict[Category, Mapping[Attribute, str]] = {
    Category.MASS: {
        Attribute.MASS_SHAPE: "shape",
        Attribute.MASS_MARGIN: "margin",
        Attribute.MASS_DENSITY: "density",
    },
    Category.CALCIFICATION: {
        Attribute.CALC_MORPHOLOGY: "morphology",
        Attribute.CALC_DISTRIBUTION: "distribution",
    },
}
"""Columns of a category and their keys in records.Finding.attributes."""


def word(facts: Facts, attribute: Attribute) -> str | None:
    """The word of a column of WORDS; None where it is absent, unknown or unstated."""
    value = int(facts[attribute])
    return WORDS[attribute][value - 1] if value > 0 else None


def facts_of(record: ImageRecord) -> Facts:
    """(30,) what is known of an image.

    Two findings of a category that differ in an attribute leave it UNKNOWN. Raises ValueError,
    naming the image, for a word outside the closed lists.
    """
    facts = np.full(len(Attribute), UNKNOWN, np.int8)
    for category, column in PRESENCE.items():
        present = record.present(category)
        facts[column] = UNKNOWN if present is None else int(present)
    malignant = record.labels.get("malignancy")
    facts[Attribute.MALIGNANCY] = UNKNOWN if malignant is None else int(malignant)
    if record.density is not None:
        facts[Attribute.DENSITY] = list(Density).index(record.density)
    if record.laterality in ("L", "R"):
        facts[Attribute.SIDE] = record.laterality == "R"
    try:
        _fill_details(facts, record.findings)
    except ValueError as error:
        raise ValueError(f"{record.source} image {record.image}: {error}") from None
    return facts


def _fill_details(facts: Facts, findings: Iterable[Finding]) -> None:
    values: dict[Attribute, set[int]] = {}
    for finding in findings:
        for category in finding.categories:
            for attribute, value in _details(category, finding.attributes).items():
                values.setdefault(attribute, set()).add(value)
    for attribute, known in values.items():
        facts[attribute] = known.pop() if len(known) == 1 else UNKNOWN
    for attribute, owners in OWNERS.items():
        if all(facts[PRESENCE[category]] == ABSENT for category in owners):
            facts[attribute] = ABSENT


OWNERS: dict[Attribute, tuple[Category, ...]] = {
    attribute: (category,) for category, columns in DETAILS.items() for attribute in columns
} | {
    attribute: tuple(other for other, columns in PLACES.items() if attribute in columns)
    for places in PLACES.values()
    for attribute in places
}
"""Whose attribute a column is; ABSENT where none of these is in the image."""


def _details(category: Category, attributes: Mapping[str, str]) -> dict[Attribute, int]:
    """Numbers of a finding's words in its category's columns; UNKNOWN where there is no word."""
    said = {column: attributes.get(key) for column, key in DETAILS.get(category, {}).items()}
    if category in PLACES:
        vertical, lateral, depth = PLACES[category]
        quadrant = attributes.get("quadrant", "").split()
        quadrant = ["central"] if set(quadrant) & {"central", "retroareolar"} else quadrant
        said[vertical] = _one_of(VERTICALS, quadrant, quadrant_of=category)
        said[lateral] = _one_of(LATERALS, quadrant, quadrant_of=category)
        said[depth] = attributes.get("depth")
    return {column: _number(column, text) for column, text in said.items()}


def _one_of(known: tuple[str, ...], words: list[str], *, quadrant_of: Category) -> str | None:
    strange = [text for text in words if text not in (*VERTICALS, *LATERALS)]
    if strange:
        raise ValueError(
            f"quadrant of {quadrant_of}: expected words of {(*VERTICALS, *LATERALS)}, got {words}"
        )
    return next((text for text in words if text in known), None)


def _number(column: Attribute, text: str | None) -> int:
    if not text:
        return UNKNOWN
    known = WORDS[column]
    plain = text if text in known else SAME_WORD.get(text, text)
    if plain not in known:
        raise ValueError(f"{column.name}: expected one of {', '.join(known)}, got {text!r}")
    return 1 + known.index(plain)


def crop_facts(facts: Facts, shown: Collection[Category]) -> Facts:
    """Facts of a crop that shows of the findings present only `shown`.

    What is UNKNOWN stays so. A malignant breast's crop that hides a finding may be benign, so its
    malignancy is UNKNOWN then.
    """
    crop = facts.copy()
    hidden = [
        category
        for category, column in PRESENCE.items()
        if facts[column] == PRESENT and category not in shown
    ]
    for category in hidden:
        crop[PRESENCE[category]] = ABSENT
    for attribute, owners in OWNERS.items():
        if all(crop[PRESENCE[category]] == ABSENT for category in owners):
            crop[attribute] = ABSENT
    if hidden and facts[Attribute.MALIGNANCY] == PRESENT:
        crop[Attribute.MALIGNANCY] = UNKNOWN
    return crop


def truth(facts: Facts, claims: Facts) -> NDArray[np.bool_]:
    """(N, F) facts of images, (M, F) claims of captions -> (N, M): m is known to be true of n."""
    stated = claims[None] != UNSTATED
    agrees = facts[:, None] == claims[None]
    return np.asarray((agrees | ~stated).all(axis=2))


def contradiction(facts: Facts, claims: Facts) -> NDArray[np.bool_]:
    """(N, F), (M, F) -> (N, M): caption m is known to be false of image n.

    What is neither true nor false is not known: such a pair is no negative of a loss.
    """
    stated = (claims[None] != UNSTATED) & (facts[:, None] != UNKNOWN)
    differs = facts[:, None] != claims[None]
    return np.asarray((differs & stated).any(axis=2))


def merged_claims(claims: Iterable[Facts]) -> Facts:
    """What several true sentences of one image claim together; nothing where there are none."""
    return np.asarray(np.max([no_claims(), *claims], axis=0), np.int8)


def no_claims() -> Facts:
    """(30,) UNSTATED throughout."""
    return np.full(len(Attribute), UNSTATED, np.int8)
