"""Parts of a multipart body, pushed through as they come: form-data and related alike.

Framing only: what a part means is up to the `PartSink`. Knows nothing of files or FastAPI.
"""

import logging
from typing import Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from service.errors import MalformedRequest

MAX_HEADERS = 16
MAX_HEADER_BYTES = 4096

# The parser logs the bytes it stumbles over, and those may be a patient's.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL + 1)


class PartSink(Protocol):
    """Who takes the parts."""

    def begin(self, headers: dict[str, str]) -> None:
        """A part starts; header names are lower-case."""

    def data(self, piece: memoryview) -> None:
        """Some bytes of the part; the memory is not reused afterwards."""

    def end(self) -> None:
        """The part is complete."""


def header_options(value: str) -> tuple[str, dict[str, str]]:
    """'form-data; name="files"' -> ('form-data', {'name': 'files'}). Values may be UTF-8."""
    kind, options = parse_options_header(value)
    decoded = {name.decode("latin-1").lower(): _text(raw) for name, raw in options.items()}
    return kind.decode("latin-1"), decoded


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", errors="replace")


class PartStream:
    """Feed it chunks, then close it; raises MalformedRequest for broken framing."""

    def __init__(self, boundary: str, sink: PartSink) -> None:
        self._sink = sink
        self._headers: dict[str, str] = {}
        self._name = bytearray()
        self._value = bytearray()
        self._complete = False
        try:
            self._parser = MultipartParser(
                boundary.encode("latin-1"),
                {
                    "on_part_begin": self._headers.clear,
                    "on_header_field": self._header_name,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._part_begin,
                    "on_part_data": self._part_data,
                    "on_part_end": sink.end,
                    "on_end": self._end,
                },
                max_header_count=MAX_HEADERS,
                max_header_size=MAX_HEADER_BYTES,
            )
        except (FormParserError, UnicodeEncodeError) as error:
            raise MalformedRequest("The boundary of the multipart body cannot be used.") from error

    def feed(self, chunk: bytes) -> None:
        """The next bytes of the body; calls the sink for what is in them."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise MalformedRequest(
                "The multipart framing is broken: check the boundary and each part's headers."
            ) from error

    def close(self) -> None:
        """No more bytes come: the closing boundary must have been there."""
        if not self._complete:
            raise MalformedRequest("The multipart body ends before its closing boundary.")

    def _header_name(self, chunk: bytes, start: int, end: int) -> None:
        self._name += chunk[start:end]

    def _header_value(self, chunk: bytes, start: int, end: int) -> None:
        self._value += chunk[start:end]

    def _header_end(self) -> None:
        # latin-1 keeps each byte as it came; `header_options` reads UTF-8 out of it
        self._headers[self._name.decode("latin-1").lower()] = self._value.decode("latin-1")
        self._name.clear()
        self._value.clear()

    def _part_begin(self) -> None:
        self._sink.begin(dict(self._headers))

    def _part_data(self, chunk: bytes, start: int, end: int) -> None:
        self._sink.data(memoryview(chunk)[start:end])

    def _end(self) -> None:
        self._complete = True
