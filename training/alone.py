"""One run at a time in a folder: an exclusive lock that ends with the process, killed or not."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

LOCK = ".lock"


class FolderInUse(ValueError):
    """Another process runs in the folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"another run is at work in {folder}; wait for its end, or name another folder"
        )


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder, made where it is missing. Raises FolderInUse at once where it is held."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FolderInUse(folder) from error
        yield
