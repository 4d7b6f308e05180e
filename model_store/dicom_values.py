"""Reads single values out of a parsed header: a wrong value is an absent one, never an exception.

Knows the value representations' oddities, not what an attribute means for a mammogram.
"""

import math
from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException

READ_ERRORS = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError,
    NotImplementedError, RecursionError, BytesLengthException,
)  # fmt: skip
"""What pydicom raises when it converts a damaged value (seen by fuzzing)."""


def values(ds: Dataset, keyword: str) -> list[object]:
    """All values of an element, in order; empty where it is absent or cannot be read."""
    try:
        value = ds[keyword].value if keyword in ds else None
    except READ_ERRORS:
        return []
    if value is None:
        return []
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return list(value)
    return [value]


def texts(ds: Dataset, keyword: str) -> list[str]:
    """All values as stripped upper-case text."""
    return [str(value).strip(" \0").upper() for value in values(ds, keyword)]


def text(ds: Dataset, keyword: str) -> str:
    """The first value as stripped upper-case text, "" where there is none."""
    return next(iter(texts(ds, keyword)), "")


def numbers(ds: Dataset, keyword: str) -> list[float]:
    """All values as numbers; one that is no number is NaN."""
    return [_number(value) for value in values(ds, keyword)]


def integer(ds: Dataset, keyword: str) -> int | None:
    """The first value as an integer, None where it is absent or no integer."""
    number = next(iter(numbers(ds, keyword)), math.nan)
    return int(number) if math.isfinite(number) and number == int(number) else None


def items(ds: Dataset, keyword: str) -> Iterator[Dataset]:
    """The items of a sequence."""
    return (item for item in values(ds, keyword) if isinstance(item, Dataset))


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return math.nan
