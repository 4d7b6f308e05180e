"""Checks the bytes of a file before pydicom may parse them.

In: bytes from outside. Out: the few header elements that are wanted, parsed, and where the pixel
data lies; or a refusal. Element headers are walked by dicom_walk; knows no attribute rule.
"""

import mmap
import struct
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from io import BytesIO

from pydicom import config, uid
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from model_store.dicom_walk import Encoding, Layout, read_header, walk
from model_store.refusals import RefusalCode, Refused

Source = bytes | bytearray | memoryview | mmap.mmap
"""A file's bytes. A mapping must stay open as long as pixels read from it are used."""

PREAMBLE_BYTES = 128
META_BYTES = 64 << 10
"""More than any honest group 2: it holds a dozen UIDs and titles."""
VALUE_BYTES = 1 << 20
"""More than any wanted header element: codes, numbers and short sequences."""
TRANSFER_SYNTAX = 0x00020010
PROGRAMS = (
    b"MZ", b"\x7fELF", b"PK\x03\x04", b"#!", b"%PDF",
    b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
)  # fmt: skip
"""Starts of files that something would run or open (CVE-2019-11687); TIFF is allowed."""

NATIVE: dict[str, Encoding] = {
    uid.ImplicitVRLittleEndian: Encoding(implicit=True, little_endian=True, encapsulated=False),
    uid.ExplicitVRLittleEndian: Encoding(implicit=False, little_endian=True, encapsulated=False),
    uid.DeflatedExplicitVRLittleEndian: Encoding(
        implicit=False, little_endian=True, encapsulated=False
    ),
    uid.ExplicitVRBigEndian: Encoding(implicit=False, little_endian=False, encapsulated=False),
}
COMPRESSED = Encoding(implicit=False, little_endian=True, encapsulated=True)
META = Encoding(implicit=False, little_endian=True, encapsulated=False)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one file may ask for."""

    max_file_bytes: int = 256 << 20
    max_inflated_bytes: int = 256 << 20
    max_depth: int = 16
    max_elements: int = 50_000
    max_pixels: int = 64_000_000


@dataclass(frozen=True, slots=True, eq=False)
class GuardedFile:
    """A file whose structure is sound."""

    transfer_syntax: str
    encoding: Encoding
    body: memoryview
    """The dataset's bytes, inflated where they were deflated."""
    layout: Layout

    def header(self, tags: Collection[int]) -> Dataset:
        """The wanted top-level elements alone; pydicom never sees another one."""
        wanted = []
        for tag in sorted(set(tags) & self.layout.elements.keys()):
            start, end = self.layout.elements[tag]
            if end - start > VALUE_BYTES:
                raise Refused(RefusalCode.MALFORMED, "a header element is absurdly long")
            wanted.append(self.body[start:end])
        stream = BytesIO(b"".join(wanted))
        return read_dataset(stream, self.encoding.implicit, self.encoding.little_endian)

    def codestream(self) -> bytes:
        """The compressed frame: all fragments joined (the file holds one frame)."""
        return b"".join(self.body[start:end] for start, end in self.layout.fragments)

    def native_pixels(self) -> memoryview:
        """The bytes of uncompressed pixel data, not copied."""
        start, end = self.layout.pixels or (0, 0)
        return self.body[start:end]


def guard(
    source: Source, *, syntaxes: Collection[str], limits: Limits | None = None
) -> GuardedFile:
    """Check magic, preamble, transfer syntax, inflated size and the structure of the dataset.

    `syntaxes` are the compressed transfer syntaxes that a decoder exists for.
    Raises Refused only.
    """
    limits = limits or Limits()
    view = memoryview(source).cast("B")
    _check_start(view, limits)
    syntax, start = _file_meta(view)
    encoding = NATIVE.get(syntax) or (COMPRESSED if syntax in syntaxes else None)
    if encoding is None:
        raise Refused(
            RefusalCode.UNSUPPORTED_TRANSFER_SYNTAX,
            f"transfer syntax {uid_name(syntax)} is not read; convert to Explicit VR Little Endian",
        )
    body = view[start:]
    if syntax == uid.DeflatedExplicitVRLittleEndian:
        body = _inflate(body, limits.max_inflated_bytes)
    layout = walk(body, encoding, max_depth=limits.max_depth, max_elements=limits.max_elements)
    return GuardedFile(syntax, encoding, body, layout)


def uid_name(value: str) -> str:
    """The dictionary's name of a UID; a UID that is not in it is never quoted."""
    name = uid.UID(value, config.IGNORE).name  # else pydicom warns, and quotes it
    return "unknown" if name == value else name


def _check_start(view: memoryview, limits: Limits) -> None:
    if not len(view):
        raise Refused(RefusalCode.EMPTY, "the file has no bytes")
    if len(view) > limits.max_file_bytes:
        raise Refused(
            RefusalCode.TOO_LARGE,
            f"the file has {len(view)} bytes, the limit is {limits.max_file_bytes}",
        )
    if bytes(view[PREAMBLE_BYTES : PREAMBLE_BYTES + 4]) != b"DICM":
        raise Refused(
            RefusalCode.NOT_DICOM, "no DICM at byte 128; send a DICOM file with its preamble"
        )
    if bytes(view[:4]).startswith(PROGRAMS):
        raise Refused(
            RefusalCode.SUSPICIOUS_PREAMBLE,
            "the preamble starts like a program or an archive; set its 128 bytes to zero",
        )


def _file_meta(view: memoryview) -> tuple[str, int]:
    """(transfer syntax, start of the dataset). Reads group 2 alone."""
    position, end = PREAMBLE_BYTES + 4, min(len(view), META_BYTES)
    syntax, meta_end = "", None
    while position != meta_end and position + 8 <= len(view):
        if bytes(view[position : position + 2]) != b"\x02\x00":
            break
        element = read_header(view, position, end, META)
        position = element.value + element.length
        if position > end:
            raise Refused(RefusalCode.TRUNCATED, "the file ends inside its meta information")
        value = bytes(view[element.value : position])
        if element.tag == TRANSFER_SYNTAX:
            syntax = value.decode("ascii", "replace").rstrip("\0 ")
        elif element.tag == 0x00020000 and len(value) == 4:
            meta_end = position + struct.unpack("<I", value)[0]
    if not syntax:
        raise Refused(RefusalCode.MALFORMED, "the file names no transfer syntax")
    return syntax, position


def _inflate(body: memoryview, most: int) -> memoryview:
    """Raw deflate (PS3.5 A.5), never more than `most` bytes of output."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(body, most + 1)
    except zlib.error as error:
        raise Refused(RefusalCode.MALFORMED, "the deflated dataset cannot be inflated") from error
    if len(inflated) > most:
        raise Refused(
            RefusalCode.INFLATED_TOO_LARGE, f"the dataset inflates to more than {most} bytes"
        )
    if not inflater.eof:
        raise Refused(RefusalCode.TRUNCATED, "the deflated dataset ends too early")
    return memoryview(inflated)
