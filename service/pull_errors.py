"""Why something could not be fetched, for `mammoserve models pull`. Knows no hub."""

import errno
import unicodedata
from pathlib import Path

from model_store.manifest import UNPRINTED

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


def plain(words: str) -> str:
    """What a server sent, as one line that a terminal shows and does not obey."""
    return "".join(
        ascii(letter)[1:-1] if unicodedata.category(letter) in UNPRINTED else letter
        for letter in words
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
