"""uvicorn's HTTP protocol with bounds on what comes before and after a body.

httptools keeps a head of any length, and uvicorn waits for it for ever: 150 MB of one header were
150 MB of memory. Bodies have their own limits (service.uploads). Knows nothing of the application.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LONGEST_HEAD_BYTES = 256 * 1024
"""Request line and headers; trailers and chunk extensions too. One read may go over it."""
HEAD_S = 20.0
"""From the connection, or a request's first byte, to the end of its headers."""


class BoundedHttp(HttpToolsProtocol):
    """One connection. Over the bounds it is closed, the first time with a 400."""

    _outside_body = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """The clock of the first head starts."""
        super().connection_made(transport)
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """The clock stops."""
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what is not body."""
        self._outside_body += len(data)
        super().data_received(data)
        if self._outside_body > LONGEST_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of the request is too long.")

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._start_clock()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head has come."""
        self._stop_clock()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._outside_body = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request has come."""
        self._outside_body = 0
        super().on_message_complete()

    def _start_clock(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_S, self.transport.close)

    def _stop_clock(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
