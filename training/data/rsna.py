"""RSNA Screening Mammography: train.csv, with or without Mammo-CLIP's `fold` -> records.

Labels are of a breast's cancer; nobody marked findings, so none is known. A patient has one study.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from training.data.records import Density, ImageRecord, Split
from training.data.splits import OneSplit, SplitShares, split_by_patient
from training.data.tables import SIDES, VIEWS, Notes, Row, read_rows
from training.progress import Say

COLUMNS = ("patient_id", "image_id", "laterality", "view")
"""What every file has; the official test.csv has no labels."""
LABELS: Mapping[str, str] = {
    "cancer": "malignancy",
    "biopsy": "biopsy",
    "invasive": "invasive",
    "implant": "implant",
    "difficult_negative_case": "difficult negative",
}
"""Columns and the labels of records they become."""
ALL_COLUMNS = (
    "site_id",
    "patient_id",
    "image_id",
    "laterality",
    "view",
    "age",
    "cancer",
    "biopsy",
    "invasive",
    "BIRADS",
    "implant",
    "density",
    "machine_id",
    "difficult_negative_case",
)
"""The official train.csv, in its order."""
FOLDS: Mapping[int, Split] = {
    0: Split.TEST,
    1: Split.TRAIN,
    2: Split.TRAIN,
    3: Split.VALIDATION,
}
"""Mammo-CLIP trains on folds 1 and 2 and reports on fold 0, its best epoch chosen there too; what
is chosen here is chosen on fold 3, which it leaves unused."""
DENSITIES: Mapping[str, Density] = {density.value: density for density in Density}
MAX_BIRADS = 6


def read_rsna(
    table: Path,
    *,
    say: Say,
    seed: int = 0,
    shares: SplitShares | None = None,
    images: str = "train_images",
) -> tuple[ImageRecord, ...]:
    """The table; images stand under IMAGES/PATIENT/IMAGE.dcm of the data's root.

    With a `fold` column the splits are FOLDS; without, patients are split by `seed` and `shares`.
    Raises BadTable.
    """
    notes = Notes()
    records: dict[str, ImageRecord] = {}
    folds = False
    one_split = OneSplit()
    for row in read_rows(table, columns=COLUMNS, source="RSNA's train.csv"):
        record = _image(row, images, notes)
        if record.image in records:
            row.refuse("image_id", "each image once")
        if "fold" in row.cells:
            folds = True
            record = replace(record, split=_fold(row))
            one_split.check(row, record, column="fold")
        records[record.image] = record
    read = tuple(records.values())
    if not folds:
        read = split_by_patient(read, seed=seed, shares=shares or SplitShares())
    notes.tell(say, name="RSNA", records=read)
    return read


def _fold(row: Row) -> Split:
    fold = row.whole("fold")
    if fold not in FOLDS:
        row.refuse("fold", f"one of {', '.join(map(str, FOLDS))}", "or drop the column")
    return FOLDS[fold]


def _image(row: Row, images: str, notes: Notes) -> ImageRecord:
    patient, image = row.identifier("patient_id"), row.identifier("image_id")
    birads = row.maybe_whole("BIRADS")
    if birads is not None and not 0 <= birads <= MAX_BIRADS:
        row.refuse("BIRADS", "0 to 6, or nothing")
    density = row.maybe_one_of("density", DENSITIES)
    for column, known in (
        ("BIRADS", birads),
        ("density", density),
        ("age", row.maybe_number("age")),
    ):
        if column in row.cells and known is None:
            notes.add(f"images without {column}")
    view = row.one_of("view", {name: name for name in VIEWS})
    if view not in ("CC", "MLO"):
        notes.add(f"{view} views")
    flags = {label: row.maybe_flag(column) for column, label in LABELS.items()}
    return ImageRecord(
        source="rsna",
        patient=patient,
        study=patient,
        image=image,
        laterality=row.one_of("laterality", SIDES),
        view=view,
        path=f"{images}/{patient}/{image}.dcm",
        density=density,
        birads=birads,
        labels={label: flag for label, flag in flags.items() if flag is not None},
    )
