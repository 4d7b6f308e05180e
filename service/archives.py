"""Files out of a zip, under caps on real bytes; an entry's name is never used as a path.

A zip that tries something is refused whole, with one code. Only "stored" and "deflated" entries
are read: the other methods can ask for gigabytes of memory before the first byte comes out.
"""

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, unique
from pathlib import Path

from service.errors import BadArchive, ErrorItem, TooLarge
from service.upload_files import UploadedFile, UploadLimits, display_name

CHUNK_BYTES = 1 << 20
DIRECTORY_BYTES_AN_ENTRY = 4096
RATIO_FLOOR_BYTES = 16 << 20
MAX_RATIO = 200
"""Raw mammograms deflate 2 to 10 times, a bomb 1,000 times; small files are let be."""
ENCRYPTED = 0x1
DICM_OFFSET = 128
MAGICS = (b"PK\x03\x04", b"PK\x05\x06")


@unique
class ArchiveCode(StrEnum):
    """Why a zip is not extracted; documented in docs/problems.md."""

    MALFORMED = "archive_malformed"
    EMPTY = "archive_empty"
    TOO_MANY_FILES = "archive_too_many_files"
    TOO_LARGE = "archive_too_large"
    RATIO = "archive_ratio"
    UNSAFE_NAME = "archive_unsafe_name"
    LINK = "archive_link"
    ENCRYPTED = "archive_encrypted"
    NESTED = "archive_nested"
    METHOD = "archive_method"


UNREADABLE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, OverflowError)
TOO_BIG = {ArchiveCode.TOO_MANY_FILES, ArchiveCode.TOO_LARGE, ArchiveCode.RATIO}


@dataclass(slots=True)
class Budget:
    """What one request may still put on disk."""

    files: int
    bytes: int
    file_bytes: int

    @classmethod
    def of(cls, limits: UploadLimits) -> "Budget":
        """The whole budget of a request."""
        return cls(limits.files, limits.request_bytes, limits.file_bytes)


def is_zip(path: Path) -> bool:
    """A zip by its first bytes, and not a DICOM file that only begins like one."""
    with path.open("rb") as stream:
        head = stream.read(DICM_OFFSET + 4)
    return head.startswith(MAGICS) and head[DICM_OFFSET:] != b"DICM"


def extract(
    archive: UploadedFile, new_path: Callable[[], Path], *, budget: Budget
) -> list[UploadedFile]:
    """Each entry as a file of its own, in order. Raises BadArchive or TooLarge with the code."""
    return _Extraction(archive, new_path, budget).run()


@dataclass(frozen=True, slots=True)
class _Extraction:
    archive: UploadedFile
    new_path: Callable[[], Path]
    budget: Budget

    def run(self) -> list[UploadedFile]:
        try:
            with (
                self.archive.path.open("rb") as raw,
                zipfile.ZipFile(_Bounded(raw, self.budget.files)) as opened,
            ):
                entries = [entry for entry in opened.infolist() if not entry.is_dir()]
                self._check(entries)
                return [self._inflate(opened, entry) for entry in entries]
        except UNREADABLE as error:
            raise self._refusal(ArchiveCode.MALFORMED, "the zip cannot be read") from error
        except NotImplementedError as error:
            raise self._refusal(ArchiveCode.METHOD, "only stored and deflated") from error
        except RuntimeError as error:  # zipfile's word for "needs a password"
            raise self._refusal(ArchiveCode.ENCRYPTED, "send it without a password") from error

    def _refusal(
        self, code: ArchiveCode, detail: str, *, entry: int | None = None
    ) -> BadArchive | TooLarge:
        """`entry` counts from 1; names stay out, they may be a person's."""
        where = "" if entry is None else f"entry {entry}: "
        kind = TooLarge if code in TOO_BIG else BadArchive
        item = ErrorItem(message=where + detail, code=code.value, file=self.archive.name)
        return kind(f"A zip was not extracted ({code.value}): {where}{detail}.", errors=[item])

    def _check(self, entries: list[zipfile.ZipInfo]) -> None:
        if not entries:
            raise self._refusal(ArchiveCode.EMPTY, "the zip holds no file")
        if len(entries) > self.budget.files:
            detail = f"more files than the {self.budget.files} that this request may still bring"
            raise self._refusal(ArchiveCode.TOO_MANY_FILES, detail)
        for number, entry in enumerate(entries, start=1):
            code = _objection(entry)
            if code is not None:
                raise self._refusal(code, "it is not a plain file to extract", entry=number)

    def _inflate(self, opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> UploadedFile:
        size, path = 0, self.new_path()
        with opened.open(entry) as source, path.open("xb") as target:
            while chunk := source.read(CHUNK_BYTES):
                size += len(chunk)
                self.budget.bytes -= len(chunk)
                self._check_growth(entry, size)
                target.write(chunk)
        self.budget.files -= 1
        if is_zip(path):
            raise self._refusal(ArchiveCode.NESTED, "a zip within the zip")
        return UploadedFile(display_name(entry.filename), path, size)

    def _check_growth(self, entry: zipfile.ZipInfo, size: int) -> None:
        """Real bytes so far against every cap: what the directory claims counts for nothing."""
        if size > RATIO_FLOOR_BYTES and size > MAX_RATIO * max(entry.compress_size, 1):
            raise self._refusal(ArchiveCode.RATIO, f"it inflates more than {MAX_RATIO} times")
        if size > self.budget.file_bytes:
            raise self._refusal(ArchiveCode.TOO_LARGE, "a file in it is over the limit")
        if self.budget.bytes < 0:
            raise self._refusal(ArchiveCode.TOO_LARGE, "inflated it is over the limit")


class _Bounded(io.BufferedIOBase):
    """A readable file that gives no more at once than a directory of `entries` may take.

    zipfile reads the central directory in one piece, as long as the zip itself says it is.
    """

    def __init__(self, raw: io.BufferedReader, entries: int) -> None:
        self._raw = raw
        self._most = max(2 * CHUNK_BYTES, entries * DIRECTORY_BYTES_AN_ENTRY)

    def read(self, size: int | None = -1, /) -> bytes:
        rest = size is None or size < 0
        piece = self._raw.read(self._most + 1 if rest else min(size or 0, self._most + 1))
        if len(piece) > self._most:
            raise zipfile.BadZipFile("a larger piece than any honest directory")
        return piece

    def seek(self, offset: int, whence: int = 0, /) -> int:
        if whence == io.SEEK_SET and offset < 0:
            raise zipfile.BadZipFile("an offset before the start")
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def _objection(entry: zipfile.ZipInfo) -> ArchiveCode | None:
    """Why this entry spoils its archive, by its directory record alone."""
    name = entry.orig_filename
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or not parts[0] or "\0" in name or ":" in parts[0]:
        return ArchiveCode.UNSAFE_NAME
    mode = entry.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return ArchiveCode.LINK
    if entry.flag_bits & ENCRYPTED:
        return ArchiveCode.ENCRYPTED
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return ArchiveCode.METHOD
    return None
