"""What comes around a body is bounded: in bytes and in time."""

import contextlib
import socket
import time

import pytest

from service import http_protocol
from tests.service.live import Live, service, view

__all__ = ["service"]

PIECE = b"a" * 65536


def flood(running: Live, opening: bytes, piece: bytes) -> tuple[int, bytes]:
    """Bytes that were taken before the connection ended, and what was answered."""
    address = running.client.base_url
    sent, answer = 0, b""
    with socket.create_connection((address.host, address.port or 80), timeout=20) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(opening)
            while sent < 64 << 20:
                connection.sendall(piece)
                sent += len(piece)
        with contextlib.suppress(ConnectionError):
            answer = connection.recv(65536)
    return sent, answer


CHUNKED = (
    b"POST /v1/embed HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
)


@pytest.mark.parametrize(
    ("opening", "piece"),
    [
        (b"GET /", PIECE),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nLong: ", PIECE),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\n", b"x: y\r\n" * 10_000),
        (CHUNKED + b"0\r\nLong: ", PIECE),
        (CHUNKED + b"0\r\n", b"x: y\r\n" * 10_000),
        (CHUNKED + b"1;", PIECE),
    ],
    ids=["path", "header", "headers", "trailer", "trailers", "extension"],
)
def test_an_endless_head_or_trailer_ends_the_connection(
    service: Live, opening: bytes, piece: bytes
) -> None:
    sent, _ = flood(service, opening, piece)
    assert sent < 32 << 20  # the kernel's buffers hold the most of it
    assert service.client.get("/livez").status_code == 200


def test_a_head_that_does_not_end_is_given_up(
    service: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_S", 0.3)
    address = service.client.base_url
    whole = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    for before, cut in [(b"", b""), (b"", whole[:9]), (whole, whole[:9])]:
        with socket.create_connection((address.host, address.port or 80), timeout=10) as connection:
            if before:
                connection.sendall(before)
                assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            connection.sendall(cut)
            assert connection.recv(65536) == b""


def test_a_slow_answer_is_no_slow_head(service: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_S", 0.1)

    def slowly() -> object:
        for start in range(0, len(body), len(body) // 4):
            time.sleep(0.1)
            yield body[start : start + len(body) // 4]

    body = view()
    response = service.client.post(
        "/v1/classify",
        content=slowly(),  # type: ignore[arg-type]
        headers={"Content-Type": "application/dicom"},
    )
    assert response.status_code == 200
