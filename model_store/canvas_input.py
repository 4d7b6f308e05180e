"""A PNG that is a canvas already, as preprocessed data sets hold them: taken as it is.

Grey, 8 bit, and of the recipe's very size: anything else is refused, since a PNG does not say how
it was made of the detector's values. Nothing but `Refused` comes out, whatever the bytes.
"""

import io
import struct
from typing import Any

import numpy as np
from PIL import Image

from model_store.dicom_guard import Source
from model_store.geometry import Placement
from model_store.manifest import Recipe
from model_store.refusals import RefusalCode, Refused, WarningCode
from model_store.render import Rendered

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = struct.Struct(">8s4x4sIIBB")  # signature, length, "IHDR", width, height, depth, colour
GREY, RGB = 0, 2
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
    _check_header(source, recipe)
    try:
        with Image.open(io.BytesIO(source), formats=("PNG",)) as image:
            pixels: Any = np.asarray(image.convert("RGB") if image.mode == "RGB" else image)
    except Exception as error:  # noqa: BLE001  what parsers raise for hostile bytes is no closed list
        raise Refused(
            RefusalCode.MALFORMED, f"the PNG cannot be read ({type(error).__name__})"
        ) from None
    if pixels.ndim == 3:
        if not (pixels == pixels[..., :1]).all():
            raise Refused(RefusalCode.NOT_A_CANVAS, "expected a grey PNG, got one with colours")
        pixels = pixels[..., 0]
    if pixels.min() == pixels.max():
        raise Refused(RefusalCode.BLANK_IMAGE, "every pixel has the same value")
    height, width = recipe.height_px, recipe.width_px
    placement = Placement(((0, height),), ((0, width),), height, width, height, width)
    return Rendered(np.ascontiguousarray(pixels, np.uint8), placement, NOTED)


def _check_header(source: Source, recipe: Recipe) -> None:
    """Size, depth and colours as they are claimed, before anything is decoded."""
    if len(source) < HEADER.size:
        raise Refused(RefusalCode.TRUNCATED, "the PNG ends within its header")
    _, kind, width, height, depth, colour = HEADER.unpack(source[: HEADER.size])
    if kind != b"IHDR":
        raise Refused(RefusalCode.MALFORMED, "the PNG does not begin with its header")
    if (height, width) != (recipe.height_px, recipe.width_px):
        raise Refused(
            RefusalCode.NOT_A_CANVAS,
            f"expected a PNG of {recipe.height_px} x {recipe.width_px} px, the canvas of recipe "
            f"{recipe.name}, got {height} x {width}; send the DICOM file it was made from",
        )
    if depth != 8 or colour not in (GREY, RGB):
        raise Refused(RefusalCode.NOT_A_CANVAS, "expected a grey PNG of 8 bits")
