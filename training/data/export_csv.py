"""Records in the schemas of VinDr-Mammo and RSNA, so that phantoms take the real data's way.

The images are linked or copied to where the readers of those tables look for them.
"""

import csv
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from training.data import rsna, vindr
from training.data.records import Box, Finding, ImageRecord, Split

Cells = dict[str, object]
VINDR_SPLITS = {
    Split.TRAIN: "training",
    Split.VALIDATION: "training",
    Split.TEST: "test",
    None: "test",
}


def write_vindr(records: Sequence[ImageRecord], folder: Path, *, files: Path | None = None) -> None:
    """Both tables into `folder`, and the images, if `files` is the root of the records' paths.

    VinDr knows neither validation, subtypes, places nor reports: they are not written. Raises
    ValueError for an image without rows and columns.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / vindr.BREASTS, vindr.BREAST_COLUMNS, map(_vindr_image, records))
    _write(folder / vindr.FINDINGS, vindr.FINDING_COLUMNS, _vindr_findings(records))
    if files is not None:
        for record in records:
            _place(files / record.path, folder / "images" / record.study / record.image)


def write_rsna(records: Sequence[ImageRecord], folder: Path, *, files: Path | None = None) -> None:
    """train.csv into `folder`, with `fold` where records have a split; images as above.

    A patient's studies become one, for RSNA has none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with_fold = any(record.split is not None for record in records)
    columns = (*rsna.ALL_COLUMNS, "fold") if with_fold else rsna.ALL_COLUMNS
    _write(folder / "train.csv", columns, map(_rsna_image, records))
    if files is not None:
        for record in records:
            place = folder / "train_images" / record.patient / record.image
            _place(files / record.path, place)


def _place(source: Path, target: Path) -> None:
    """The file at `target` with the source's suffix: linked where that can be, else copied."""
    target = target.with_name(target.name + source.suffix)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source.resolve())
    except OSError:
        shutil.copyfile(source, target)


def _write(path: Path, columns: Sequence[str], rows: Iterable[Cells]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def _vindr_image(record: ImageRecord) -> Cells:
    if record.rows is None or record.columns is None:
        raise ValueError(f"{record.image}: expected rows and columns, which VinDr's table has")
    return {
        "study_id": record.study,
        "series_id": f"{record.study}-{record.laterality}-{record.view}",
        "image_id": record.image,
        "laterality": record.laterality,
        "view_position": record.view,
        "height": record.rows,
        "width": record.columns,
        "breast_birads": "" if record.birads is None else f"BI-RADS {record.birads}",
        "breast_density": "" if record.density is None else f"DENSITY {record.density}",
        "split": VINDR_SPLITS[record.split],
    }


def _vindr_findings(records: Iterable[ImageRecord]) -> Iterator[Cells]:
    for record in records:
        image = _vindr_image(record)
        for finding in record.findings:
            yield image | _vindr_finding(finding)
        if not record.findings:
            yield image | {"finding_categories": repr([vindr.NO_FINDING])}


def _vindr_finding(finding: Finding) -> Cells:
    box = finding.box
    return {
        "finding_categories": repr([category.value for category in finding.categories]),
        "finding_birads": "" if finding.birads is None else f"BI-RADS {finding.birads}",
    } | ({} if box is None else _corners(box))


def _corners(box: Box) -> Cells:
    corners = (box.left, box.top, box.right, box.bottom)
    return dict(zip(vindr.BOX_COLUMNS, corners, strict=True))


AS_WORDS = ("difficult_negative_case",)
"""Flags that RSNA writes as True and False, not 1 and 0."""
FOLD_OF = {Split.TEST: 0, Split.TRAIN: 1, Split.VALIDATION: 3, None: ""}


def _rsna_image(record: ImageRecord) -> Cells:
    flags = {
        column: record.labels[label] if column in AS_WORDS else int(record.labels[label])
        for column, label in rsna.LABELS.items()
        if label in record.labels
    }
    return flags | {
        "patient_id": record.patient,
        "image_id": record.image,
        "laterality": record.laterality,
        "view": record.view,
        "BIRADS": "" if record.birads is None else float(record.birads),
        "density": record.density or "",
        "fold": FOLD_OF[record.split],
    }
