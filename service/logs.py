"""Log lines: text or JSON, with the request's id, and nothing of what a request carries.

An exception's message may quote its input (pydicom quotes header values), so a line shows the
exception's type and where it was raised, never its text. Warnings are treated alike.
"""

import contextvars
import json
import logging
import sys
import traceback
import warnings
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TextIO

from service.settings import Settings

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="-")
NO_ID = "-"
SILENCED = ("pydicom", "python_multipart", "uvicorn.access")
"""Loggers that quote what they are given."""
CHATTY = ("httpx", "httpcore", "asyncio")

ExceptionInfo = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)


class TextLines(logging.Formatter):
    """2026-01-02T03:04:05.678Z warning service.embedding [id] words."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever is in the message."""
        words = record.getMessage().replace("\r", "\\r").replace("\n", "\\n")
        if record.exc_info:
            words += f" | {self.formatException(record.exc_info)}"
        level = record.levelname.lower()
        return f"{_when(record)} {level} {record.name} [{request_id.get()}] {words}"

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802 - logging's name
        """The type and the way to it; never the message."""
        return describe(ei[1])


class JsonLines(TextLines):
    """The same as one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line = {
            "time": _when(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "request_id": request_id.get(),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def describe(error: BaseException | None) -> str:
    """'ValueError at studies.py:12 < classify.py:30': no message, no values."""
    if error is None:
        return "no exception"
    frames = traceback.extract_tb(error.__traceback__)
    way = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
    return f"{type(error).__name__} at {way}" if way else type(error).__name__


def configure(settings: Settings, *, stream: TextIO | None = None) -> None:
    """Send everything that is logged in this process to `stream` (standard error)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if settings.log_json else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for name in SILENCED:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    warnings.showwarning = _warning


def _warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001 - the signature is Python's
    line: str | None = None,  # noqa: ARG001
) -> None:
    """A warning's kind and place; its words may quote a header."""
    del message
    logging.getLogger("warnings").warning(
        "%s at %s:%d", category.__name__, Path(filename).name, lineno
    )


def _when(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
