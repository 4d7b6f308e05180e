"""What a measurement is: a name, a value, its unit, and what it was held against."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One printed line. `target` is what DESIGN or the issue asks for; nothing is asserted."""

    name: str
    value: float
    unit: str
    target: str = ""
    note: str = ""
