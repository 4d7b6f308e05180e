"""Image files, DICOM or PNG, as Mammograms: what canvases of training are rendered from.

DICOM takes the service's own way. A PNG has no header, and is taken thus: grey values as stored (8
or 16 bit), bright is dense (MONOCHROME2), nothing is padding, no spacing; of a colour PNG whose
three channels agree one channel is taken, any other is refused. Side and view come from the table.
"""

from pathlib import Path

import cv2
import numpy as np

from model_store.arrays import Stored
from model_store.dicom_input import Mammogram, Photometric, read_mammogram
from model_store.refusals import RefusalCode, Refused

PNG = b"\x89PNG\r\n\x1a\n"
SUFFIXES = (".dicom", ".dcm", ".png")
"""Tried in this order where a file is not there under the name that the table gives."""
MAX_SIDE = 30_000
MIN_SIDE = 32


def find_file(root: Path, path: str) -> Path:
    """The file of a record, also under another suffix; FileNotFoundError names what was tried."""
    given = root / path
    tried = [given, *(given.with_suffix(suffix) for suffix in SUFFIXES)]
    for candidate in tried:
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"no file {given}, nor with {', '.join(SUFFIXES)}")


def read_image(source: bytes) -> Mammogram:
    """DICOM or PNG bytes, told by what they begin with. Raises Refused."""
    return read_png(source) if source.startswith(PNG) else read_mammogram(source)


def read_png(source: bytes) -> Mammogram:
    """PNG bytes, as the module says. Raises Refused."""
    decoded = cv2.imdecode(np.frombuffer(source, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype not in (np.uint8, np.uint16):
        raise Refused(RefusalCode.MALFORMED, "the PNG file cannot be decoded")
    pixels = _one_channel(np.asarray(decoded))
    if not MIN_SIDE <= min(pixels.shape) <= max(pixels.shape) <= MAX_SIDE:
        raise Refused(RefusalCode.TOO_LARGE, f"the PNG file has {pixels.shape} rows and columns")
    return Mammogram(
        pixels=np.ascontiguousarray(pixels),
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


def _one_channel(pixels: Stored) -> Stored:
    """(H, W) of (H, W) or (H, W, C), where the colours are one grey; alpha is left out."""
    if pixels.ndim == 2:
        return pixels
    grey = pixels[..., 0]
    if any(not np.array_equal(grey, pixels[..., channel]) for channel in (1, 2)[: pixels.shape[2]]):
        raise Refused(RefusalCode.MALFORMED, "the PNG file is in colour, not in grey")
    return grey
