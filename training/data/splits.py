"""Which patients are trained on: by patient, never by image, and for good.

A patient's split depends on the seed and her own name alone, so patients that are added later move
nobody. Nothing is taken from hash(), which differs from run to run.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from training.data.records import ImageRecord, Split
from training.data.tables import Row

SPLIT_SEED = 0
"""Of every split that a table does not bring. Apart from a run's own seed: who is tested on must be
the same in every run, or a patient of one run's test is of another's training."""


@dataclass(frozen=True, slots=True)
class SplitShares:
    """Shares of patients, 0 to 1; the rest is trained on."""

    validation: float = 0.1
    test: float = 0.2

    def __post_init__(self) -> None:
        if min(self.validation, self.test) < 0 or self.validation + self.test >= 1:
            raise ValueError(
                f"expected shares of 0 or more that leave some to train on, got {self}"
            )


def position(patient: str, *, seed: int) -> float:
    """Where a patient stands in 0 <= p < 1: even over patients, the same on every machine."""
    digest = hashlib.sha256(f"{seed}/{patient}".encode()).digest()
    return int.from_bytes(digest[:7]) / (1 << 56)


def split_of(patient: str, *, seed: int, shares: SplitShares) -> Split:
    """Test from 0 up, validation from there."""
    at = position(patient, seed=seed)
    if at < shares.test:
        return Split.TEST
    return Split.VALIDATION if at < shares.test + shares.validation else Split.TRAIN


def split_by_patient(
    records: Iterable[ImageRecord], *, seed: int, shares: SplitShares
) -> tuple[ImageRecord, ...]:
    """Records with their split, in the same order; what they had before is forgotten."""
    return tuple(
        replace(record, split=split_of(record.patient, seed=seed, shares=shares))
        for record in records
    )


def cut_validation(
    records: Iterable[ImageRecord], *, seed: int, share: float
) -> tuple[ImageRecord, ...]:
    """`share` of the patients that are trained on become the validation split; others stay."""
    shares = SplitShares(validation=share, test=0.0)
    return tuple(
        replace(record, split=split_of(record.patient, seed=seed, shares=shares))
        if record.split is Split.TRAIN
        else record
        for record in records
    )


@dataclass(slots=True)
class OneSplit:
    """The split that a table first puts each patient in, and the line that does."""

    first: dict[str, tuple[Split, int]] = field(default_factory=dict)

    def check(self, row: Row, record: ImageRecord, *, column: str) -> None:
        """Refuse the row (BadTable) that puts its patient in another split than a line before."""
        if record.split is None:
            return
        split, line = self.first.setdefault(record.patient, (record.split, row.line))
        if split is not record.split:
            row.refuse(
                column,
                f"each patient in one split, and {record.patient} is in {split} by line {line}",
                "put all of a patient's images in one",
            )
