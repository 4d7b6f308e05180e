"""A decode child: bytes from outside meet native decoders here and nowhere else.

    python -m service.decode_child MEMORY_MB SOCKET_FD

Started by decode_pool alone. Its memory is limited, it leaves no core dump, and it says nothing on
its own: pydicom's warnings and the decoders' messages quote what stands in the file.
"""

import contextlib
import logging
import mmap
import os
import resource
import socket
import sys
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

import cv2

from model_store.canvas_input import is_png, read_canvas
from model_store.dicom_input import Mammogram, read_mammogram
from model_store.refusals import RefusalCode, Refused
from model_store.render import Rendered, render
from service.allocator import keep_large_buffers
from service.decode_messages import LENGTH_BYTES, Decoded, Failed, Rejected, Request

NICENESS = 5
"""The event loop comes first where cores are few."""


def main() -> None:
    """Answer requests until the parent closes the socket."""
    memory_mb, handle = int(sys.argv[-2]), int(sys.argv[-1])
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    cv2.setNumThreads(1)
    keep_large_buffers()
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    with socket.socket(fileno=handle) as parent:
        parent.sendall(bytes(LENGTH_BYTES))
        while (header := _header(parent)) is not None:
            for part in answer(Request.model_validate_json(header)):
                parent.sendall(part)


def answer(request: Request) -> list[bytes]:
    """The parts of the reply, in order."""
    token = request.token
    try:
        with _bytes_of(request.path) as source:
            if is_png(source):
                return _taken_as_it_is(token, read_canvas(source, request.recipe))
            mammogram = read_mammogram(source, limits=request.limits)
            return _rendered(token, mammogram, render(mammogram, request.recipe))
    except Refused as refused:
        return [Rejected(token=token, code=refused.code, detail=refused.detail[:400]).framed()]
    except Exception as error:  # noqa: BLE001 - told to the parent, which replaces this child
        return [Failed(token=token, error=_place(error)).framed()]


def _rendered(token: str, mammogram: Mammogram, rendered: Rendered) -> list[bytes]:
    reply = Decoded(
        token=token,
        placement=rendered.placement,
        laterality=mammogram.laterality,
        view=mammogram.view,
        sop_instance_uid=mammogram.sop_instance_uid,
        study_instance_uid=mammogram.study_instance_uid,
        spacing_mm=mammogram.spacing_mm,
        warnings=tuple(dict.fromkeys((*mammogram.warnings, *rendered.warnings))),
    )
    return [reply.framed(), rendered.canvas.tobytes()]


def _taken_as_it_is(token: str, canvas: Rendered) -> list[bytes]:
    """A PNG says nothing of the breast, the view or where it comes from."""
    reply = Decoded(
        token=token,
        placement=canvas.placement,
        laterality=None,
        view=None,
        sop_instance_uid="",
        study_instance_uid="",
        spacing_mm=None,
        warnings=canvas.warnings,
    )
    return [reply.framed(), canvas.canvas.tobytes()]


@contextlib.contextmanager
def _bytes_of(path: Path) -> Iterator[mmap.mmap]:
    """The file, mapped: nothing is copied that is not looked at."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise Refused(RefusalCode.EMPTY, "the file has no bytes")
        yield mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # pixels may view it: no close


def _place(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"


def _header(parent: socket.socket) -> bytes | None:
    length = _exactly(parent, LENGTH_BYTES)
    return None if length is None else _exactly(parent, int.from_bytes(length, "big"))


def _exactly(parent: socket.socket, count: int) -> bytes | None:
    """`count` bytes, or None when the parent has gone."""
    read = bytearray()
    while len(read) < count:
        part = parent.recv(count - len(read))
        if not part:
            return None
        read += part
    return bytes(read)


if __name__ == "__main__":
    main()
