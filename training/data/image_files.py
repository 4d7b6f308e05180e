"""Image files, DICOM or PNG, as Mammograms: what canvases of training are rendered from.

DICOM takes the service's own way. A PNG has no header, and is taken thus: grey values as stored (8
or 16 bit), bright is dense (MONOCHROME2), nothing is padding, no spacing; of a colour PNG whose
three channels agree one channel is taken, any other is refused. Side and view come from the table.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from model_store.arrays import Stored
from model_store.dicom_input import Mammogram, Photometric, read_mammogram
from model_store.refusals import RefusalCode, Refused

PNG = b"\x89PNG\r\n\x1a\n"
SUFFIXES = (".dicom", ".dcm", ".png")
"""Tried in this order where a file is not there under the name that the table gives."""
MIN_SIDE = 32


def find_file(root: Path, path: str) -> Path:
    """The file of a record, also under another suffix; FileNotFoundError names what was tried."""
    given = root / path
    stem = given.stem if given.suffix.lower() in SUFFIXES else given.name
    for candidate in (given, *(given.with_name(stem + suffix) for suffix in SUFFIXES)):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"no file {given}, nor with {', '.join(SUFFIXES)}")


def is_there(root: Path, path: str) -> bool:
    """Whether `find_file` finds it."""
    try:
        return bool(find_file(root, path))
    except FileNotFoundError:
        return False


def read_image(source: bytes) -> Mammogram:
    """DICOM or PNG bytes, told by what they begin with. Raises Refused."""
    return read_png(source) if source.startswith(PNG) else read_mammogram(source)


def read_png(source: bytes) -> Mammogram:
    """PNG bytes, as the module says. Raises Refused."""
    try:
        decoded = cv2.imdecode(np.frombuffer(source, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:  # more pixels than OpenCV takes
        decoded = None
    if decoded is None or decoded.dtype not in (np.uint8, np.uint16):
        raise Refused(RefusalCode.MALFORMED, "the PNG file cannot be decoded")
    pixels = _one_channel(decoded)
    if min(pixels.shape) < MIN_SIDE:
        raise Refused(RefusalCode.MALFORMED, f"the PNG file has a side under {MIN_SIDE} pixels")
    return Mammogram(
        pixels=pixels,
        photometric=Photometric.MONOCHROME2,
        bits_stored=8 * pixels.dtype.itemsize,
        padding=None,
        laterality=None,
        view=None,
        spacing_mm=None,
        sop_instance_uid="",
        study_instance_uid="",
        warnings=(),
    )


def _one_channel(pixels: NDArray[Any]) -> Stored:
    """(H, W) of (H, W) or (H, W, C), where the colours are one grey; alpha is left out."""
    if pixels.ndim == 2:
        return pixels
    grey = np.ascontiguousarray(pixels[..., 0])
    if any(not np.array_equal(grey, pixels[..., channel]) for channel in (1, 2)[: pixels.shape[2]]):
        raise Refused(RefusalCode.MALFORMED, "the PNG file is in colour, not in grey")
    return grey
