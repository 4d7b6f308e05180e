"""Codes of EMBED's clinical table as the words of records.

Source: AWS_Open_Data_Clinical_Legend.csv of the data set. A cell may hold several letters.
"""

from collections.abc import Iterator, Mapping

from training.data.records import Category, Density, Finding
from training.data.tables import Row

ASSESSMENTS: Mapping[str, int | None] = {
    "N": 1,
    "B": 2,
    "P": 3,
    "A": 0,
    "S": 4,
    "M": 5,
    "K": 6,
    "X": None,
}
DENSITIES: Mapping[int, Density | None] = {
    1: Density.A,
    2: Density.B,
    3: Density.C,
    4: Density.D,
    5: None,  # a man
}
SEVERITY: Mapping[int, bool] = {0: True, 1: True, 2: False, 3: False, 4: False, 5: False, 6: False}
"""path_severity: 0 invasive, 1 in situ, then benign or none of the breast."""
READ = frozenset(
    {
        Category.MASS,
        Category.CALCIFICATION,
        Category.ASYMMETRY,
        Category.FOCAL_ASYMMETRY,
        Category.GLOBAL_ASYMMETRY,
        Category.DISTORTION,
    }
)
"""What massshape and calcfind would hold if it were there."""

SHAPES: Mapping[str, str | None] = {"G": None, "R": "round", "O": "oval", "X": "irregular"}
"""massshape codes that are a mass."""
OTHER_SHAPES: Mapping[str, Category | None] = {
    "Q": Category.DISTORTION,
    "A": Category.DISTORTION,
    "S": Category.ASYMMETRY,
    "F": Category.FOCAL_ASYMMETRY,
    "V": Category.FOCAL_ASYMMETRY,  # developing: a focal one that is new
    "B": Category.GLOBAL_ASYMMETRY,
    "T": None,  # dilated duct
    "N": None,  # intramammary lymph node
    "Y": None,  # lymph node, not said to be abnormal
}
MARGINS: Mapping[str, str] = {
    "D": "circumscribed",
    "U": "obscured",
    "M": "microlobulated",
    "I": "indistinct",
    "S": "spiculated",
}
MASS_DENSITIES: Mapping[str, str] = {"+": "high", "=": "equal", "-": "low", "0": "fat-containing"}
MORPHOLOGIES: Mapping[str, str | None] = {
    "A": "amorphous",
    "H": "coarse heterogeneous",
    "F": "fine linear branching",
    "B": "fine linear branching",
    "I": "fine pleomorphic",
    "K": "fine pleomorphic",
    "P": "punctate",
    "G": None,
}
"""calcfind codes that may be suspicious."""
BENIGN_CALCIFICATIONS = frozenset("9CDELMJRSOUVQ")
DOUBTFUL_CALCIFICATIONS = frozenset("PG")
"""Suspicious unless the finding was assessed as negative or benign."""
DISTRIBUTIONS: Mapping[str, str] = {
    "G": "grouped",
    "C": "grouped",
    "S": "segmental",
    "R": "regional",
    "D": "diffuse",
    "L": "linear",
}
OTHER: Mapping[str, Category] = {
    "4": Category.ASYMMETRY,
    "A": Category.LYMPH_NODE,
    "D": Category.DISTORTION,
    "I": Category.FOCAL_ASYMMETRY,
    "J": Category.SKIN_THICKENING,
    "N": Category.NIPPLE_RETRACTION,
    "Q": Category.FOCAL_ASYMMETRY,
    "R": Category.SKIN_RETRACTION,
    "S": Category.SKIN_THICKENING,
    "Z": Category.LYMPH_NODE,
}
"""otherfind codes of findings; the rest tells of clips, scars and implants."""
DEPTHS: Mapping[str, str] = {"A": "anterior", "M": "middle", "P": "posterior"}
LOCATIONS: Mapping[str, str] = {
    "W": "upper outer",
    "X": "upper inner",
    "Y": "lower outer",
    "Z": "lower inner",
    "C": "central",
    "S": "central",
    "D": "inner",
    "IN": "inner",
    "L": "outer",
    "OU": "outer",
    "I": "lower",
    "LO": "lower",
    "U": "upper",
    "UP": "upper",
}
CLOCK: Mapping[str, tuple[str, str]] = {
    "12": ("upper", "upper"),
    "1": ("upper inner", "upper outer"),
    "2": ("upper inner", "upper outer"),
    "3": ("inner", "outer"),
    "4": ("lower inner", "lower outer"),
    "5": ("lower inner", "lower outer"),
    "6": ("lower", "lower"),
    "7": ("lower outer", "lower inner"),
    "8": ("lower outer", "lower inner"),
    "9": ("outer", "inner"),
    "10": ("upper outer", "upper inner"),
    "11": ("upper outer", "upper inner"),
}
"""Hours as one sees the woman: quadrant in the right breast, in the left."""
IGNORED_LOCATIONS = frozenset({"A", "T", "AN", "MD"})  # axillary tail; depths in the wrong column


def findings_of(row: Row, *, side: str) -> Iterator[Finding]:
    """Findings of one line of the clinical table for one breast."""
    birads = row.maybe_one_of("asses", ASSESSMENTS)
    place = _place(row, side)
    for category, words in (*_masses(row), *_calcifications(row, birads), *_others(row)):
        yield Finding((category,), birads=birads, attributes=words | place)


Told = Iterator[tuple[Category, dict[str, str]]]


def _masses(row: Row) -> Told:
    words = {
        "margin": _first(row, "massmargin", MARGINS),
        "density": _first(row, "massdens", MASS_DENSITIES),
    }
    codes = _codes(row, "massshape", {*SHAPES, *OTHER_SHAPES})
    for code in codes:
        other = OTHER_SHAPES.get(code)
        if other is not None:
            yield other, {}
    shape = next((SHAPES[code] for code in codes if SHAPES.get(code)), None)
    if any(code in SHAPES for code in codes) or (not codes and any(words.values())):
        yield Category.MASS, _said({"shape": shape, **words})


def _calcifications(row: Row, birads: int | None) -> Told:
    codes = _codes(row, "calcfind", {*MORPHOLOGIES, *BENIGN_CALCIFICATIONS})
    doubtful = DOUBTFUL_CALCIFICATIONS if birads in (1, 2) else frozenset()
    suspicious = [code for code in codes if code in MORPHOLOGIES and code not in doubtful]
    if suspicious:
        yield (
            Category.CALCIFICATION,
            _said(
                {
                    "morphology": MORPHOLOGIES[suspicious[0]],
                    "distribution": _first(row, "calcdistri", DISTRIBUTIONS),
                }
            ),
        )


def _others(row: Row) -> Told:
    for code in _letters(row, "otherfind"):
        if code in OTHER:
            yield OTHER[code], {}


def _place(row: Row, side: str) -> dict[str, str]:
    """Quadrant and depth, from the columns `location` and `depth` where the table has them."""
    place = (row.maybe_text("location") or "").upper().removesuffix(".0")
    if place in CLOCK:
        place = CLOCK[place][side == "L"]
    elif place in LOCATIONS:
        place = LOCATIONS[place]
    elif place and place not in IGNORED_LOCATIONS:
        row.refuse("location", f"one of {', '.join((*CLOCK, *LOCATIONS))}")
    else:
        place = ""
    return _said({"quadrant": place, "depth": DEPTHS.get(row.maybe_text("depth") or "")})


def _letters(row: Row, column: str) -> list[str]:
    text = (row.maybe_text(column) or "").upper().removesuffix(".0")
    return [letter for letter in text if letter not in " ,;/"]


def _codes(row: Row, column: str, known: set[str]) -> list[str]:
    letters = _letters(row, column)
    if not set(letters) <= known:
        row.refuse(column, f"letters of {''.join(sorted(known))}")
    return letters


def _first(row: Row, column: str, words: Mapping[str, str]) -> str | None:
    """The word of the first letter."""
    codes = _codes(row, column, {*words})
    return words[codes[0]] if codes else None


def _said(words: Mapping[str, str | None]) -> dict[str, str]:
    return {key: text for key, text in words.items() if text}
