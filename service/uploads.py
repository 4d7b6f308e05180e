"""Bodies of requests, streamed to disk under caps and deleted with the request.

Four forms: multipart/form-data (`files`), one application/dicom, DICOMweb multipart/related, and
application/zip. A process keeps its files below UPLOADS/<random>/, locked while it lives, so that
the next start can tell leftovers from a neighbour's. Knows nothing of routes.
"""

import asyncio
import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

from service.archives import Budget, extract, is_zip
from service.errors import (
    MalformedRequest,
    ServiceError,
    StorageFull,
    TooBusy,
    TooLarge,
    UnsupportedMediaType,
    UploadStalled,
)
from service.multipart import PartSink, PartStream, header_options
from service.parts import FormSink, Receiver, RelatedSink
from service.upload_files import Upload, UploadedFile, UploadLimits, in_thread

FORM = "multipart/form-data"
RELATED = "multipart/related"
DICOM = "application/dicom"
ZIP_TYPES = ("application/zip", "application/x-zip-compressed")
ACCEPTED = (FORM, DICOM, RELATED, ZIP_TYPES[0])
DRAIN_BYTES = 64 << 20
DRAIN_S = 5.0
RETRY_AFTER_S = 1.0
TOKEN = re.compile(r"[0-9a-f]{16}")
"""Name of a process' folder."""
NO_HANDLE = {errno.EMFILE, errno.ENFILE}
NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


class UploadArea:
    """The folder of this process; `receive` is one request's way through it."""

    def __init__(self, root: Path, limits: UploadLimits, *, max_concurrent: int) -> None:
        self.limits = limits
        self._root = root
        self._token = secrets.token_hex(8)
        self._folder = root / self._token
        self._free = max_concurrent
        self._lock = -1

    def open(self) -> None:
        """Make the folder, and remove those of processes that are gone."""
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = _lock(self._root / f"{self._token}.lock", wait=True)
        self._folder.mkdir(mode=0o700)
        remove_leftovers(self._root)

    def close(self) -> None:
        """Remove the folder and whatever is in it."""
        shutil.rmtree(self._folder, ignore_errors=True)
        (self._root / f"{self._token}.lock").unlink(missing_ok=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @contextlib.asynccontextmanager
    async def receive(
        self, headers: Mapping[str, str], chunks: AsyncIterator[bytes]
    ) -> AsyncIterator[Upload]:
        """The body on disk for as long as the context lasts; deleted whatever happens."""
        if self._free < 1:
            raise TooBusy("Too many uploads at once.", retry_after_s=RETRY_AFTER_S)
        self._free -= 1
        folder = self._folder / secrets.token_hex(16)
        try:
            with _no_space_is_ours():
                folder.mkdir(mode=0o700)
                upload = await self._store(headers, chunks, folder)
            yield upload
        finally:
            self._free += 1
            await in_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _store(
        self, headers: Mapping[str, str], chunks: AsyncIterator[bytes], folder: Path
    ) -> Upload:
        started = time.perf_counter()
        receiver = Receiver(folder, self.limits)
        body = _Body(chunks, self.limits)
        try:
            sink = _sink_for(headers, receiver)
            _check_length(headers, self.limits)
            await _pump(body, sink, receiver)
        except ServiceError:
            if _announced(headers) <= self.limits.request_bytes + DRAIN_BYTES:
                await body.drain()
            raise
        finally:
            await in_thread(receiver.close)
        files = await in_thread(_expand, receiver, Budget.of(self.limits))
        return Upload(files, tuple(receiver.fields), time.perf_counter() - started)


class _Body:
    """The chunks of a request, counted and with a limit on silence."""

    def __init__(self, chunks: AsyncIterator[bytes], limits: UploadLimits) -> None:
        self._chunks = chunks
        self._limits = limits
        self._taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            try:
                async with asyncio.timeout(self._limits.idle_s):
                    chunk = await anext(self._chunks, None)
            except TimeoutError as error:
                raise UploadStalled(
                    f"No byte of the body came for {self._limits.idle_s:g} s.", retry_after_s=1
                ) from error
            if chunk is None:
                return
            self._taken += len(chunk)
            if self._taken > self._limits.request_bytes:
                raise _too_large(self._limits)
            yield chunk

    async def drain(self) -> None:
        """Take what a refused caller still sends, within reason, so that it reads the answer."""
        left = DRAIN_BYTES
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while left > 0 and (chunk := await anext(self._chunks, None)) is not None:
                    left -= len(chunk)


async def read_small(
    headers: Mapping[str, str], chunks: AsyncIterator[bytes], limits: UploadLimits
) -> bytes:
    """A small body (JSON) in memory. Raises TooLarge, UploadStalled, UnsupportedMediaType."""
    _refuse_coding(headers)
    content = bytearray()
    async for chunk in _Body(chunks, limits):
        content += chunk
    return bytes(content)


async def _pump(body: _Body, sink: PartSink | PartStream, receiver: Receiver) -> None:
    """Chunks into the parser or straight into one file; full buffers to disk on a thread."""
    if isinstance(sink, PartStream):
        async for chunk in body:
            sink.feed(chunk)
            await receiver.flush()
        sink.close()
    else:
        async for chunk in body:
            sink.data(memoryview(chunk))
            await receiver.flush()
        sink.end()
    await receiver.flush(everything=True)


def _sink_for(headers: Mapping[str, str], receiver: Receiver) -> PartSink | PartStream:
    """What reads this content type. Raises UnsupportedMediaType or MalformedRequest."""
    _refuse_coding(headers)
    kind, options = header_options(headers.get("content-type", ""))
    if kind == DICOM or kind in ZIP_TYPES:
        receiver.open_file("body")
        return receiver
    if kind not in (FORM, RELATED):
        raise UnsupportedMediaType(f"Send one of {', '.join(ACCEPTED)}.")
    boundary = options.get("boundary", "")
    if not boundary:
        raise MalformedRequest(f"Content-Type {kind} came without a boundary.")
    if kind == FORM:
        return PartStream(boundary, FormSink(receiver))
    if options.get("type", DICOM).lower() != DICOM:
        raise UnsupportedMediaType('multipart/related is read with type="application/dicom" only.')
    return PartStream(boundary, RelatedSink(receiver))


def _refuse_coding(headers: Mapping[str, str]) -> None:
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise UnsupportedMediaType("Content-Encoding is not read here: send the body as it is.")


def _check_length(headers: Mapping[str, str], limits: UploadLimits) -> None:
    """A body that announces too much is refused before it comes."""
    if _announced(headers) > limits.request_bytes:
        raise _too_large(limits)


def _announced(headers: Mapping[str, str]) -> int:
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdecimal() else 0


def _too_large(limits: UploadLimits) -> TooLarge:
    return TooLarge(f"The body is larger than the limit of {limits.request_bytes} bytes.")


def _expand(receiver: Receiver, budget: Budget) -> tuple[UploadedFile, ...]:
    """The files in order, each zip replaced by what it holds. Runs on a thread."""
    plain = {file.path: not is_zip(file.path) for file in receiver.files}
    budget.files -= sum(plain.values())
    budget.bytes -= sum(file.size for file in receiver.files if plain[file.path])
    expanded: list[UploadedFile] = []
    for file in receiver.files:
        if plain[file.path]:
            expanded.append(file)
            continue
        expanded += extract(file, receiver.new_path, budget=budget)
        file.path.unlink()
    return tuple(expanded)


@contextlib.contextmanager
def _no_space_is_ours() -> Iterator[None]:
    """A full disk is the operator's concern (503), not the caller's; no free handle is 429."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_HANDLE:
            raise TooBusy("Too many files at once.", retry_after_s=RETRY_AFTER_S) from error
        if error.errno in NO_SPACE:
            raise StorageFull("No space left for uploads.", retry_after_s=30) from error
        raise


def _lock(path: Path, *, wait: bool) -> int:
    """An open, locked handle; BlockingIOError where another process holds it."""
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(handle)
        raise
    return handle


def remove_leftovers(root: Path) -> None:
    """Delete upload folders that no living process holds: what a crash left behind."""
    for lock in root.glob("*.lock"):
        folder = lock.with_suffix("")
        if not TOKEN.fullmatch(folder.name):
            continue  # not ours
        with contextlib.suppress(BlockingIOError):
            handle = _lock(lock, wait=False)
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)
            os.close(handle)
