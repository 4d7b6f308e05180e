"""A model hub on this machine: real HTTP, the public hub's paths, headers and errors.

Small files come from the hub itself, large ones (LFS) by redirect from a second server, which
stands for its storage: it knows no accounts, and must never be shown a token.
"""

import hashlib
import json
import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34
RESOLVE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
TREE = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)/tree/(?P<revision>[^/?]+)")
STORED = re.compile(r"/stored/(?P<repo>[^/]+/[^/]+)/(?P<file>.+)")
PIECE = 4096


@dataclass
class Repo:
    """Files by path; `lfs` are the large ones. `token`: who may read it; None: everybody."""

    files: dict[str, bytes]
    lfs: frozenset[str] = frozenset()
    token: str | None = None
    claimed_sha256: str | None = None
    claimed_size: int | None = None
    heads: dict[str, dict[str, str]] = field(default_factory=dict)
    """What a HEAD of a file says beside, or instead."""


@dataclass
class Seen:
    """One request."""

    server: str
    method: str
    path: str
    headers: dict[str, str]


@dataclass
class LocalHub:
    """What a test sets and looks at. `breaks`: how the next bodies of a file end too soon.

    With `status` every answer is bare of all but that.
    """

    repos: dict[str, Repo] = field(default_factory=dict)
    breaks: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    sent: threading.Event = field(default_factory=threading.Event)
    resume: threading.Event = field(default_factory=threading.Event)
    status: int | None = None
    url: str = ""
    storage_url: str = ""

    def ranges(self, file: str) -> list[str | None]:
        """Of the bodies of a file that were asked for, in order."""
        bodies = [one for one in self.seen if one.method == "GET" and one.path.endswith(file)]
        served = "storage" if any(one.server == "storage" for one in bodies) else "hub"
        return [one.headers.get("range") for one in bodies if one.server == served]


@contextmanager
def local_hub() -> Iterator[LocalHub]:
    """Both servers on free ports."""
    hub = LocalHub()
    servers = [_server(hub, "hub", _HubHandler), _server(hub, "storage", _StorageHandler)]
    hub.url, hub.storage_url = (f"http://127.0.0.1:{one.server_address[1]}" for one in servers)
    threads = [threading.Thread(target=one.serve_forever, args=(0.05,)) for one in servers]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        hub.resume.set()
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is no fault of the test."""


def _server(hub: LocalHub, name: str, handler: type["_Handler"]) -> _Server:
    bound = type(name, (handler,), {"hub": hub, "name": name})
    return _Server(("127.0.0.1", 0), bound)


class _Handler(BaseHTTPRequestHandler):
    hub: LocalHub
    name: str
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""

    def _answer(self) -> None:
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.hub.seen.append(Seen(self.name, self.command, self.path, headers))
        self.answer(unquote(urlsplit(self.path).path))

    def answer(self, path: str) -> None:
        raise NotImplementedError

    def reply(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self._send(body)

    def send_ranged(self, content: bytes, headers: dict[str, str]) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked is None:
            self.reply(200, headers, content)
            return
        start = int(asked[1])
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.reply(206, {**headers, "Content-Range": span}, content[start:])

    def _send(self, body: bytes) -> None:
        ways = next((w for f, w in self.hub.breaks.items() if self.path.endswith(f)), [])
        how, after = ways.pop(0) if body and ways else ("", len(body))
        self.wfile.write(body[:after])
        self.wfile.flush()
        if how == "stall":
            self.hub.sent.set()
            self.hub.resume.wait()
        if how == "reset":
            self.hub.sent.set()
            self._drain()
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if how:
            self.close_connection = True
            self.connection.close()

    def _drain(self) -> None:
        """Until the peer has taken what was sent: a reset would throw the rest away."""
        unsent = 0x5411  # TIOCOUTQ
        import fcntl
        import time

        while struct.unpack("i", fcntl.ioctl(self.connection, unsent, b"\0" * 4))[0]:
            time.sleep(0.01)
        time.sleep(0.2)


class _StorageHandler(_Handler):
    def answer(self, path: str) -> None:
        found = STORED.fullmatch(path)
        assert found is not None, path
        self.send_ranged(self.hub.repos[found["repo"]].files[found["file"]], {})


class _HubHandler(_Handler):
    def answer(self, path: str) -> None:
        if self.hub.status is not None:
            self.reply(self.hub.status, {})
            return
        found = RESOLVE.fullmatch(path) or TREE.fullmatch(path)
        assert found is not None, path
        repo = self.hub.repos.get(found["repo"])
        refusal = self._refusal(repo, found["revision"])
        if refusal is not None or repo is None:
            status, code = refusal or (404, "RepoNotFound")
            self.reply(status, {"X-Error-Code": code, "X-Error-Message": "as the hub says it"})
        elif "file" in found.groupdict():
            self._resolve(repo, found["repo"], found["file"])
        else:
            rows = [
                {"type": "file", "path": name, "size": len(content), "oid": "0" * 40}
                for name, content in repo.files.items()
            ]
            self.reply(200, {"Content-Type": "application/json"}, json.dumps(rows).encode())

    def _refusal(self, repo: Repo | None, revision: str) -> tuple[int, str] | None:
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if repo is None:
            return (404 if given else 401), "RepoNotFound"
        if repo.token is not None and given != repo.token:
            return (403 if given else 401), "GatedRepo"
        if revision not in ("main", COMMIT):
            return 404, "RevisionNotFound"
        return None

    def _resolve(self, repo: Repo, name: str, file: str) -> None:
        headers = {"X-Repo-Commit": COMMIT}
        content = repo.files.get(file)
        if content is None:
            self.reply(404, {**headers, "X-Error-Code": "EntryNotFound"})
        elif file in repo.lfs:
            sha256 = repo.claimed_sha256 or hashlib.sha256(content).hexdigest()
            linked = {
                "X-Linked-Etag": f'"{sha256}"',
                "X-Linked-Size": str(repo.claimed_size or len(content)),
                "Location": f"{self.hub.storage_url}/stored/{name}/{file}",
            }
            self.reply(302, {**headers, **linked})
        else:
            blob = b"blob %d\0" % len(content) + content
            etag = hashlib.sha1(blob, usedforsecurity=False).hexdigest()
            headers["ETag"] = f'"{etag}"'
            if self.command == "HEAD":
                length = {"Content-Length": str(len(content))}
                self.reply(200, {**headers, **length, **repo.heads.get(file, {})})
            else:
                self.send_ranged(content, headers)
