"""PNGs of the canvas's size go to the model as they are; every other one is refused."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model_store.arrays import U8
from model_store.canvas_input import MOST_CHUNKS, SIGNATURE, is_png, read_canvas
from model_store.manifest import Recipe
from model_store.refusals import RefusalCode, Refused, WarningCode

RECIPE = Recipe(height_px=64, width_px=48)
CANVAS = np.random.default_rng(3).integers(0, 256, (64, 48), dtype=np.uint8)


def png(pixels: Any, mode: str | None = None, **how: Any) -> bytes:
    out = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(out, format="PNG", **how)
    return out.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(height: int, width: int, *, depth: int = 8, interlace: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, interlace))


def rows(pixels: U8) -> bytes:
    return chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels)))


def built(*chunks: bytes, end: bool = True) -> bytes:
    return SIGNATURE + b"".join(chunks) + (chunk(b"IEND", b"") if end else b"")


def refusal(data: bytes) -> RefusalCode:
    assert is_png(data)
    with pytest.raises(Refused) as caught:
        read_canvas(data, RECIPE)
    return caught.value.code


@pytest.mark.parametrize("mode", [None, "RGB"])
def test_a_grey_png_of_the_canvas_s_size_comes_out_bit_for_bit(mode: str | None) -> None:
    made = read_canvas(png(CANVAS, mode), RECIPE)
    assert np.array_equal(made.canvas, CANVAS)
    assert made.canvas.dtype == np.uint8
    assert made.placement.to_stored([[10.5, 3.25]]).tolist() == [[10.5, 3.25]]
    assert WarningCode.PREPARED_CANVAS in made.warnings


def flat(value: int) -> U8:
    return np.full((64, 48), value, np.uint8)


def coloured() -> U8:
    pixels = np.stack([CANVAS] * 3, axis=2)
    pixels[5, 5, 0] ^= 1
    return pixels


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (png(CANVAS[:60]), RefusalCode.NOT_A_CANVAS),
        (png(CANVAS.T.copy()), RefusalCode.NOT_A_CANVAS),
        (png(coloured()), RefusalCode.NOT_A_CANVAS),
        (png(CANVAS, "LA"), RefusalCode.NOT_A_CANVAS),
        (png(CANVAS, "P"), RefusalCode.NOT_A_CANVAS),
        (png(CANVAS.astype(np.uint16) * 257), RefusalCode.NOT_A_CANVAS),
        (png(CANVAS > 100), RefusalCode.NOT_A_CANVAS),
        (png(flat(7)), RefusalCode.BLANK_IMAGE),
        (png(CANVAS)[:20], RefusalCode.TRUNCATED),
        (png(CANVAS)[:1500], RefusalCode.TRUNCATED),
        (png(CANVAS)[:8] + bytes(40), RefusalCode.MALFORMED),
    ],
)
def test_any_other_png_is_refused_by_code(data: bytes, code: RefusalCode) -> None:
    assert refusal(data) == code


def test_a_claim_of_a_huge_image_is_refused_before_anything_is_decoded() -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    body = b"IHDR" + header
    data = png(CANVAS)[:8] + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    assert refusal(data) == RefusalCode.NOT_A_CANVAS


def test_damaged_pixels_are_not_taken_for_an_image() -> None:
    data = bytearray(png(CANVAS))
    data[700] ^= 0xFF
    assert refusal(bytes(data)) == RefusalCode.MALFORMED


SIZE = header(64, 48)
LARGE = np.resize(CANVAS, (200, 48))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (built(SIZE, header(200, 48), rows(LARGE)), RefusalCode.MALFORMED),
        (built(SIZE, header(20, 48), rows(CANVAS[:20])), RefusalCode.MALFORMED),
        (built(SIZE, header(64, 48, depth=16), rows(LARGE[:128])), RefusalCode.MALFORMED),
        (built(SIZE, SIZE, rows(CANVAS)), RefusalCode.MALFORMED),
        (built(SIZE, rows(LARGE)), RefusalCode.MALFORMED),
        (built(SIZE, rows(CANVAS[:1])), RefusalCode.TRUNCATED),
        (built(SIZE), RefusalCode.TRUNCATED),
        (built(SIZE, rows(CANVAS), end=False), RefusalCode.TRUNCATED),
        (built(header(64, 48, interlace=1), rows(CANVAS)), RefusalCode.NOT_A_CANVAS),
        (built(SIZE, *[chunk(b"tEXt", b"")] * MOST_CHUNKS, rows(CANVAS)), RefusalCode.MALFORMED),
        (built(SIZE, chunk(b"IDAT", b"not zlib")), RefusalCode.MALFORMED),
    ],
)
def test_a_png_that_holds_another_image_than_its_header_says_is_refused(
    data: bytes, code: RefusalCode
) -> None:
    assert refusal(data) == code


def test_text_and_split_rows_change_nothing() -> None:
    whole = rows(CANVAS)[8:-4]
    parts = [chunk(b"IDAT", whole[at : at + 100]) for at in range(0, len(whole), 100)]
    made = read_canvas(built(SIZE, chunk(b"tEXt", b"Name\0Doe"), *parts), RECIPE)
    assert np.array_equal(made.canvas, CANVAS)
