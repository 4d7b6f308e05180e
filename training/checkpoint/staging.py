"""A hidden folder of the store to work in. What a killed process left is swept by the next."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from training.alone import FolderInUse, alone_in

PREFIX, UNLOCKED = ".import-", ".new-import-"
"""The store passes over hidden folders. A folder has the first name only once it is locked."""


@contextlib.contextmanager
def staging_in(root: Path) -> Iterator[Path]:
    """An empty folder in a locked one below `root`; both are gone afterwards.

    `root` is made where it is missing, and goes again where it stays empty. Raises OSError.
    """
    fresh = not root.exists()
    root.mkdir(parents=True, exist_ok=True)
    _sweep(root)
    made = Path(tempfile.mkdtemp(prefix=UNLOCKED, dir=root))
    held = made.with_name(made.name.replace(UNLOCKED, PREFIX, 1))
    try:
        with alone_in(made):
            made.rename(held)
            staging = held / "version"
            staging.mkdir()
            yield staging
    finally:
        shutil.rmtree(made, ignore_errors=True)
        shutil.rmtree(held, ignore_errors=True)
        if fresh:
            with contextlib.suppress(OSError):
                root.rmdir()


def _sweep(root: Path) -> None:
    """Remove what no living process holds."""
    for left in root.glob(f"{PREFIX}*"):
        with contextlib.suppress(FolderInUse, OSError), alone_in(left):
            shutil.rmtree(left, ignore_errors=True)
