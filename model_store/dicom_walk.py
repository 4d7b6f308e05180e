"""Walks the element headers of a DICOM dataset, iteratively, without reading a value.

Proves that depth, element count and every length are sound up to the end of the pixel data, so
that a parser which recurses or allocates by a claimed length never sees hostile bytes. Knows
nothing of what an attribute means.
"""

import struct
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from pydicom.datadict import dictionary_has_tag, dictionary_VR

from model_store.refusals import RefusalCode, Refused

PIXEL_DATA = 0x7FE00010
ITEM = 0xFFFEE000
ITEM_END = 0xFFFEE00D
SEQUENCE_END = 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF
LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a transfer syntax writes element headers."""

    implicit: bool
    little_endian: bool
    encapsulated: bool


@dataclass(slots=True)
class Layout:
    """Where things lie in a dataset; offsets are bytes from its start."""

    elements: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Top-level tag -> (start of its header, end of its value), up to the pixel data."""
    pixels: tuple[int, int] | None = None
    """(start, end) of native pixel data."""
    pixels_are_words: bool = False
    """Native pixel data is written as OW: 16-bit words, of whatever they hold."""
    fragments: list[tuple[int, int]] = field(default_factory=list)
    """(start, end) of each fragment of compressed pixel data, offset table left out."""


_Holds = Literal["elements", "items", "fragments"]


class _Header(NamedTuple):
    tag: int
    vr: bytes
    length: int
    value: int


class _Container(NamedTuple):
    """A dataset, a sequence or an item that is open."""

    end: int
    closed_by: int | None
    holds: _Holds
    encoding: Encoding


IMPLICIT_LITTLE = Encoding(implicit=True, little_endian=True, encapsulated=False)


def _out_of_bounds(container_end: int, file_end: int) -> Refused:
    if container_end < file_end:
        return _malformed("an element ends outside the item that holds it")
    return Refused(
        RefusalCode.TRUNCATED, "an element ends beyond the end of the file; send the whole file"
    )


def _malformed(what: str) -> Refused:
    return Refused(RefusalCode.MALFORMED, f"{what}; the file is damaged")


def read_header(body: memoryview, position: int, end: int, encoding: Encoding) -> _Header:
    """The element header at `position`; `end` is where its container ends."""
    if position + 8 > end:
        raise _out_of_bounds(end, len(body))
    order = "<" if encoding.little_endian else ">"
    group, element = struct.unpack_from(order + "HH", body, position)
    tag = (group << 16) | element
    if group == 0xFFFE or encoding.implicit:
        (length,) = struct.unpack_from(order + "I", body, position + 4)
        return _Header(tag, b"", length, position + 8)
    vr = bytes(body[position + 4 : position + 6])
    if vr in SHORT_VRS:
        (length,) = struct.unpack_from(order + "H", body, position + 6)
        return _Header(tag, vr, length, position + 8)
    if vr not in LONG_VRS:
        raise _malformed("an element has an unknown value representation")
    if position + 12 > end:
        raise _out_of_bounds(end, len(body))
    (length,) = struct.unpack_from(order + "I", body, position + 8)
    return _Header(tag, vr, length, position + 12)


def walk(body: memoryview, encoding: Encoding, *, max_depth: int, max_elements: int) -> Layout:
    """The layout of a dataset up to its pixel data; what follows those is never looked at.

    Raises Refused: truncated, malformed, nested_too_deep, too_many_elements.
    """
    layout = Layout()
    starts: list[tuple[int, int]] = []
    stack = [_Container(len(body), None, "elements", encoding)]
    position = 0
    for _ in range(max_elements):
        _close_finished(stack, position, len(body))
        if not stack:
            break
        header = read_header(body, position, stack[-1].end, stack[-1].encoding)
        if len(stack) == 1:
            starts.append((header.tag, position))
            if header.tag == PIXEL_DATA:
                _find_pixels(body, header, encoding, layout, max_elements)
                break
        position = _step(header, stack, len(body))
        if len(stack) > 2 * max_depth + 1:
            raise Refused(
                RefusalCode.NESTED_TOO_DEEP, f"sequences are nested more than {max_depth} deep"
            )
    else:
        raise Refused(RefusalCode.TOO_MANY_ELEMENTS, f"more than {max_elements} data elements")
    ends = [start for _, start in starts[1:]] + [position]
    for (tag, start), end in zip(starts, ends, strict=True):
        if tag != PIXEL_DATA:
            layout.elements.setdefault(tag, (start, end))
    return layout


def _close_finished(stack: list[_Container], position: int, file_end: int) -> None:
    """Drop the containers that end at `position`; an empty stack means the dataset is over."""
    while stack and position >= stack[-1].end:
        if stack[-1].closed_by is not None:
            raise _out_of_bounds(stack[-1].end, file_end)
        stack.pop()


def _step(header: _Header, stack: list[_Container], file_end: int) -> int:
    """Take one header: open, close or skip. Returns the position of the next header."""
    top = stack[-1]
    if header.tag == top.closed_by:
        stack.pop()
        return header.value
    if (header.tag == ITEM) != (top.holds != "elements") or header.tag in (ITEM_END, SEQUENCE_END):
        raise _malformed("items and elements are mixed up")
    undefined = header.length == UNDEFINED
    end = top.end if undefined else header.value + header.length
    if end > top.end:
        raise _out_of_bounds(top.end, file_end)
    opened = _opened(header, top.holds)
    if opened is None:
        if undefined:
            raise _malformed("an element that is no sequence has no length")
        return end
    closed_by = ITEM_END if opened == "elements" else SEQUENCE_END
    inner = IMPLICIT_LITTLE if header.vr == b"UN" else top.encoding  # PS3.5 6.2.2 note 2
    stack.append(_Container(end, closed_by if undefined else None, opened, inner))
    return header.value


def _opened(header: _Header, holder: _Holds) -> _Holds | None:
    """What the value of an element holds, None for plain bytes."""
    if header.tag == ITEM:
        return "elements" if holder == "items" else None
    undefined = header.length == UNDEFINED
    if header.vr == b"SQ" or (header.vr == b"UN" and undefined):
        return "items"
    if header.tag == PIXEL_DATA and undefined:
        return "fragments"  # of an icon: the image's own pixel data ends the walk
    if header.vr:
        return None
    known = dictionary_has_tag(header.tag) and dictionary_VR(header.tag) == "SQ"
    return "items" if known or undefined else None


def _find_pixels(
    body: memoryview, header: _Header, encoding: Encoding, layout: Layout, max_fragments: int
) -> None:
    """Note where the image's own pixel data lies, whole."""
    if encoding.encapsulated != (header.length == UNDEFINED):
        raise _malformed("the pixel data is not written as its transfer syntax says")
    if not encoding.encapsulated:
        end = header.value + header.length
        if end > len(body):
            raise _out_of_bounds(len(body), len(body))
        layout.pixels = (header.value, end)
        layout.pixels_are_words = header.vr == b"OW"
        return
    position = header.value
    for _ in range(max_fragments):
        item = read_header(body, position, len(body), encoding)
        position = item.value + item.length
        if item.tag == SEQUENCE_END:
            del layout.fragments[:1]  # the basic offset table
            return
        if item.tag != ITEM or item.length == UNDEFINED:
            raise _malformed("the compressed pixel data is not a row of fragments")
        if position > len(body):
            raise _out_of_bounds(len(body), len(body))
        layout.fragments.append((item.value, position))
    raise Refused(RefusalCode.TOO_MANY_ELEMENTS, "the pixel data is in too many fragments")
