"""The Modality LUT Sequence (PS3.3 C.11.1): a table from stored values to those the image means.

Film scanners write it, mammography units do not. Knows nothing of photometric interpretation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from model_store.arrays import Stored
from model_store.dicom_values import items, numbers, values
from model_store.refusals import RefusalCode, Refused

MOST_ENTRIES = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class ModalityLut:
    """Stored value `first` and all below it -> table[0], the next one -> table[1], ..."""

    first: int
    table: NDArray[np.uint16]

    def apply(self, pixels: Stored) -> NDArray[np.uint16]:
        """(H, W) stored values -> (H, W); values beyond the table take its last entry."""
        index = np.clip(pixels.astype(np.int32) - self.first, 0, len(self.table) - 1)
        return self.table[index]


def read_modality_lut(ds: Dataset, *, signed: bool) -> ModalityLut | None:
    """The table of a header, None where there is none; Refused(UNSUPPORTED_PIXEL_FORMAT)."""
    item = next(items(ds, "ModalityLUTSequence"), None)
    if item is None:
        return None
    descriptor = numbers(item, "LUTDescriptor")
    if len(descriptor) != 3 or not np.isfinite(descriptor).all():
        raise _unreadable()
    entries, first = (int(value) % MOST_ENTRIES for value in descriptor[:2])
    if signed and first >= MOST_ENTRIES // 2:
        first -= MOST_ENTRIES
    table = _table(item, entries or MOST_ENTRIES)  # PS3.3 C.11.1.1: 0 means 65536
    return ModalityLut(first, table)


def _table(item: Dataset, entries: int) -> NDArray[np.uint16]:
    """LUT Data as 16-bit words, or as bytes where there are as many bytes as entries."""
    written = values(item, "LUTData")
    if len(written) == 1 and isinstance(written[0], bytes):
        word = "<u2" if item.original_encoding[1] is not False else ">u2"
        kind = "u1" if len(written[0]) in (entries, entries + entries % 2) else word
        written = list(np.frombuffer(written[0], kind)[:entries])
    try:
        table = np.array(written).astype(np.int64)
    except (ValueError, TypeError, OverflowError):
        raise _unreadable() from None
    if table.shape != (entries,) or table.min() < -MOST_ENTRIES // 2 or table.max() >= MOST_ENTRIES:
        raise _unreadable()
    return (table % MOST_ENTRIES).astype(np.uint16)


def _unreadable() -> Refused:
    return Refused(RefusalCode.UNSUPPORTED_PIXEL_FORMAT, "the Modality LUT cannot be read")
