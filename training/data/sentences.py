"""Words of mammography reports by finding, as tables. Knows nothing of chance or of claims.

The wording is that of the BI-RADS atlas and of everyday reports. What is asked in zero-shot (the
package's prompt sets) can be drawn from here, which a test shows.
"""

from dataclasses import dataclass

from training.data.facts import Attribute
from training.data.records import Category, Density

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FindingWords:
    """How one category is spoken of.

    `nouns` without article; `article`: "a" where it can be counted, "" for plurals and for what
    has none. `verb`: "is" or "are". `said`, `denied`: whole sentences that fit no template.
    """

    nouns: Words
    article: str = ""
    verb: str = "is"
    adjectives: Words = ()
    said: Words = ()
    denied: Words = ()
    denied_nouns: Words = ()


FINDINGS: dict[Category, FindingWords] = {
    Category.MASS: FindingWords(
        nouns=("mass", "mass", "mass", "mass lesion", "breast mass", "soft tissue mass"),
        article="a",
        adjectives=("suspicious", "possible", "questioned", "questionable", "indeterminate"),
        denied_nouns=(
            "mass",
            "mass",
            "mass",
            "suspicious mass",
            "dominant mass",
            "discrete mass",
            "mass lesion",
        ),
    ),
    Category.CALCIFICATION: FindingWords(
        nouns=(
            "suspicious calcifications",
            "suspicious calcifications",
            "calcifications",
            "microcalcifications",
            "suspicious microcalcifications",
        ),
        verb="are",
        said=(
            "suspicious calcification",
            "suspicious calcification",
            "calcification of suspicious morphology",
        ),
        denied=(
            "no suspicious calcification",
            "no suspicious calcification",
            "no cluster of suspicious calcifications",
        ),
        denied_nouns=(
            "suspicious calcifications",
            "suspicious calcifications",
            "suspicious microcalcifications",
            "suspicious grouped calcifications",
        ),
    ),
    Category.ASYMMETRY: FindingWords(
        nouns=("asymmetry", "asymmetry", "one-view asymmetry"),
        article="a",
        adjectives=("possible", "questioned"),
        said=("an asymmetry is seen in one view only",),
        denied_nouns=("asymmetry", "asymmetry", "one-view asymmetry"),
    ),
    Category.FOCAL_ASYMMETRY: FindingWords(
        nouns=("focal asymmetry", "focal asymmetry", "focal asymmetric density"),
        article="a",
        adjectives=("possible", "questioned", "indeterminate"),
        denied_nouns=("focal asymmetry", "focal asymmetry", "focal asymmetric density"),
    ),
    Category.GLOBAL_ASYMMETRY: FindingWords(
        nouns=("global asymmetry", "global asymmetry", "globally asymmetric breast tissue"),
        said=("the breasts are asymmetric", "there is a global asymmetry"),
        denied=("the breasts are symmetric", "the breast tissue is symmetric"),
        denied_nouns=("global asymmetry", "global asymmetry", "globally asymmetric breast tissue"),
    ),
    Category.DISTORTION: FindingWords(
        nouns=("architectural distortion", "architectural distortion", "distortion"),
        adjectives=("possible", "subtle", "questioned", "suspicious"),
        said=(
            "the architecture is distorted",
            "the breast architecture is distorted",
            "an area of architectural distortion",
        ),
        denied=("the architecture is not distorted",),
        denied_nouns=("architectural distortion", "architectural distortion", "distortion"),
    ),
    Category.SKIN_THICKENING: FindingWords(
        nouns=("skin thickening", "skin thickening", "thickening of the skin"),
        adjectives=("diffuse", "focal"),
        said=("the skin is thickened", "thickened skin"),
        denied=("the skin is not thickened", "the skin is of normal thickness"),
        denied_nouns=("skin thickening", "skin thickening", "thickening of the skin"),
    ),
    Category.SKIN_RETRACTION: FindingWords(
        nouns=("skin retraction", "skin retraction", "retraction of the skin"),
        adjectives=("focal",),
        said=("the skin is retracted", "retracted skin"),
        denied=("the skin is not retracted",),
        denied_nouns=("skin retraction", "skin retraction", "retraction of the skin"),
    ),
    Category.NIPPLE_RETRACTION: FindingWords(
        nouns=("nipple retraction", "nipple retraction", "retraction of the nipple"),
        said=("the nipple is retracted", "retracted nipple", "the nipple is inverted"),
        denied=("the nipple is not retracted", "the nipple is everted"),
        denied_nouns=("nipple retraction", "nipple retraction", "retraction of the nipple"),
    ),
    Category.LYMPH_NODE: FindingWords(
        nouns=(
            "suspicious lymph node",
            "suspicious lymph node",
            "suspicious axillary lymph node",
            "abnormal axillary lymph node",
            "enlarged axillary lymph node",
        ),
        article="a",
        said=("axillary lymphadenopathy", "there is axillary lymphadenopathy"),
        denied=("no axillary lymphadenopathy",),
        denied_nouns=(
            "suspicious lymph node",
            "suspicious lymph node",
            "suspicious axillary lymph node",
            "abnormal lymph node",
        ),
    ),
}
CATEGORY_OPENERS = (
    "{noun}",
    "{noun}",
    "{noun}",
    "there {is} {a_noun}",
    "there {is} {a_noun}",
    "{a_noun}",
    "shows {a_noun}",
    "the mammogram shows {a_noun}",
    "findings: {a_noun}",
    "evidence of {a_noun}",
    "there is evidence of {a_noun}",
)
"""What comes before a place; {is} agrees with the noun."""
CATEGORY_CLOSERS = ("{a_noun}{place} {is} seen", "{a_noun}{place} {is} present")
DENIALS = (
    "no {noun}",
    "no {noun}",
    "no {noun}",
    "there {is} no {noun}",
    "there {is} no {noun}",
    "no {noun} {is} seen",
    "no {noun} {is} identified",
    "no evidence of {a_noun}",
    "there is no evidence of {a_noun}",
    "without {noun}",
    "negative for {noun}",
    "the breast shows no {noun}",
)
DENIED_IN = (" in the {side} breast", " on the {side}")
"""Now and then a denial names the side."""

DETAIL_WORDS: dict[Attribute, dict[str, Words]] = {
    Attribute.MASS_SHAPE: {
        "round": ("round", "rounded"),
        "oval": ("oval", "ovoid"),
        "lobulated": ("lobulated", "lobular"),
        "irregular": ("irregular", "irregular", "irregularly shaped"),
    },
    Attribute.MASS_MARGIN: {
        "circumscribed": (
            "circumscribed",
            "circumscribed",
            "well circumscribed",
            "well defined",
            "smooth",
        ),
        "obscured": ("obscured", "partially obscured"),
        "microlobulated": ("microlobulated",),
        "indistinct": ("indistinct", "ill-defined", "indistinctly marginated"),
        "spiculated": ("spiculated", "spiculated", "stellate"),
    },
    Attribute.MASS_DENSITY: {
        "high": ("high density",),
        "equal": ("equal density", "isodense"),
        "low": ("low density",),
        "fat-containing": ("fat-containing",),
    },
    Attribute.CALC_MORPHOLOGY: {
        "amorphous": ("amorphous", "indistinct"),
        "coarse heterogeneous": ("coarse heterogeneous",),
        "fine pleomorphic": ("fine pleomorphic", "pleomorphic"),
        "fine linear branching": ("fine linear branching", "fine linear", "branching"),
        "punctate": ("punctate",),
        "round": ("round",),
        "typically benign": ("coarse", "typically benign"),
    },
    Attribute.CALC_DISTRIBUTION: {
        "diffuse": ("diffuse", "scattered"),
        "regional": ("regional", "regionally distributed"),
        "grouped": ("grouped", "clustered"),
        "linear": ("linearly distributed",),
        "segmental": ("segmental", "segmentally distributed"),
    },
}
"""Adjectives of what is known beyond the category. No word stands for two values of a column."""
MARGIN_TAILS = (" with {word} margins", " with {word} borders")
DISTRIBUTION_TAILS = (" in a {word} distribution",)
DETAIL_TAILS: dict[Attribute, Words] = {
    Attribute.MASS_MARGIN: MARGIN_TAILS,
    Attribute.CALC_DISTRIBUTION: DISTRIBUTION_TAILS,
}
"""What may be said after the noun instead, with the plain word of facts.WORDS."""
CLUSTERS = ("cluster of {noun}", "group of {noun}")
"""Of calcifications whose distribution is grouped."""
PLACES_FULL = (
    " in the {vertical} {lateral} {side} breast",
    " in the {vertical} {lateral} quadrant of the {side} breast",
    " in the {vertical} {lateral} quadrant",
    ", {side} breast, {vertical} {lateral} quadrant",
)
PLACES_HALF = (
    " in the {half} {side} breast",
    " in the {half} {side} breast",
    " in the {half} breast",
)
"""One of the two halves alone, as the paper's sentences for localisation say it."""
PLACES_SIDE = (" in the {side} breast", " of the {side} breast", " on the {side}")
PLACES_CENTRAL = (" in the central {side} breast", " behind the {side} nipple")
PLACES_NONE = (" in the breast",)
DEPTH_TAILS = (" at {depth} depth", " at {depth} depth", " in the {depth} third", ", {depth} depth")

DENSITY_SENTENCES: dict[Density, Words] = {
    Density.A: (
        "the breast is almost entirely fatty",
        "the breasts are almost entirely fatty",
        "almost entirely fatty breast",
        "almost entirely fatty breast tissue",
        "fatty breast",
        "density a",
        "breast composition: almost entirely fatty",
    ),
    Density.B: (
        "there are scattered areas of fibroglandular density",
        "scattered areas of fibroglandular density",
        "scattered fibroglandular tissue",
        "scattered fibroglandular densities",
        "density b",
        "breast composition: scattered fibroglandular",
    ),
    Density.C: (
        "the breast is heterogeneously dense",
        "the breasts are heterogeneously dense",
        "heterogeneously dense breast tissue",
        "heterogeneously dense, which may obscure small masses",
        "density c",
        "breast composition: heterogeneously dense",
    ),
    Density.D: (
        "the breast is extremely dense",
        "the breasts are extremely dense",
        "extremely dense breast tissue",
        "extremely dense, which lowers the sensitivity of mammography",
        "density d",
        "breast composition: extremely dense",
    ),
}

NORMAL = (
    "normal",
    "normal breast",
    "normal breast",
    "normal mammogram",
    "no finding",
    "no abnormality",
    "no suspicious finding",
    "no suspicious finding",
    "no mammographic abnormality",
    "no mammographic abnormality",
    "negative mammogram",
    "unremarkable",
    "unremarkable mammogram",
    "no significant abnormality is seen",
)
MALIGNANT = (
    "malignancy",
    "malignancy",
    "findings suspicious for malignancy",
    "highly suggestive of malignancy",
    "suspicious for malignancy",
    "suspicious finding, biopsy is recommended",
    "suspicious abnormality",
)
NOT_MALIGNANT = (
    "no malignancy",
    "no malignancy",
    "no evidence of malignancy",
    "no mammographic evidence of malignancy",
    "no findings suspicious for malignancy",
    "no sign of malignancy",
)
BENIGN = ("benign finding", "probably benign finding", "benign appearance")
"""Where something is there, and known not to be malignant."""
SIDES = (
    "{side} breast",
    "mammogram of the {side} breast",
    "{side} mammogram",
    "this is the {side} breast",
)
