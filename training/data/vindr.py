"""VinDr-Mammo: breast-level_annotations.csv and finding_annotations.csv -> records.

Columns and their oddities as in the files of version 1.0.0 (PhysioNet): list-valued categories,
boxes that leave the image, findings without an assessment. It names no patients: a study is one.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from training.data.records import Box, Category, Density, Finding, ImageRecord, Split
from training.data.splits import check_no_leak, cut_validation
from training.data.tables import SIDES, BadTable, Notes, Row, read_rows
from training.progress import Say

BREASTS, FINDINGS = "breast-level_annotations.csv", "finding_annotations.csv"
IMAGE_COLUMNS = (
    "study_id",
    "series_id",
    "image_id",
    "laterality",
    "view_position",
    "height",
    "width",
    "breast_birads",
    "breast_density",
)
BOX_COLUMNS = ("xmin", "ymin", "xmax", "ymax")
BREAST_COLUMNS = (*IMAGE_COLUMNS, "split")
FINDING_COLUMNS = (
    *IMAGE_COLUMNS,
    "finding_categories",
    "finding_birads",
    *BOX_COLUMNS,
    "split",
)
NO_FINDING = "No Finding"
BIRADS: Mapping[str, int] = {f"BI-RADS {number}": number for number in range(7)}
DENSITIES: Mapping[str, Density] = {f"DENSITY {density}": density for density in Density}
VIEWS: Mapping[str, str] = {"CC": "CC", "MLO": "MLO"}
SPLITS: Mapping[str, Split] = {"TRAINING": Split.TRAIN, "TEST": Split.TEST}
CATEGORIES: Mapping[str, Category] = {category.value: category for category in Category}
ADVICE = "take the files of VinDr-Mammo 1.0.0 as PhysioNet has them"


def read_vindr(
    folder: Path, *, say: Say, seed: int = 0, validation_share: float = 0.1
) -> tuple[ImageRecord, ...]:
    """Both tables of a folder; images stand under images/STUDY/IMAGE.dicom of the data's root.

    `validation_share` of the training studies become the validation split. Raises BadTable.
    """
    notes = Notes()
    records: dict[str, ImageRecord] = {}
    for row in read_rows(folder / BREASTS, columns=BREAST_COLUMNS, source=f"VinDr's {BREASTS}"):
        record = _image(row)
        if record.image in records:
            row.refuse("image_id", "each image once", ADVICE)
        records[record.image] = record
    findings: dict[str, list[Finding]] = {}
    for row in read_rows(folder / FINDINGS, columns=FINDING_COLUMNS, source=f"VinDr's {FINDINGS}"):
        image = row.identifier("image_id")
        if image not in records:
            row.refuse("image_id", f"an image of {BREASTS}", ADVICE)
        finding = _finding(row, records[image], notes)
        findings.setdefault(image, []).extend([finding] if finding else [])
    read = cut_validation(
        (_with_findings(record, findings.get(image), notes) for image, record in records.items()),
        seed=seed,
        share=validation_share,
    )
    check_no_leak(read)
    notes.tell(say, name="VinDr-Mammo", records=read)
    return read


def _image(row: Row) -> ImageRecord:
    study, image = row.identifier("study_id"), row.identifier("image_id")
    return ImageRecord(
        source="vindr",
        patient=study,
        study=study,
        image=image,
        laterality=row.one_of("laterality", SIDES),
        view=row.one_of("view_position", VIEWS),
        path=f"images/{study}/{image}.dicom",
        rows=row.whole("height"),
        columns=row.whole("width"),
        density=row.maybe_one_of("breast_density", DENSITIES),
        birads=row.maybe_one_of("breast_birads", BIRADS),
        split=row.one_of("split", SPLITS),
    )


def _with_findings(
    record: ImageRecord, findings: list[Finding] | None, notes: Notes
) -> ImageRecord:
    if findings is None:
        notes.add(f"images without a line in {FINDINGS}: nothing is known of their findings")
        return record
    return replace(record, findings=tuple(findings), annotated=frozenset(Category))


def _finding(row: Row, image: ImageRecord, notes: Notes) -> Finding | None:
    """None for a line that says No Finding."""
    names = row.texts("finding_categories")
    strange = [name for name in names if name not in CATEGORIES and name != NO_FINDING]
    if not names or strange or (NO_FINDING in names and len(names) > 1):
        row.refuse(
            "finding_categories", f"a list of {', '.join(CATEGORIES)}, or {NO_FINDING}", ADVICE
        )
    if names == [NO_FINDING]:
        return None
    return Finding(
        categories=tuple(CATEGORIES[name] for name in names),
        box=_box(row, image, notes),
        birads=row.maybe_one_of("finding_birads", BIRADS),
    )


def _box(row: Row, image: ImageRecord, notes: Notes) -> Box | None:
    """The box within the image; it is cut where it leaves it."""
    if not any(row.has(column) for column in BOX_COLUMNS):
        notes.add("findings without a box")
        return None
    left, top, right, bottom = (row.number(column) for column in BOX_COLUMNS)
    if right <= left:
        row.refuse("xmax", f"more than xmin ({left:g})", ADVICE)
    if bottom <= top:
        row.refuse("ymax", f"more than ymin ({top:g})", ADVICE)
    rows, columns = float(image.rows or 0), float(image.columns or 0)
    box = Box(max(top, 0.0), max(left, 0.0), min(bottom, rows), min(right, columns))
    if box.bottom <= box.top or box.right <= box.left:
        notes.add("boxes wholly outside their image, left out")
        return None
    if box != Box(top, left, bottom, right):
        notes.add("boxes that leave their image, cut at its edge")
    return box


__all__ = ["BREASTS", "BREAST_COLUMNS", "FINDINGS", "FINDING_COLUMNS", "BadTable", "read_vindr"]
