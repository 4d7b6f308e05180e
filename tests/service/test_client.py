"""The client waits when the service says so, and says why when there is no answer."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from service.client import Client, ClientError

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture
def scripted() -> Iterator[tuple[str, list[Answer]]]:
    """A server that gives the answers of a list, in order."""
    answers: list[Answer] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, headers, body = answers.pop(0)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", answers
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "a.dcm").write_bytes(b"x")
    return tmp_path / "a.dcm"


def test_a_busy_service_is_asked_again_after_the_time_it_names(
    scripted: tuple[str, list[Answer]], image: Path
) -> None:
    url, answers = scripted
    answers += [(429, {"Retry-After": "0"}, b"{}"), (503, {"Retry-After": "0"}, b"{}")]
    answers += [(200, {}, b'{"id": "1"}')]
    with Client(url) as client:
        assert client.classify([image], names=["a"], fields={}) == {"id": "1"}


def test_a_service_that_stays_busy_is_given_up(
    scripted: tuple[str, list[Answer]], image: Path
) -> None:
    url, answers = scripted
    body = json.dumps({"detail": "full", "type": "/problems/queue-full"}).encode()
    answers += [(429, {"Retry-After": "0"}, body)] * 2
    with Client(url, tries=2) as client, pytest.raises(ClientError, match="429: full") as caught:
        client.classify([image], names=["a"], fields={})
    assert caught.value.problem["type"] == "/problems/queue-full"


def test_an_answer_that_is_no_json_is_told_by_its_status(
    scripted: tuple[str, list[Answer]], image: Path
) -> None:
    url, answers = scripted
    answers += [(502, {}, b"<html>")]
    with Client(url) as client, pytest.raises(ClientError, match="502: Bad Gateway"):
        client.classify([image], names=["a"], fields={})


def test_this_machine_is_never_asked_of_a_proxy(
    scripted: tuple[str, list[Answer]], image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    url, answers = scripted
    for address in (url, url.replace("127.0.0.1", "localhost")):
        answers.append((200, {}, b'{"id": "1"}'))
        with Client(address) as client:
            assert client.classify([image], names=["a"], fields={}) == {"id": "1"}


def test_a_file_name_that_is_not_utf8_is_sent_all_the_same(
    scripted: tuple[str, list[Answer]], image: Path
) -> None:
    url, answers = scripted
    answers.append((200, {}, b'{"id": "1"}'))
    with Client(url) as client:
        assert client.classify([image], names=["a\udcff.dcm"], fields={}) == {"id": "1"}


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "http://127.0.0.1:x", "ftp://x", "", "http://"])
def test_an_address_that_is_none_is_a_plain_message(url: str, image: Path) -> None:
    with pytest.raises(ClientError), Client(url) as client:
        client.classify([image], names=["a"], fields={})
