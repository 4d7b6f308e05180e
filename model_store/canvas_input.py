"""A PNG that is a canvas already, as preprocessed data sets hold them: taken as it is.

Grey, 8 bit, and of the recipe's very size: anything else is refused, since a PNG does not say how
it was made of the detector's values. Nothing but `Refused` comes out, whatever the bytes.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from model_store.dicom_guard import Source
from model_store.geometry import Placement
from model_store.manifest import Recipe
from model_store.refusals import RefusalCode, Refused, WarningCode
from model_store.render import Rendered

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHUNK = struct.Struct(">I4s")  # length, type; then the data and 4 bytes of CRC
HEADER = struct.Struct(">IIBBBBB")  # width, height, depth, colour, compression, filter, interlace
CRC_BYTES = 4
GREY, RGB = 0, 2
SAMPLES = {GREY: 1, RGB: 3}
MOST_CHUNKS = 10_000
"""A canvas has some hundred; each one costs a turn of a loop."""
NOTED = (
    WarningCode.PREPARED_CANVAS,
    WarningCode.LATERALITY_UNKNOWN,
    WarningCode.VIEW_UNKNOWN,
)


def is_png(source: Source) -> bool:
    """By its first bytes."""
    return bytes(source[: len(SIGNATURE)]) == SIGNATURE


def read_canvas(source: Source, recipe: Recipe) -> Rendered:
    """Bytes of a PNG -> the canvas it is. Raises Refused.

    Runs a native decoder on bytes from outside: call it in a memory-limited child process.
    """
    _check_pixels(source, _checked_header(source, recipe), recipe)
    try:
        with Image.open(io.BytesIO(source), formats=("PNG",)) as image:
            pixels: Any = np.asarray(image)
    except Exception as error:  # noqa: BLE001  what parsers raise for hostile bytes is no closed list
        raise Refused(
            RefusalCode.MALFORMED, f"the PNG cannot be read ({type(error).__name__})"
        ) from None
    if pixels.shape[:2] != (recipe.height_px, recipe.width_px) or pixels.dtype != np.uint8:
        raise Refused(RefusalCode.MALFORMED, "the PNG holds another image than its header says")
    if pixels.ndim == 3:
        if not (pixels == pixels[..., :1]).all():
            raise Refused(RefusalCode.NOT_A_CANVAS, "expected a grey PNG, got one with colours")
        pixels = pixels[..., 0]
    if pixels.min() == pixels.max():
        raise Refused(RefusalCode.BLANK_IMAGE, "every pixel has the same value")
    height, width = recipe.height_px, recipe.width_px
    placement = Placement(((0, height),), ((0, width),), height, width, height, width)
    return Rendered(np.ascontiguousarray(pixels, np.uint8), placement, NOTED)


def _checked_header(source: Source, recipe: Recipe) -> int:
    """Samples a pixel, by a header that is the recipe's, before anything is decoded."""
    begin = len(SIGNATURE) + CHUNK.size
    if len(source) < begin + HEADER.size:
        raise Refused(RefusalCode.TRUNCATED, "the PNG ends within its header")
    length, kind = CHUNK.unpack(source[len(SIGNATURE) : begin])
    if kind != b"IHDR" or length != HEADER.size:
        raise Refused(RefusalCode.MALFORMED, "the PNG does not begin with its header")
    width, height, depth, colour, _, _, interlace = HEADER.unpack(
        source[begin : begin + HEADER.size]
    )
    if (height, width) != (recipe.height_px, recipe.width_px):
        raise Refused(
            RefusalCode.NOT_A_CANVAS,
            f"expected a PNG of {recipe.height_px} x {recipe.width_px} px, the canvas of recipe "
            f"{recipe.name}, got {height} x {width}; send the DICOM file it was made from",
        )
    if depth != 8 or colour not in SAMPLES or interlace:
        raise Refused(
            RefusalCode.NOT_A_CANVAS, "expected a grey PNG of 8 bits that is not interlaced"
        )
    return SAMPLES[colour]


def _check_pixels(source: Source, samples: int, recipe: Recipe) -> None:
    """The compressed rows are as many as the header says, no fewer (they would be black), no more.

    A decoder obeys a second header and fills up what is missing: neither may happen here.
    """
    expected = recipe.height_px * (1 + recipe.width_px * samples)
    inflate, got = zlib.decompressobj(), 0
    for data in _rows(source):
        try:
            got += len(inflate.decompress(data, expected + 1 - got))
        except zlib.error:
            raise Refused(RefusalCode.MALFORMED, "the PNG's rows are damaged") from None
        if got > expected:
            raise Refused(RefusalCode.MALFORMED, "the PNG has more rows than its header says")
    if got < expected:
        raise Refused(RefusalCode.TRUNCATED, "the PNG has fewer rows than its header says")


def _rows(source: Source) -> Iterator[bytes]:
    """Data of the IDAT chunks. Raises Refused unless there is one header and an end."""
    at = len(SIGNATURE)
    for turn in range(MOST_CHUNKS):
        if len(source) < at + CHUNK.size:
            raise Refused(RefusalCode.TRUNCATED, "the PNG ends before its end")
        length, kind = CHUNK.unpack(source[at : at + CHUNK.size])
        begin, at = at + CHUNK.size, at + CHUNK.size + length + CRC_BYTES
        if at > len(source):
            raise Refused(RefusalCode.TRUNCATED, "the PNG ends within a chunk")
        if kind == b"IEND":
            return
        if (kind == b"IHDR") != (turn == 0):
            raise Refused(RefusalCode.MALFORMED, "expected one header in a PNG, got another")
        if kind == b"IDAT":
            yield bytes(source[begin : begin + length])
    raise Refused(RefusalCode.MALFORMED, f"the PNG has more than {MOST_CHUNKS} chunks")
