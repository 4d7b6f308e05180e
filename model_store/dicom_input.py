"""The door for images: bytes from outside -> `Mammogram`, or a refusal with a stable code.

Guard (dicom_guard), rules (dicom_attributes), decoder (decoders), then the stored values are put
in order. Nothing but `Refused` comes out of `read_mammogram`, whatever the bytes.
"""

import contextlib
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import config

from model_store.arrays import Stored
from model_store.decoders import SYNTAXES, FrameSize, decode_frame
from model_store.dicom_attributes import TAGS, ImageHeader, PixelFormat, read_header
from model_store.dicom_guard import GuardedFile, Limits, Source, guard
from model_store.dicom_terms import MAY_BE_LOSSY, Laterality, Photometric, View
from model_store.refusals import RefusalCode, Refused, WarningCode

__all__ = [
    "Laterality",
    "Limits",
    "Mammogram",
    "Photometric",
    "View",
    "read_mammogram",
]

_PARSING = threading.Lock()  # warning filters belong to the whole process; parsing takes 1 ms
CHEST_WALL_RATIO = 1.5
"""How much brighter a side must be before it counts as the chest wall's."""


@dataclass(frozen=True, slots=True, eq=False)
class Mammogram:
    """One readable 2D mammogram. The UIDs stay out of logs."""

    pixels: Stored
    """(H, W) stored values; may be a read-only view of the file's bytes."""
    photometric: Photometric
    """With a negative rescale slope already taken into it."""
    bits_stored: int
    padding: tuple[int, int] | None
    """Inclusive range of stored values that are no image."""
    laterality: Laterality | None
    view: View | None
    spacing_mm: tuple[float, float] | None
    """(row, column): detector plane over magnification, or as calibrated."""
    sop_instance_uid: str
    study_instance_uid: str
    warnings: tuple[WarningCode, ...]


def read_mammogram(source: Source, *, limits: Limits | None = None) -> Mammogram:
    """Bytes of one DICOM file -> Mammogram. Raises Refused, and nothing else for bad bytes.

    Runs native decoders on bytes from outside: call it in a memory-limited child process.
    """
    try:
        return _read(source, limits or Limits())
    except Refused:
        raise
    except MemoryError:
        raise Refused(
            RefusalCode.TOO_LARGE, "reading the image takes more memory than this process may use"
        ) from None
    except Exception as error:  # noqa: BLE001  what parsers raise for hostile bytes is no closed list
        raise Refused(
            RefusalCode.MALFORMED, f"the file cannot be read ({type(error).__name__})"
        ) from None


def _read(source: Source, limits: Limits) -> Mammogram:
    file = guard(source, syntaxes=SYNTAXES, limits=limits)
    header = _parsed_header(file)
    raw = _decoded(file, header.format, limits)
    pixels = _stored_values(raw, header, lossy=file.transfer_syntax in MAY_BE_LOSSY)
    if header.lut is not None:
        pixels = header.lut.apply(pixels)
    if pixels.min() == pixels.max():
        raise Refused(RefusalCode.BLANK_IMAGE, "every pixel has the same value")
    noted = header.warnings
    if _chest_wall_contradicts(pixels, header):
        noted = tuple(dict.fromkeys((*noted, WarningCode.LATERALITY_CONFLICT)))
    return Mammogram(
        pixels=pixels,
        photometric=header.photometric,
        bits_stored=header.format.bits_stored,
        padding=header.padding,
        laterality=header.laterality,
        view=header.view,
        spacing_mm=header.spacing_mm,
        sop_instance_uid=header.sop_instance_uid,
        study_instance_uid=header.study_instance_uid,
        warnings=noted,
    )


def _parsed_header(file: GuardedFile) -> ImageHeader:
    with _silent_pydicom():
        return read_header(file.header(TAGS), file.transfer_syntax)


@contextlib.contextmanager
def _silent_pydicom() -> Iterator[None]:
    """Its warnings and log lines quote values of the header: none may come out."""
    with _PARSING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        was_disabled, config.logger.disabled = config.logger.disabled, True
        try:
            yield
        finally:
            config.logger.disabled = was_disabled


def _decoded(file: GuardedFile, pixel_format: PixelFormat, limits: Limits) -> NDArray[Any]:
    """(rows, columns) as the file holds them, not copied where they are not compressed."""
    rows, columns = pixel_format.rows, pixel_format.columns
    if file.layout.pixels is None and not file.layout.fragments:
        raise Refused(RefusalCode.NO_PIXELS, "the file holds no Pixel Data")
    if not file.encoding.encapsulated:
        _check_native_size(file, pixel_format)
    if rows * columns > limits.max_pixels:
        raise Refused(RefusalCode.TOO_LARGE, f"more than {limits.max_pixels} pixels are claimed")
    if file.encoding.encapsulated:
        size = FrameSize(rows, columns, pixel_format.bits_allocated)
        return decode_frame(file.codestream(), file.transfer_syntax, size)
    order = "<" if file.encoding.little_endian else ">"
    native: Any = file.native_pixels()
    if order == ">" and pixel_format.bits_allocated == 8 and file.layout.pixels_are_words:
        native = np.frombuffer(native, ">u2").astype("<u2")  # PS3.5 A.3 and D.3
    kind = np.dtype(f"{order}u{pixel_format.bits_allocated // 8}")
    return np.frombuffer(native, kind, rows * columns).reshape(rows, columns)


def _check_native_size(file: GuardedFile, pixel_format: PixelFormat) -> None:
    needed = pixel_format.rows * pixel_format.columns * pixel_format.bits_allocated // 8
    held = len(file.native_pixels())
    if not needed <= held < 2 * needed:
        raise Refused(
            RefusalCode.PIXELS_MISMATCH,
            f"Rows, Columns and Bits Allocated ask for {needed} bytes, Pixel Data holds {held}",
        )


def _stored_values(raw: NDArray[Any], header: ImageHeader, *, lossy: bool) -> Stored:
    """Keep the stored bits alone (PS3.5 8.1.1), extend the sign, in this machine's byte order.

    What a lossy codec made brighter than the stored bits can say is as bright as they can.
    """
    pixel_format = header.format
    bits, spare = pixel_format.bits_stored, raw.dtype.itemsize * 8 - pixel_format.bits_stored
    pixels = raw.astype(raw.dtype.newbyteorder("="), copy=False)
    pixels = pixels.view(np.dtype(f"u{raw.dtype.itemsize}"))
    shift = pixel_format.high_bit + 1 - bits
    if shift:
        pixels = pixels >> shift
    if spare > 0 and pixels.max() >= 1 << bits:  # an overlay or noise in the unused bits
        overshot = lossy and not pixel_format.signed
        highest = (1 << bits) - 1
        pixels = np.minimum(pixels, highest) if overshot else _without_spare_bits(pixels, header)
    if not pixel_format.signed:
        return pixels
    signed = np.dtype(f"i{raw.dtype.itemsize}")
    spare = max(spare, 0)
    return (pixels << spare).view(signed) >> spare


def _without_spare_bits(pixels: Stored, header: ImageHeader) -> Stored:
    """Padding may use the spare bits (0xFFFF over 12): it becomes the darkest of the image."""
    highest = (1 << header.format.bits_stored) - 1
    kept = pixels & highest
    if header.padding is None or header.padding[0] <= highest:
        return kept
    padded = (pixels >= header.padding[0]) & (pixels <= header.padding[1])
    if padded.all():
        raise Refused(RefusalCode.BLANK_IMAGE, "every pixel is marked as padding")
    image = kept[~padded]
    dark = image.max() if header.photometric is Photometric.MONOCHROME1 else image.min()
    return np.where(padded, dark, kept)


def _chest_wall_contradicts(pixels: Stored, header: ImageHeader) -> bool:
    """Whether the breast clearly lies on the other edge than the header makes one expect."""
    if header.chest_wall_is_left is None:
        return False
    sample = pixels[::16, ::16].astype(np.float64)
    bright = sample - sample.min()
    if header.photometric is Photometric.MONOCHROME1:
        bright = sample.max() - sample
    if header.padding is not None:
        first, last = header.padding
        bright[(sample >= first) & (sample <= last)] = 0
    third = max(bright.shape[1] // 3, 1)
    left, right = bright[:, :third].mean(), bright[:, -third:].mean()
    expected, other = (left, right) if header.chest_wall_is_left else (right, left)
    return bool(other > CHEST_WALL_RATIO * expected)
