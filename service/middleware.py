"""Around every request: its id, its clock, safe headers, one log line, and the last catch.

Plain ASGI, so that bodies stream through it untouched.
"""

import logging
import re
import time
import uuid
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import logs
from service.errors import InternalError
from service.metrics import Metrics
from service.problems import problem_response

logger = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
FAILED = "The service failed on this request; its log has the request id."
QUIET = {"/livez", "/readyz", "/metrics"}
HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


class RequestContext:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        identity = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = identity
        token = logs.request_id.set(identity)
        answer = _Answer(send, identity)
        self._metrics.in_flight.inc()
        try:
            await self._app(scope, receive, answer)
        except Exception as error:  # noqa: BLE001 - the last catch; its text may hold anything
            logger.error("unexpected: %s", logs.describe(error))
            if not answer.status:
                response = problem_response(
                    InternalError(FAILED), path=scope["path"], request_id=identity
                )
                await response(scope, receive, answer)
        finally:
            self._metrics.in_flight.dec()
            seconds = time.perf_counter() - began
            self._finish(scope, status=answer.status or 500, seconds=seconds)
            logs.request_id.reset(token)

    def _finish(self, scope: Scope, *, status: int, seconds: float) -> None:
        """Route templates only: a path or a query may hold what a caller typed."""
        route = getattr(scope.get("route"), "path", None)
        method = str(scope["method"])
        self._metrics.request(method=method, route=route, status=status, seconds=seconds)
        level = logging.DEBUG if route in QUIET else logging.INFO
        shown = method if route else "-"
        logger.log(level, "%s %s %d %.0f ms", shown, route or "unmatched", status, seconds * 1000)


class _Answer:
    """Passes the answer on with our headers, and remembers its status."""

    def __init__(self, send: Send, identity: str) -> None:
        self._send = send
        self._identity = identity.encode()
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers: list[Any] = [*message.get("headers", ()), *HEADERS]
            headers.append((b"x-request-id", self._identity))
            message = {**message, "headers": headers}
        await self._send(message)


def _request_id(scope: Scope) -> str:
    """The caller's, where it is harmless; else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            given = value.decode("latin-1")
            if REQUEST_ID.fullmatch(given):
                return str(given)
    return uuid.uuid4().hex
