"""Phantom studies as if they were VinDr-Mammo or RSNA: DICOM files and that data's own tables.

So what reads the real data is tried, and evaluated on, without it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from functools import partial
from pathlib import Path

from training.data.export_csv import write_rsna, write_vindr
from training.data.phantom.dicom import write_dicom
from training.data.phantom.rules import STANDARD, PhantomRules
from training.data.phantom.study import make_study, records_of, study_generator
from training.data.records import ImageRecord
from training.data.splits import SplitShares, split_by_patient
from training.data.workers import in_order
from training.progress import Say, counter


@unique
class Schema(StrEnum):
    """Whose tables are written."""

    VINDR = "vindr"
    RSNA = "rsna"


WRITERS: dict[Schema, Callable[[Sequence[ImageRecord], Path], None]] = {
    Schema.VINDR: write_vindr,
    Schema.RSNA: write_rsna,
}
PATHS: dict[Schema, str] = {
    Schema.VINDR: "images/{study}/{image}.dicom",
    Schema.RSNA: "train_images/{study}/{image}.dcm",
}
SHARES = SplitShares(validation=0.1, test=0.4)


@dataclass(frozen=True, slots=True)
class PhantomTables:
    """A numbered series of phantoms, and how it is written."""

    schema: Schema
    seed: int
    studies: int
    rules: PhantomRules = STANDARD
    shares: SplitShares = SHARES


def write_phantom_tables(
    folder: Path, tables: PhantomTables, *, processes: int, say: Say
) -> tuple[ImageRecord, ...]:
    """Files and tables into `folder`, patients split by the series' seed; four views a study.

    A file that is there already is not drawn again.
    """
    tell = counter(say, f"phantoms as {tables.schema}")
    records: list[ImageRecord] = []
    work = partial(_write_study, folder, tables)
    for made in in_order(work, range(tables.studies), processes=processes):
        records += made
        tell(len(records), 4 * tables.studies)
    split = split_by_patient(records, seed=tables.seed, shares=tables.shares)
    WRITERS[tables.schema](split, folder)
    return split


def _write_study(folder: Path, tables: PhantomTables, number: int) -> list[ImageRecord]:
    study = make_study(study_generator(tables.seed, number), tables.rules)
    records = records_of(study, series=tables.seed, number=number)
    for view, record in zip(study.views, records, strict=True):
        path = PATHS[tables.schema].format(study=record.study, image=record.image)
        target = folder / path
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.part")
        part.write_bytes(write_dicom(view, series=tables.seed, number=number))
        part.rename(target)
    return records
