"""Parts of a body onto disk: which part is a file, which a field, and the caps on each.

Bytes are gathered by the megabyte and written on a thread: a write may block while the kernel
flushes, and a thread for each chunk would cost more than the write. Knows nothing of content
types of the whole body or of zip.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from service.errors import InvalidParameter, MalformedRequest, TooLarge, UnsupportedMediaType
from service.multipart import header_options
from service.upload_files import UploadedFile, UploadLimits, display_name, in_thread

FLUSH_BYTES = 1 << 20
"""Four times as much was 15 % slower: the chunks no longer fit the caches."""
FILE_FIELDS = ("files", "file")
PLAIN_CODINGS = ("", "binary", "8bit", "7bit")
MOST_PIECES = 512
"""Buffers of one writev call; the kernel's limit is 1,024."""


FRESH = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC


@dataclass(slots=True)
class _Pending:
    """Bytes of one file that are not on the disk yet; `last`: the file is complete with them.

    Opened when it is written: many small files would hold a handle each until then.
    """

    path: Path
    handle: int = -1
    pieces: list[memoryview] = field(default_factory=list)
    last: bool = False


class Receiver:
    """The files and fields of one request; also the sink of a body that is one file."""

    def __init__(self, folder: Path, limits: UploadLimits) -> None:
        self.limits = limits
        self.files: list[UploadedFile] = []
        self.fields: list[tuple[str, str]] = []
        self._folder = folder
        self._made = 0
        self._name = ""
        self._path = folder
        self._size = 0
        self._pending: list[_Pending] = []
        self._pending_bytes = 0

    def new_path(self) -> Path:
        """A fresh path in the request's folder: a number, never a caller's name."""
        self._made += 1
        return self._folder / str(self._made)

    def open_file(self, name: str) -> None:
        """The bytes that follow are a file's."""
        if len(self.files) >= self.limits.files:
            raise TooLarge(f"More than {self.limits.files} files in one request.")
        self._name = display_name(name)
        self._path = self.new_path()
        self._pending.append(_Pending(self._path))
        self._size = 0

    def begin(self, headers: dict[str, str]) -> None:
        """Never called: a body that is one file has no parts."""

    def data(self, piece: memoryview) -> None:
        """Some bytes of the open file, kept until `flush`."""
        self._size += len(piece)
        if self._size > self.limits.file_bytes:
            raise TooLarge(f"A file is larger than the limit of {self.limits.file_bytes} bytes.")
        self._pending[-1].pieces.append(piece)
        self._pending_bytes += len(piece)

    def end(self) -> None:
        """The open file is complete."""
        self._pending[-1].last = True
        self.files.append(UploadedFile(self._name, self._path, self._size))

    async def flush(self, *, everything: bool = False) -> None:
        """Write a full buffer, or whatever there is, on a thread."""
        if everything or self._pending_bytes >= FLUSH_BYTES:
            self._pending_bytes = 0
            await in_thread(self._write)

    def close(self) -> None:
        """Give up what has not been written."""
        for pending in self._pending:
            if pending.handle >= 0:
                os.close(pending.handle)
        self._pending.clear()

    def _write(self) -> None:
        """Complete files leave the list; an open one stays, without its bytes."""
        while self._pending:
            first = self._pending[0]
            if first.handle < 0:
                first.handle = os.open(first.path, FRESH, 0o600)
            for start in range(0, len(first.pieces), MOST_PIECES):
                _write_all(first.handle, first.pieces[start : start + MOST_PIECES])
            first.pieces.clear()
            if not first.last:
                return
            os.close(self._pending.pop(0).handle)


def _write_all(handle: int, pieces: list[memoryview]) -> None:
    """writev until everything is out; the kernel may take less than it is given."""
    written = os.writev(handle, pieces)
    if written == sum(len(piece) for piece in pieces):
        return
    rest = memoryview(b"".join(pieces))[written:]
    while rest:
        rest = rest[os.write(handle, rest) :]


class FormSink:
    """Parts of multipart/form-data: `files` onto disk, everything else a small field."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._field: str | None = None
        self._value = bytearray()

    def begin(self, headers: dict[str, str]) -> None:
        """Sort the part by its name. Raises MalformedRequest where it has none."""
        _refuse_coded(headers)
        kind, options = header_options(headers.get("content-disposition", ""))
        name = options.get("name")
        if kind != "form-data" or name is None:
            raise MalformedRequest("A part of the form has no Content-Disposition with a name.")
        if name in FILE_FIELDS:
            self._field = None
            self._receiver.open_file(options.get("filename") or "unnamed")
            return
        if len(self._receiver.fields) >= self._receiver.limits.fields:
            raise TooLarge(f"More than {self._receiver.limits.fields} form fields.")
        self._field = name
        self._value.clear()

    def data(self, piece: memoryview) -> None:
        """Bytes of the file or of the field."""
        if self._field is None:
            self._receiver.data(piece)
            return
        self._value += piece
        if len(self._value) > self._receiver.limits.field_bytes:
            raise TooLarge(
                f"A form field is larger than {self._receiver.limits.field_bytes} bytes; "
                "DICOM goes into fields called `files`."
            )

    def end(self) -> None:
        """The part is complete."""
        if self._field is None:
            self._receiver.end()
            return
        try:
            value = self._value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidParameter("A form field is not UTF-8 text.") from error
        self._receiver.fields.append((self._field, value))


class RelatedSink:
    """Parts of DICOMweb multipart/related: every part is one application/dicom instance."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._parts = 0

    def begin(self, headers: dict[str, str]) -> None:
        """Raises UnsupportedMediaType for a part of another kind."""
        _refuse_coded(headers)
        kind, _ = header_options(headers.get("content-type", "application/dicom"))
        if kind != "application/dicom":
            raise UnsupportedMediaType("Each part of multipart/related is application/dicom.")
        self._parts += 1
        self._receiver.open_file(f"part {self._parts}")

    def data(self, piece: memoryview) -> None:
        """Bytes of the instance."""
        self._receiver.data(piece)

    def end(self) -> None:
        """The instance is complete."""
        self._receiver.end()


def _refuse_coded(headers: dict[str, str]) -> None:
    coding = headers.get("content-transfer-encoding", "").strip().lower()
    if coding not in PLAIN_CODINGS:
        raise UnsupportedMediaType("A part is coded (Content-Transfer-Encoding): send it binary.")
