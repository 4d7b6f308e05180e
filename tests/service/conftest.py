"""Real queue servers: what talks to Redis is tested on Valkey and on Redis."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from service.queue.embedded import EmbeddedServer, find_binary


def server_binary(kind: str) -> str:
    """Path of a server; skips where Redis is not installed, and fails there in CI."""
    if kind == "valkey":
        return find_binary()
    found = shutil.which("redis-server")
    if found is None:
        reason = "redis-server is not installed (Debian: apt-get install redis-server)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="session", params=["valkey", "redis"])
def queue_process(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    binary = server_binary(request.param)
    folder: Path = tmp_path_factory.mktemp(request.param)
    with EmbeddedServer(folder, memory_mb=256, binary=binary) as url:
        yield url


@pytest.fixture
def queue_server(queue_process: str) -> str:
    """URL of an empty queue server, once Valkey and once Redis."""
    with redis.Redis.from_url(queue_process, protocol=2) as connection:
        connection.flushall()
    return queue_process
