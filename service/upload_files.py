"""What an upload is made of: files on disk, form fields, and the limits both are held to.

Names of files are for show in an answer; they are never part of a path.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from service.settings import MIB, Settings

P = ParamSpec("P")
T = TypeVar("T")

MAX_NAME_CHARS = 255


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Counted on real bytes, while they come."""

    request_bytes: int
    file_bytes: int
    files: int
    idle_s: float
    field_bytes: int = 64 * 1024
    fields: int = 128

    @classmethod
    def of(cls, settings: Settings) -> "UploadLimits":
        """The limits that the settings ask for."""
        return cls(
            request_bytes=settings.max_request_mb * MIB,
            file_bytes=settings.max_file_mb * MIB,
            files=settings.max_files,
            idle_s=settings.upload_idle_s,
        )


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """One file on disk; `name` is what the caller called it."""

    name: str
    path: Path
    size: int


@dataclass(frozen=True, slots=True)
class Upload:
    """A whole body: its files, its form fields in order, and the seconds it took to come."""

    files: tuple[UploadedFile, ...]
    fields: tuple[tuple[str, str], ...]
    seconds: float


def display_name(name: str) -> str:
    """A caller's name for a file, fit for an answer: one line, bounded."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
    return shown[-MAX_NAME_CHARS:] or "unnamed"


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `function` on a thread and wait for its end, even where the caller is cancelled.

    A cancelled request must not close or delete a file that its own thread still writes to.
    """
    task = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
