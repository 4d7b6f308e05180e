"""A report's text -> its sentences, each with the section it stands in. Pure text; knows no model.

A blank line, a heading, a bullet or a number that counts up a list begins something new, and so
does a line with a capital where the one before it could have ended; any other line goes on with the
one before. Nothing is lost: the pieces in their order hold every character of the text that is not
space. Time grows with the length of the text, whatever it holds.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

NEVER_LAST = re.compile(
    r"(drs?|mrs?|ms|prof|e\.g|i\.e|vs|approx|cf|ca|figs?|st|resp|incl|excl)", re.IGNORECASE
)
"""A full stop behind these belongs to the word, whatever follows."""
RARELY_LAST = re.compile(
    r"(cm|mm|etc|[ap]\.m|inc|min|max|dept|yrs?|mo|ant|post|lat|med|[rl]|[rl]t|(?:[a-z]\.)+[a-z])",
    re.IGNORECASE,
)
"""Behind these it ends a sentence only where the next word does not begin in lower case."""
NUMBERED = re.compile(
    r"(nos?|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|vol|ser|im)", re.IGNORECASE
)
"""So it is behind these before a number."""
SIDE = re.compile(r"([rl]|[rl]t)", re.IGNORECASE)
SIDED = re.compile(r"(breast|axilla|nipple|mammo|mlo|cc|upper|lower|outer|inner)", re.IGNORECASE)
"""Behind a side's letter the sentence goes on with these, in capitals too."""
NAMING = re.compile(
    r"(by|drs?\.?|mrs?\.?|ms\.?|prof\.?|(?:radi|techn)ologist|doctor|physician|surgeon|signed):?",
    re.IGNORECASE,
)
"""A name follows, and so a letter with a full stop is an initial."""
NO_INITIALS = frozenset("ABCDILRVX")
"""Densities, sides and Roman numbers: without such a word before them they may end a sentence."""
FAR_BACK = 40
"""Characters before a full stop, or before the end of a line, that are looked at."""
ROOM_CHARS = 60
"""No text is taken to be wrapped more narrowly than this."""
HEADINGS = (
    "ADDENDUM|ASSESSMENT|BREAST COMPOSITION|BREAST DENSITY|CLINICAL (?:HISTORY|INFORMATION|"
    "INDICATION)|COMPARISON|CONCLUSIONS?|EXAM(?:INATION)?|FINDINGS?|HISTORY|IMPRESSIONS?|"
    "INDICATIONS?|OPINION|PROCEDURE|REASON FOR EXAM(?:INATION)?|RECOMMENDATIONS?|TECHNIQUE"
)
EXPECTS_CODE = (
    "bi-?rads|category|cat|density|composition|class|code|type|grade|stage|score|acr|assessment"
)
GOES_ON = (
    f"{EXPECTS_CODE}|an?|the|and|or|but|nor|of|in|on|at|to|from|by|with|without|for|as|than|per|via|"
    "between|within|into|near|over|under|behind|through|is|are|was|were|be|been|has|have|had|will|"
    "may|should|shows?|showed|not|this|that|these|those|which|whose|measur(?:es|ing)|dated|since"
)
_OPEN_END = re.compile(rf"(?:[,:/(\[&+=<>\u2013\u2014-]|\b(?:{GOES_ON}))$", re.IGNORECASE)
_EXPECTS_END = re.compile(rf"\b(?:{EXPECTS_CODE}|is|was|of)[ \t]*:?$", re.IGNORECASE)
_SIDE_END = re.compile(r"\b(?:right|left|bilateral)$", re.IGNORECASE)
_HEADING = re.compile(rf"\s*((?:{HEADINGS})[ \t]*(?::|$))", re.IGNORECASE)
_HEADING_WITHIN = re.compile(rf"(?<=[.!?;:])[ \t]+((?:{HEADINGS})[ \t]*:)")
_BULLET = re.compile(
    r"\s*([-*+\u2013\u2014](?=\s|$)"
    r"|[\u2022\u00b7\u2023\u2043\u25aa\u25a0\u25cb\u25cf\u25e6\uf0a7\uf0b7])"
)
_TIGHT_BULLET = re.compile(r"\s*([-*+\u2013\u2014])(?=[^\W\d_])")
_NUMBER = re.compile(
    r"\s*((?:\((?=\w{1,2}\)))?(?:(\d{1,2})[.)](?=\s|$|[^\W\d_])|([a-zA-Z])[.)](?=\s|$)))", re.ASCII
)
_END = re.compile(r"(?<![.!?])[.!?]++[\"'\u201d\u2019)\]]*+(?=\s|$)")
_NEXT = re.compile(r"\S{1,16}")
_BEFORE = re.compile(r"[\s(/]+")
_OPENING = "\"'([\u201c\u2018"

Kind = Literal["heading", "marker", "sentence"]
Place = tuple[int, int]
"""A line, and a character of it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of the text, without space around it; a `marker` begins an item or is no word."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class ReportSentence:
    """One sentence on one line; `section` in small letters, None before any heading."""

    text: str
    section: str | None


def report_sentences(text: str, *, section: str | None = None) -> tuple[ReportSentence, ...]:
    """The sentences of a report, in order; `section` is what the text begins in.

    They hold every word of the text but for headings and the markers of lists.
    """
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


def _blocks(text: str) -> Iterator[tuple[Kind, str]]:
    """Headings and markers by themselves; of the rest, the lines that go on with each other."""
    lines = tuple(_lines(text))
    markers = _numbers(lines) | _tight_bullets(lines)
    width = max(ROOM_CHARS, *map(len, lines)) if lines else ROOM_CHARS
    open_lines: list[str] = []
    for row, line in enumerate(lines):
        wrapped = bool(open_lines) and open_lines[-1][-1] not in ".!?:;"
        for kind, part in _line_parts(line, row, markers, wrapped=wrapped):
            ends = kind != "sentence" or not part or _begins_anew(open_lines, part, width)
            if ends and open_lines:
                yield "sentence", "\n".join(open_lines)
                open_lines = []
            if kind != "sentence":
                yield kind, part
            elif part:
                open_lines.append(part)
    if open_lines:
        yield "sentence", "\n".join(open_lines)


def _lines(text: str) -> Iterator[str]:
    """Its lines, cut once more before a heading that stands within one."""
    for line in text.splitlines():
        start = 0
        for found in _HEADING_WITHIN.finditer(line):
            yield line[start : found.start(1)]
            start = found.start(1)
        yield line[start:]


def _line_parts(
    line: str, row: int, markers: frozenset[Place], *, wrapped: bool
) -> Iterator[tuple[Kind, str]]:
    """A line's markers and headings, and what follows them; a blank line is one empty part."""
    at = 0
    while found := _opening(line, at):
        heading = found.re is _HEADING
        if heading and wrapped and found[1][-1] != ":" and not found[1][0].isupper():
            break
        if not heading and found.re is not _BULLET and (row, found.start(1)) not in markers:
            break
        yield ("heading" if heading else "marker"), found[1].strip()
        at = found.end()
    rest = line[at:].strip()
    if rest or not at:
        yield "sentence", rest


def _opening(line: str, at: int) -> re.Match[str] | None:
    """What may be a marker or a heading there."""
    return (
        _BULLET.match(line, at)
        or _NUMBER.match(line, at)
        or _TIGHT_BULLET.match(line, at)
        or _HEADING.match(line, at)
    )


def _numbers(lines: Sequence[str]) -> frozenset[Place]:
    """Where a number or letter counts up from the first; one by itself may be a category."""
    counted: set[Place] = set()
    last: dict[str, tuple[int, Place]] = {}
    before = ""
    for row, line in enumerate(lines):
        at = 0
        while found := _opening(line, at):
            at = found.end()
            if found.re is _HEADING:
                last.clear()
            elif found.re is _NUMBER and not (found.start() == 0 and _EXPECTS_END.search(before)):
                kind, value = _counted(found)
                place = row, found.start(1)
                if kind in last and value == last[kind][0] + 1:
                    counted |= {last[kind][1], place}
                    last[kind] = value, place
                elif value == 1:
                    last[kind] = value, place
        before = line.rstrip()[-FAR_BACK:] or before
    return frozenset(counted)


def _counted(found: re.Match[str]) -> tuple[str, int]:
    """What kind of list it is of, and its place there from 1."""
    if found[2]:
        return "1", int(found[2])
    return ("A" if found[3].isupper() else "a"), ord(found[3].lower()) - ord("a") + 1


def _tight_bullets(lines: Sequence[str]) -> frozenset[Place]:
    """Where a bullet stands without space: before a capital, or the same one on several lines."""
    found: dict[str, list[tuple[Place, bool]]] = {}
    for row, line in enumerate(lines):
        if it := _TIGHT_BULLET.match(line):
            capital = line[it.end()].isupper()
            found.setdefault(it[1], []).append(((row, it.start(1)), capital))
    return frozenset(
        place
        for places in found.values()
        for place, capital in places
        if capital or len(places) > 1
    )


def _begins_anew(open_lines: Sequence[str], line: str, width: int) -> bool:
    """Whether a line begins a sentence though none has ended before it.

    So it is where it begins with a capital, its first word had room on the line before, and that
    line could have ended. Lines that are nothing but capitals show no beginning.
    """
    if not open_lines or not line.lstrip(_OPENING)[:1].isupper():
        return False
    before = open_lines[-1]
    end = before[-FAR_BACK:]
    first = line.split(maxsplit=1)[0]
    goes_on = (
        end[-1] in ".!?"
        or _OPEN_END.search(end)
        or (_SIDE_END.search(end) and SIDED.match(first))
        or (before + line).isupper()
    )
    return not goes_on and len(before) + 1 + len(first) <= width


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
        yield Piece("sentence" if any(c.isalnum() for c in shown) else "marker", shown)


def _ends(block: str, start: int, found: re.Match[str]) -> bool:
    """Whether the punctuation ends the sentence that began at `start`."""
    follows = _NEXT.search(block, found.end())
    if not follows or found[0][0] != "." or found[0].startswith(".."):
        return True
    stop = found.start()
    *before, last = _BEFORE.split(block[max(start, stop - FAR_BACK) : stop].lstrip())
    word, rest = last.lstrip(_OPENING), follows[0].lstrip(_OPENING)
    if NEVER_LAST.fullmatch(word) or (NUMBERED.fullmatch(word) and rest[:1].isdigit()):
        return False
    if _is_label(word, before) or _is_initial(word, before, rest):
        return False
    if SIDE.fullmatch(word) and SIDED.match(rest):
        return False
    return not (RARELY_LAST.fullmatch(word) and rest[:1].islower())


def _is_label(word: str, before: Sequence[str]) -> bool:
    """A letter or a number by itself is no sentence: "R. breast", "4. Biopsy"."""
    return not any(before) and (len(word) == 1 or (len(word) == 2 and word.isdigit()))


def _is_initial(word: str, before: Sequence[str], rest: str) -> bool:
    """Of a name: "Dr. J. Smith", "by J.R. Smith"; a density of C is none."""
    if not before or not re.fullmatch(r"(?:[^\W\d_]\.)*[^\W\d_]", word):
        return False
    if NAMING.fullmatch(before[-1]) or (len(word) == 1 and before[-1].endswith(".")):
        return True
    return len(word) == 1 and word.isupper() and word not in NO_INITIALS and rest[:1].isupper()
