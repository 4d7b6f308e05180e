"""The service as a user starts it: one `mammoserve serve` process on a free port."""

import contextlib
import http.client
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

READY = re.compile(r"http://127\.0\.0\.1:(\d+)")


@dataclass(frozen=True)
class Server:
    """A running service: its port and its process."""

    port: int
    process: psutil.Process

    def post(self, path: str, body: bytes, content_type: str) -> tuple[int, bytes]:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        try:
            connection.request("POST", path, body, {"Content-Type": content_type})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def get(self, path: str) -> tuple[int, bytes]:
        """One GET."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@contextlib.contextmanager
def running(**settings: str) -> Iterator[Server]:
    """Start, wait for the ready line, stop at the end. `settings`: MAMMO_ variables, lower case."""
    with tempfile.TemporaryDirectory(prefix="mammo-bench-") as folder:
        environment = os.environ | {
            "MAMMO_PORT": "0",
            "MAMMO_DATA": folder,
            "MAMMO_LOG_LEVEL": "warning",
        }
        environment |= {f"MAMMO_{name.upper()}": value for name, value in settings.items()}
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("mammoserve")), "serve"],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield Server(_port(process), psutil.Process(process.pid))
        finally:
            process.terminate()
            process.wait(timeout=30)


def _port(process: "subprocess.Popen[str]") -> int:
    assert process.stdout is not None
    for line in process.stdout:
        if found := READY.search(line):
            return int(found[1])
    raise RuntimeError("the service ended before it was ready; start `mammoserve serve` by hand")
