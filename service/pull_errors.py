"""Why something could not be fetched, for `mammoserve models pull`. Knows no hub."""

import errno
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
KEPT = "what has come is kept: the same command goes on from there"


class PullError(Exception):
    """A file or a model version could not be fetched; the message says what to do."""


def of_disk(error: OSError, folder: Path) -> PullError:
    """The words for a fault of this machine's disk."""
    if error.errno in FULL:
        return PullError(
            f"expected room below {folder}, got a full disk ({error.strerror}); free some or name "
            f"another folder; {KEPT}"
        )
    what = error.strerror or str(error)
    return PullError(f"expected to write below {folder}, got: {what}; name a folder that is yours")
