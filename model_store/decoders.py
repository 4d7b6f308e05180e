"""Decodes compressed grey frames with imagecodecs, and lends that decoder to pydicom.

The header of a codestream is compared with what the dataset says before a decoder may allocate.
One sample per pixel only. Knows no attribute rule.

`register()` makes the same decoder known to pydicom as the plugin "imagecodecs", so that
`ds.pixel_array_options(decoding_plugin="imagecodecs")` reads what the service reads.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder

from model_store.refusals import RefusalCode, Refused

PLUGIN = "imagecodecs"


@dataclass(frozen=True, slots=True)
class FrameSize:
    """What the dataset says about one grey frame."""

    rows: int
    columns: int
    bits_allocated: int


class StreamHeader(NamedTuple):
    """What a codestream says about itself."""

    rows: int
    columns: int
    components: int
    precision: int


class _Codec(NamedTuple):
    read_header: Callable[[bytes], StreamHeader]
    decode: Callable[[bytes], NDArray[Any]]


def _jpeg_header(*frame_markers: int) -> Callable[[bytes], StreamHeader]:
    """A reader of the frame header (SOFn) of a JPEG or JPEG-LS stream, ISO 10918-1 B.2.2."""

    def read(stream: bytes) -> StreamHeader:
        if stream[:2] != b"\xff\xd8" or not stream.rstrip(b"\0").endswith(b"\xff\xd9"):
            # without its end libjpeg fills the rest with grey and says nothing
            raise ValueError("the stream has no start or no end")
        position = 2
        while True:
            mark, kind, length = struct.unpack_from(">BBH", stream, position)
            if mark != 0xFF or length < 2:
                raise ValueError("no marker where one must be")
            if kind == 0xFF:  # a fill byte
                position += 1
            elif kind in frame_markers:
                precision, rows, columns, n = struct.unpack_from(">BHHB", stream, position + 4)
                return StreamHeader(rows, columns, n, precision)
            elif kind == 0xDA or (0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC)):
                raise ValueError("the stream is of another process than its transfer syntax")
            else:
                position += 2 + length

    return read


def _jpeg2000_start(stream: bytes) -> int:
    """Where the codestream begins: at 0, or inside a JP2 file, which some write."""
    start = stream.find(b"\xff\x4f\xff\x51")
    if start < 0 or (start and stream[4:8] != b"jP  "):
        raise ValueError("no JPEG 2000 codestream")
    return start


def _jpeg2000_header(stream: bytes) -> StreamHeader:
    """The SIZ segment, ISO 15444-1 A.5.1."""
    start = _jpeg2000_start(stream)
    right, bottom, left, top = struct.unpack_from(">4I", stream, start + 8)
    components, depth, dx, dy = struct.unpack_from(">HBBB", stream, start + 40)
    if (dx, dy) != (1, 1):
        raise ValueError("subsampled components")
    return StreamHeader(bottom - top, right - left, components, (depth & 0x7F) + 1)


def _jpeg2000_decode(stream: bytes) -> NDArray[Any]:
    """The codestream whose header was read, whatever the boxes of a JP2 file say."""
    start = _jpeg2000_start(stream)
    return imagecodecs.jpeg2k_decode(stream[start:] if start else stream)


# OpenJPEG for High-Throughput too: OpenJPH is three times as fast, but imagecodecs drops its
# errors and hands out a half-empty image as if it were whole.
_JPEG2000 = _Codec(_jpeg2000_header, _jpeg2000_decode)
_LOSSLESS_JPEG = _Codec(_jpeg_header(0xC3), imagecodecs.jpeg8_decode)
_JPEG_LS = _Codec(_jpeg_header(0xF7), imagecodecs.jpegls_decode)
CODECS = {
    uid.JPEGBaseline8Bit: _Codec(_jpeg_header(0xC0), imagecodecs.jpeg8_decode),
    uid.JPEGExtended12Bit: _Codec(_jpeg_header(0xC0, 0xC1), imagecodecs.jpeg8_decode),
    uid.JPEGLossless: _LOSSLESS_JPEG,
    uid.JPEGLosslessSV1: _LOSSLESS_JPEG,
    uid.JPEGLSLossless: _JPEG_LS,
    uid.JPEGLSNearLossless: _JPEG_LS,
    uid.JPEG2000Lossless: _JPEG2000,
    uid.JPEG2000: _JPEG2000,
    uid.HTJ2KLossless: _JPEG2000,
    uid.HTJ2KLosslessRPCL: _JPEG2000,
    uid.HTJ2K: _JPEG2000,
}
SYNTAXES = frozenset({uid.RLELossless, *CODECS})
"""The compressed transfer syntaxes that can be decoded."""
DECODER_DEPENDENCIES = dict.fromkeys(SYNTAXES, ("numpy", "imagecodecs>=2026.3"))


def decode_frame(stream: bytes, transfer_syntax: str, size: FrameSize) -> NDArray[Any]:
    """A compressed grey frame -> (rows, columns), integers of 8 or 16 bits.

    Raises Refused: pixels_mismatch where stream and dataset disagree, undecodable.
    """
    if transfer_syntax == uid.RLELossless:
        return _decode_rle(stream, size)
    codec = CODECS[uid.UID(transfer_syntax)]
    try:
        header = codec.read_header(stream)
    except (ValueError, struct.error) as error:
        raise Refused(
            RefusalCode.UNDECODABLE, "the compressed pixel data has no readable header"
        ) from error
    _check_agreement(header, size)
    try:
        pixels = codec.decode(stream)
    except (RuntimeError, ValueError, TypeError) as error:  # each codec has its own RuntimeError
        raise Refused(
            RefusalCode.UNDECODABLE, "the compressed pixel data cannot be decoded"
        ) from error
    if pixels.shape != (size.rows, size.columns) or pixels.dtype.itemsize * 8 > size.bits_allocated:
        raise _mismatch("decoded pixels")
    return pixels


def _check_agreement(header: StreamHeader, size: FrameSize) -> None:
    if header[:3] != (size.rows, size.columns, 1) or header.precision > size.bits_allocated:
        raise _mismatch("the header of the compressed pixel data")


def _mismatch(what: str) -> Refused:
    return Refused(
        RefusalCode.PIXELS_MISMATCH,
        f"{what} and dataset disagree about rows, columns, samples or bits; send the original",
    )


def _decode_rle(stream: bytes, size: FrameSize) -> NDArray[Any]:
    """PS3.5 annex G: one segment a byte of the pixel, the most significant first."""
    bytes_each = size.bits_allocated // 8
    if len(stream) < 64:
        raise Refused(RefusalCode.UNDECODABLE, "the RLE data has no header")
    if struct.unpack_from("<I", stream)[0] != bytes_each:
        raise _mismatch("the header of the compressed pixel data")
    kind = np.dtype(f"<u{bytes_each}")
    out = bytearray(size.rows * size.columns * bytes_each)
    try:
        decoded = imagecodecs.dicomrle_decode(stream, kind.str, out=out)
    except (RuntimeError, ValueError) as error:
        raise Refused(RefusalCode.UNDECODABLE, "the RLE data cannot be decoded") from error
    if len(decoded) != len(out):
        raise _mismatch("decoded pixels")
    return np.frombuffer(out, kind).reshape(size.rows, size.columns)


def is_available(transfer_syntax: str) -> bool:
    """Part of pydicom's plugin protocol."""
    return transfer_syntax in SYNTAXES


def register() -> None:
    """Make the plugin known to pydicom; once is enough, more does no harm."""
    for syntax in SYNTAXES:
        decoder = get_decoder(syntax)
        if PLUGIN not in decoder.available_plugins:
            decoder.add_plugin(PLUGIN, (__name__, "_decode_frame"))


def _decode_frame(src: bytes, runner: DecodeRunner) -> bytes:
    """pydicom's plugin protocol: one frame, as little endian bytes."""
    if runner.samples_per_pixel != 1:
        raise NotImplementedError("only one sample per pixel")
    size = FrameSize(runner.rows, runner.columns, runner.bits_allocated)
    pixels = decode_frame(src, runner.transfer_syntax, size)
    runner.set_option("bits_allocated", pixels.dtype.itemsize * 8)
    return pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()
