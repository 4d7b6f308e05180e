"""Free text of a report: its sections by their headings, and its sentences.

Knows nothing of tables or images.
"""

import re
from dataclasses import dataclass

FINDINGS = ("FINDINGS", "FINDING", "MAMMOGRAPHIC FINDINGS", "MAMMOGRAM")
IMPRESSION = ("IMPRESSION", "IMPRESSIONS", "CONCLUSION", "CONCLUSIONS", "ASSESSMENT", "OPINION")
OTHER = (
    "HISTORY",
    "CLINICAL HISTORY",
    "INDICATION",
    "TECHNIQUE",
    "COMPARISON",
    "PROCEDURE",
    "RECOMMENDATION",
    "RECOMMENDATIONS",
    "RECOMENDATION",
    "BI-RADS",
)
"""Sections that end another and tell nothing of the image."""
_NAMES = "|".join(sorted((*FINDINGS, *IMPRESSION, *OTHER), key=len, reverse=True))
HEADING = re.compile(rf"(?:^|(?<=[.\n]))\s*({_NAMES})\s*:", re.IGNORECASE)
ABBREVIATIONS = ("e.g", "i.e", "vs", "approx", "dr", "fig", "cf", "resp")
BREAK = re.compile(r"(?<=[.!?;])\s+|\s*\n+\s*")


@dataclass(frozen=True, slots=True)
class Sections:
    """Texts of the two sections, "" where there is none."""

    findings: str
    impression: str


def sections(text: str) -> Sections:
    """Cut a text at its headings. One without any is all findings; other sections are left out."""
    parts = HEADING.split(text)
    if len(parts) == 1:
        return Sections(text.strip(), "")
    told: dict[bool, list[str]] = {True: [], False: []}
    for heading, body in zip(parts[1::2], parts[2::2], strict=True):
        name = " ".join(heading.upper().split())
        if name not in OTHER and body.strip():
            told[name in FINDINGS].append(body.strip())
    return Sections(" ".join(told[True]), " ".join(told[False]))


def sentences(text: str) -> tuple[str, ...]:
    """Sentences in order, without empty ones; "2.5 cm" and "e.g. here" are not cut."""
    found: list[str] = []
    for part in BREAK.split(text.strip()):
        if found and _goes_on(found[-1]):
            found[-1] = f"{found[-1]} {part}"
        elif part.strip(" .;"):
            found.append(part.strip())
    return tuple(found)


def _goes_on(sentence: str) -> bool:
    """Whether it ends in an abbreviation or in the number of a list."""
    last = sentence.split()[-1]
    return last.endswith(".") and (
        last[:-1].lower().lstrip("(") in ABBREVIATIONS or sentence[:-1].isdigit()
    )
