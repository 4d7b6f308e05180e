"""CPU of a server that takes a study of 4 x 27 MB, over FastAPI's UploadFile in the same run."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import psutil

from bench.images import distinct, form
from bench.rows import Row

TIMES = 6
UVICORN = (sys.executable, "-m", "uvicorn", "--log-level=error")


def run() -> list[Row]:
    """Seconds of server CPU for each upload: UploadFile, our multipart, our raw bodies."""
    views = distinct(4, rows=4096, columns=3328)
    body, content_type = form({f"{n}.dcm": view for n, view in enumerate(views)})
    with _served("peer") as port_and_process:
        peer = _cpu_s(*port_and_process, [(body, content_type)])
    with _served("ours") as port_and_process:
        multipart = _cpu_s(*port_and_process, [(body, content_type)])
        raw = _cpu_s(*port_and_process, [(view, "application/dicom") for view in views])
    note = f"{peer * 1000:.0f} ms of CPU a study with UploadFile"
    return [
        Row("multipart over UploadFile, CPU", multipart / peer, "ratio", "<= 0.6", note),
        Row("four raw bodies over UploadFile, CPU", raw / peer, "ratio", "<= 0.3"),
    ]


def _cpu_s(port: int, process: psutil.Process, bodies: list[tuple[bytes, str]]) -> float:
    """CPU seconds of the server for all of `bodies`, a mean after one warm-up."""
    _send(port, bodies)
    before = sum(process.cpu_times()[:2])
    for _ in range(TIMES):
        _send(port, bodies)
    return (sum(process.cpu_times()[:2]) - before) / TIMES


def _send(port: int, bodies: list[tuple[bytes, str]]) -> None:
    for body, content_type in bodies:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", "/upload", body, {"Content-Type": content_type})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"expected 200, got {answer.status}: {text[:200]!r}")


@contextlib.contextmanager
def _served(app: str) -> Iterator[tuple[int, psutil.Process]]:
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="mammo-bench-") as folder:
        process = subprocess.Popen(
            [*UVICORN, f"bench.upload_apps:{app}", f"--port={port}"],
            env=os.environ | {"BENCH_UPLOADS": folder},
        )
        try:
            _wait(port)
            yield port, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(timeout=20)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(port: int) -> None:
    for _ in range(200):
        try:
            http.client.HTTPConnection("127.0.0.1", port, timeout=1).connect()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the server of the upload benchmark did not start within 10 s")
