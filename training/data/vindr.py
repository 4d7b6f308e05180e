"""VinDr-Mammo: breast-level_annotations.csv and finding_annotations.csv -> records.

Columns and their oddities as in the files of version 1.0.0 (PhysioNet): list-valued categories,
boxes that leave the image, findings without an assessment. It names no patients: a study is one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from training.data.boxes import cut_to_image
from training.data.records import Box, Category, Density, Finding, ImageRecord, Split
from training.data.splits import OneSplit, cut_validation
from training.data.tables import SIDES, BadTable, Notes, Row, read_rows, tables_in
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
SHARED: Mapping[str, str] = {
    "study_id": "study",
    "laterality": "laterality",
    "view_position": "view",
    "height": "rows",
    "width": "columns",
    "breast_birads": "birads",
    "breast_density": "density",
    "split": "split",
}
"""Columns of both tables, and the fields of records they become."""
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
    breast_table, finding_table = tables_in(folder, BREASTS, FINDINGS, owner="VinDr-Mammo")
    notes = Notes()
    breasts = _breasts(breast_table)
    findings = _findings(finding_table, breasts, notes=notes)
    read = cut_validation(
        (
            _with_findings(breast.record, findings.get(image), notes)
            for image, breast in breasts.items()
        ),
        seed=seed,
        share=validation_share,
    )
    notes.tell(say, name="VinDr-Mammo", records=read)
    return read


@dataclass(frozen=True, slots=True)
class _Breast:
    row: Row
    record: ImageRecord


def _breasts(table: Path) -> dict[str, _Breast]:
    """Images by name."""
    breasts: dict[str, _Breast] = {}
    one_split = OneSplit()
    for row in read_rows(table, columns=BREAST_COLUMNS, source=f"VinDr's {BREASTS}"):
        record = _image(row)
        if record.image in breasts:
            row.refuse("image_id", "each image once", ADVICE)
        one_split.check(row, record, column="split")
        breasts[record.image] = _Breast(row, record)
    return breasts


def _findings(
    table: Path, breasts: Mapping[str, _Breast], *, notes: Notes
) -> dict[str, list[Finding]]:
    """Findings by image; an empty list is of an image that has none."""
    findings: dict[str, list[Finding]] = {}
    seen: dict[tuple[object, ...], int] = {}
    for row in read_rows(table, columns=FINDING_COLUMNS, source=f"VinDr's {FINDINGS}"):
        image = row.identifier("image_id")
        if image not in breasts:
            row.refuse("image_id", f"an image of {BREASTS}", ADVICE)
        _compare(row, breasts[image])
        finding = _finding(row, breasts[image].record, notes)
        line = seen.setdefault(_identity(row), row.line)
        if line != row.line:
            expected = f"each finding once, and line {line} is the same"
            row.refuse("finding_categories", expected, ADVICE)
        before = findings.get(image)
        if before is not None and (finding is None or not before):
            expected = f"{NO_FINDING} or findings of one image, and a line before says otherwise"
            row.refuse("finding_categories", expected, ADVICE)
        findings.setdefault(image, []).extend([finding] if finding else [])
    return findings


def _compare(row: Row, breast: _Breast) -> None:
    """Refuse a line of findings that tells of the image what the table of breasts does not."""
    told = _image(row)
    for column, name in SHARED.items():
        if getattr(told, name) != getattr(breast.record, name):
            known = breast.row.maybe_text(column) or "nothing"
            row.refuse(column, f"{known}, as in line {breast.row.line} of {BREASTS}", ADVICE)


def _identity(row: Row) -> tuple[object, ...]:
    """What a line says of a finding."""
    return (
        row.identifier("image_id"),
        frozenset(row.texts("finding_categories")),
        row.maybe_text("finding_birads"),
        *(row.maybe_number(column) for column in BOX_COLUMNS),
    )


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
        rows=row.side_px("height"),
        columns=row.side_px("width"),
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
        for column in BOX_COLUMNS:
            if row.has(column):
                row.refuse(column, f"nothing, since the line says {NO_FINDING}", ADVICE)
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
    box = Box(top, left, bottom, right)
    return cut_to_image(box, rows=image.rows or 0, columns=image.columns or 0, notes=notes)


__all__ = ["BREASTS", "BREAST_COLUMNS", "FINDINGS", "FINDING_COLUMNS", "BadTable", "read_vindr"]
