"""A whole service on this machine: private queue if none is given, workers, HTTP server.

`serve` runs one until it is told to stop; `classify` and `demo` run one for their own use. The
server runs in a thread of its own, so that the caller keeps its terminal and its signals.
"""

import contextlib
import logging
import os
import socket
import threading
import time
from typing import Self

import httpx
import uvicorn

from service.allocator import keep_large_buffers
from service.app import create_app
from service.http_protocol import BoundedHttp
from service.queue.embedded import EmbeddedServer
from service.settings import Settings
from service.supervisor import Supervisor

logger = logging.getLogger(__name__)

GRACE_S = 20
"""Requests in flight at the end get this long."""
POLL_S = 0.05
PROBE_TIMEOUT_S = 5.0
BACKLOG = 2048
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


class ServingError(Exception):
    """The service could not be started; the message says what to do."""


class Serving:
    """Use as a context manager; `url` answers as soon as `start` returns, though not yet ready."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._closing = contextlib.ExitStack()
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._supervisor: Supervisor | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def alive(self) -> bool:
        """Whether the HTTP server runs, and no worker has ended for its settings."""
        running = self._thread is not None and self._thread.is_alive()
        return running and not self.wrong_settings

    @property
    def wrong_settings(self) -> bool:
        """Whether a worker has ended for its settings, which no restart can help."""
        return self._supervisor is not None and self._supervisor.gave_up

    def start(self) -> None:
        """Everything, in the order it is needed. Raises ServingError or EmbeddedServerError."""
        os.umask(0o077)  # whatever this process writes from now on is its owner's alone
        keep_large_buffers()
        settings = self._settings
        with contextlib.ExitStack() as closing:
            listener = closing.enter_context(_listen(settings))
            redis_url = settings.redis_url or closing.enter_context(
                EmbeddedServer(settings.data, memory_mb=settings.queue_memory_mb)
            )
            environment = settings.environment() | {"MAMMO_REDIS_URL": redis_url}
            self._supervisor = closing.enter_context(
                Supervisor(workers=settings.workers, environment=environment)
            )
            self._run(listener, redis_url)
            closing.callback(self._end)
            self._closing = closing.pop_all()
        self.url = _url(settings.host, listener)

    def wait_ready(self, timeout_s: float, *, stop: threading.Event | None = None) -> bool:
        """True once /readyz says 200; False after `timeout_s`, at `stop`, or at its own end."""
        until = time.monotonic() + timeout_s
        with httpx.Client(base_url=self.url, timeout=PROBE_TIMEOUT_S, trust_env=False) as client:
            while time.monotonic() < until and self.alive:
                if stop is not None and stop.is_set():
                    return False
                with contextlib.suppress(httpx.HTTPError):
                    if client.get("/readyz").status_code == httpx.codes.OK:
                        return True
                time.sleep(POLL_S)
        return False

    def stop(self) -> None:
        """The HTTP server first, which finishes what it has; then workers and queue."""
        self._closing.close()

    def _run(self, listener: socket.socket, redis_url: str) -> None:
        config = uvicorn.Config(
            create_app(self._settings, redis_url=redis_url),
            http=BoundedHttp,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="http", daemon=True
        )
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise ServingError("the HTTP server did not start; its log says why")
            time.sleep(POLL_S)

    def _end(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()


def _listen(settings: Settings) -> socket.socket:
    """Bound here and not by uvicorn: port 0 becomes known, and a port in use is a plain message."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ServingError(
            f"cannot listen on {settings.host}:{settings.port} ({_reason(error)}); set MAMMO_PORT "
            "to another port, or to 0 for a free one, and MAMMO_HOST to an address of this machine"
        ) from error


def _reason(error: OSError) -> str:
    """The plain words for it: `socket` puts the address into strerror once more."""
    unresolved = isinstance(error, socket.gaierror) or error.errno is None
    return str(error.strerror) if unresolved else os.strerror(error.errno or 0)


def _url(host: str, listener: socket.socket) -> str:
    shown = WILDCARDS.get(host, host)
    shown = f"[{shown}]" if ":" in shown else shown
    return f"http://{shown}:{listener.getsockname()[1]}"
