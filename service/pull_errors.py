"""Why something could not be fetched, for `mammoserve models pull`. Knows no hub."""

import errno
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
KEPT = "what has come is kept: the same command goes on from there"


class PullError(Exception):
    """A file or a model version could not be fetched; the message says what to do."""


class TooManyBytes(Exception):
    """A server sends more than it said, or than is taken of what it says nothing of."""

    def __init__(self, most: int) -> None:
        super().__init__(
            f"expected at most {most} bytes, got more; the download is stopped and what came of it "
            "is deleted: ask again, and if it stays so tell the owner of the repository"
        )


def of_disk(error: OSError, folder: Path) -> PullError:
    """The words for a fault of this machine's disk."""
    if error.errno in FULL:
        return PullError(
            f"expected room below {folder}, got a full disk ({error.strerror}); free some or name "
            f"another folder; {KEPT}"
        )
    what = error.strerror or str(error)
    return PullError(f"expected to write below {folder}, got: {what}; name a folder that is yours")
