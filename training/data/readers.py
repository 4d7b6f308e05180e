"""The four kinds of tables that are read, by the names that commands and configurations use."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from training.data.embed import read_embed
from training.data.records import ImageRecord
from training.data.reports import read_reports
from training.data.rsna import read_rsna
from training.data.vindr import read_vindr
from training.progress import Say


class Reader(Protocol):
    """Reads a table, or a folder of tables. Raises BadTable."""

    def __call__(self, table: Path, /, *, say: Say, seed: int = 0) -> tuple[ImageRecord, ...]:
        """Records, with their splits by `seed` where the table brings none."""


READERS: Mapping[str, Reader] = {
    "vindr": read_vindr,
    "rsna": read_rsna,
    "embed": read_embed,
    "reports": read_reports,
}
