"""A report's text -> its sentences, each with the section it stands in. Pure text; knows no model.

Lines are read as they stand: a blank line, a heading, a bullet or a number in a list begins
something new, any other line goes on with the one before it. Nothing is lost: the pieces in their
order hold every character of the text that is not space.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

NEVER_LAST = re.compile(
    r"(drs?|mrs?|ms|prof|e\.g|i\.e|vs|approx|cf|ca|figs?|st|resp|incl|excl)", re.IGNORECASE
)
"""A full stop behind these belongs to the word, whatever follows."""
RARELY_LAST = re.compile(
    r"(cm|mm|etc|[ap]\.m|inc|min|max|dept|yrs?|mo|ant|post|lat|med)", re.IGNORECASE
)
"""Behind these it ends a sentence only where the next word does not begin in lower case."""
NUMBERED = re.compile(r"nos?", re.IGNORECASE)
"""So it is behind these before a number."""
FAR_BACK = 40
"""Characters before a full stop that are looked at."""
HEADINGS = (
    "ADDENDUM|ASSESSMENT|BREAST COMPOSITION|BREAST DENSITY|CLINICAL (?:HISTORY|INFORMATION|"
    "INDICATION)|COMPARISON|CONCLUSIONS?|EXAM(?:INATION)?|FINDINGS?|HISTORY|IMPRESSIONS?|"
    "INDICATIONS?|OPINION|PROCEDURE|REASON FOR EXAM(?:INATION)?|RECOMMENDATIONS?|TECHNIQUE"
)
_HEADING_OF_LINE = re.compile(rf"\s*((?:{HEADINGS})[ \t]*(?::|$))", re.IGNORECASE)
_HEADING_WITHIN = re.compile(rf"(?<=[.!?;:])[ \t]+((?:{HEADINGS})[ \t]*:)")
_MARKER = re.compile(r"\s*((?:[-*+\u2022\u00b7\u2013\u2014]|\(?(?:\d{1,2}|[a-zA-Z])[.)])(?=\s|$))")
_END = re.compile(r"[.!?]+[\"'\u201d\u2019)\]]*(?=\s|$)")
_NEXT = re.compile(r"\S\S?")
_OPENING = "\"'([\u201c\u2018"


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of the text, without space around it; a `marker` is a bullet or holds no letter."""

    kind: Literal["heading", "marker", "sentence"]
    text: str


@dataclass(frozen=True, slots=True)
class ReportSentence:
    """One sentence on one line; `section` in small letters, None before any heading."""

    text: str
    section: str | None


def report_sentences(text: str, *, section: str | None = None) -> tuple[ReportSentence, ...]:
    """The sentences of a report, in order; `section` is what the text begins in."""
    found: list[ReportSentence] = []
    for piece in pieces_of(text):
        if piece.kind == "heading":
            section = piece.text.rstrip(": \t").lower()
        elif piece.kind == "sentence":
            found.append(ReportSentence(" ".join(piece.text.split()), section))
    return tuple(found)


def pieces_of(text: str) -> tuple[Piece, ...]:
    """Headings, markers and sentences; joined, they are the text but for its space."""
    return tuple(
        piece
        for kind, block in _blocks(text)
        for piece in ([Piece(kind, block)] if kind != "sentence" else _sentences(block))
    )


def _blocks(text: str) -> Iterator[tuple[Literal["heading", "marker", "sentence"], str]]:
    """Headings and markers by themselves; of the rest, the lines that go on with each other."""
    open_lines: list[str] = []
    for line in text.splitlines():
        for kind, part in _line_parts(line):
            if kind != "sentence" or not part:
                if open_lines:
                    yield "sentence", "\n".join(open_lines)
                open_lines = []
                if part:
                    yield kind, part
            else:
                open_lines.append(part)
    if open_lines:
        yield "sentence", "\n".join(open_lines)


def _line_parts(line: str) -> Iterator[tuple[Literal["heading", "marker", "sentence"], str]]:
    """A line's marker and headings, and what stands between; a blank line is one empty part."""
    if not line.strip():
        yield "sentence", ""
        return
    at = 0
    while found := _MARKER.match(line, at) or _HEADING_OF_LINE.match(line, at):
        kind: Literal["heading", "marker"] = "marker" if found.re is _MARKER else "heading"
        yield kind, found[1].strip()
        at = found.end()
    while found := _HEADING_WITHIN.search(line, at):
        if line[at : found.start()].strip():
            yield "sentence", line[at : found.start()].strip()
        yield "heading", found[1].strip()
        at = found.end()
    if line[at:].strip():
        yield "sentence", line[at:].strip()


def _sentences(block: str) -> Iterator[Piece]:
    start = 0
    for found in _END.finditer(block):
        if _ends(block, start, found):
            yield from _piece(block[start : found.end()])
            start = found.end()
    yield from _piece(block[start:])


def _piece(text: str) -> Iterator[Piece]:
    shown = text.strip()
    if shown:
        yield Piece("sentence" if any(c.isalpha() for c in shown) else "marker", shown)


def _ends(block: str, start: int, found: re.Match[str]) -> bool:
    """Whether the punctuation ends the sentence that began at `start`."""
    follows = _NEXT.search(block, found.end())
    if not follows or found[0][0] != "." or found[0].startswith(".."):
        return True
    rest = follows[0]
    stop = found.start()
    *before, last = re.split(r"[\s(/]+", block[max(start, stop - FAR_BACK) : stop])
    word = last.lstrip(_OPENING)
    if NEVER_LAST.fullmatch(word) or (NUMBERED.fullmatch(word) and rest[0].isdigit()):
        return False
    if len(word) == 1 and before and before[-1].endswith("."):
        return False  # an initial: "Dr. J. Smith"; a density of C is none
    return not (RARELY_LAST.fullmatch(word) and rest.lstrip(_OPENING)[:1].islower())
