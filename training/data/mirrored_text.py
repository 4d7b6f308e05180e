"""A text of a report as it is true of the image flipped left to right, or None.

Sides (left, LT, L before a view or a breast) change places, and hours of the clock face go round
the other way. What may tell of a side and is not surely understood is not guessed at: "RT" alone
may be radiotherapy, "2:30" alone the time of a telephone call. Knows nothing of images.
"""

import re

OTHER = {"left": "right", "lt": "rt", "l": "r", "right": "left", "rt": "lt", "r": "l"}
HOUR_WORDS = (
    "twelve",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
)
VIEWS = "xcc[lm]?|cc|mlo|ml|lm|[ul][io]q"
"""Views and quadrants, which also stand right behind an L or R: "LCC", "RUOQ"."""
PLACES = (
    r"breasts?|axill\w*|nipple\w*|sided?|mammo\w*|upper|lower|outer|inner|lateral|medial|central|"
    r"(?:retro|sub|peri)areolar|chest|implants?"
)
CLOCK = r"o\s?['\u2019`]?\s?clock"
HOUR = rf"(?:(?:1[0-2]|0?[1-9])(?::[0-5]\d)?|{'|'.join(HOUR_WORDS)})"
BETWEEN = r"(?:\s*[-\u2013/&]\s*|\s+(?:to|and|or|through)\s+)"
SIDE = re.compile(
    rf"""(?<![a-z])(?:
        (?:left|right)(?=(?:sided?|hand(?:ed)?|wards?|most)?(?![a-z]))
      | (?:lt|rt)(?=\.?\)?[\s-]*(?:(?:{PLACES}|{VIEWS})\b|{HOUR}[\s-]*{CLOCK}))
      | [lr](?=\.?\)?[\s-]+(?:{PLACES})\b)
      | [lr](?=\.?\)?[\s-]*(?:{VIEWS})\b)
    )""",
    re.IGNORECASE | re.VERBOSE,
)
HOURS = re.compile(
    rf"(?<![\w.:,/\u2013-])({HOUR}(?:{BETWEEN}{HOUR})*)([\s-]*{CLOCK})", re.IGNORECASE
)
UNDERSTOOD = "@"
"""Stands for hours that can be mended while the rest is looked through."""
NOT_UNDERSTOOD = re.compile(
    rf"""
        (?<![a-z0-9])(?:lt|rt|lft|rgt|l|r)(?![a-z0-9])(?!/o\b)  # but r/o, rule out
      | {CLOCK} | clockwise | \d:\d\d | (?:half|quarter)\s+(?:past|to)
      | \d[\s,]*(?:(?:to|and|or|through)\s*|[-\u2013/&]\s*)*{UNDERSTOOD}  # 1, 2 and 3 o'clock
    """,
    re.IGNORECASE | re.VERBOSE,
)
NO_SIDES = re.compile(
    r"\bleft\s+(?:in\s+(?:place|situ)|behind|over|alone|without|untreated|unchanged)\b"
    r"|\bright\s+(?:away|now|angles?|after)\b|\ball\s+right\b",
    re.IGNORECASE,
)
"""Where left and right are no sides."""


def mirrored_text(text: str) -> str | None:
    """The text with its sides and hours changed; None where it says what cannot be changed."""
    rest = HOURS.sub(UNDERSTOOD, SIDE.sub(" ", text.replace(UNDERSTOOD, " ")))
    if NOT_UNDERSTOOD.search(rest) or NO_SIDES.search(text):
        return None
    return HOURS.sub(_other_hours, SIDE.sub(_other_side, text))


def _other_side(match: re.Match[str]) -> str:
    said = match.group()
    return _cased(OTHER[said.lower()], like=said)


def _other_hours(match: re.Match[str]) -> str:
    """Each hour mirrored, in turned order, so that a range still runs clockwise."""
    said, clock = match.groups()
    hours = [_other_hour(hour) for hour in re.findall(HOUR, said, re.IGNORECASE)][::-1]
    between = re.split(HOUR, said, flags=re.IGNORECASE)[1:]
    return "".join(hour + joint for hour, joint in zip(hours, between, strict=True)) + str(clock)


def _other_hour(said: str) -> str:
    """ "2" -> "10", "2:30" -> "9:30", "Two" -> "Ten"; 12 and 6 stay."""
    if said.lower() in HOUR_WORDS:
        return _cased(HOUR_WORDS[-HOUR_WORDS.index(said.lower())], like=said)
    hour, colon, minute = said.partition(":")
    minutes = -(60 * int(hour) + int(minute or 0)) % (12 * 60)
    number = f"{minutes // 60 or 12:0{2 if hour.startswith('0') else 1}}"
    return f"{number}:{minutes % 60:02}" if colon else number


def _cased(word: str, *, like: str) -> str:
    if like.isupper():
        return word.upper()
    return word.capitalize() if like[0].isupper() else word
