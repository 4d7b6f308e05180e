"""EMBED (Emory): EMBED_OpenData_clinical.csv joined to EMBED_OpenData_metadata.csv -> records.

Codes are those of the tables' legend (embed_codes). Only 2D images are taken: synthetic ones
(cview), spot and magnification views are left out, and said. EMBED's terms forbid releasing weights
that were trained on it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from training.data.boxes import cut_to_image
from training.data.embed_codes import (
    ASSESSMENTS,
    DENSITIES,
    READ,
    SEVERITY,
    findings_of,
)
from training.data.records import Box, Category, Density, Finding, ImageRecord
from training.data.splits import SplitShares, split_by_patient
from training.data.tables import MAX_SIDE_PX, SIDES, VIEWS, Notes, Row, read_rows, tables_in
from training.progress import Say

CLINICAL, METADATA = "EMBED_OpenData_clinical.csv", "EMBED_OpenData_metadata.csv"
CLINICAL_COLUMNS = (
    "empi_anon",
    "acc_anon",
    "side",
    "asses",
    "tissueden",
    "massshape",
    "massmargin",
    "massdens",
    "calcfind",
    "calcdistri",
    "path_severity",
)
METADATA_COLUMNS = (
    "empi_anon",
    "acc_anon",
    "anon_dicom_path",
    "FinalImageType",
    "ImageLateralityFinal",
    "ViewPosition",
    "spot_mag",
    "ROI_coords",
)
CLINICAL_SIDES = {"L": ("L",), "R": ("R",), "B": ("L", "R")}
BOTH = ("L", "R")  # what an empty side applies to
IMAGE_ROOT = "anon_dicom/"  # paths are absolute on the publisher's machine; kept from here on
Key = tuple[str, str]
"""Accession and side."""


@dataclass(slots=True)
class _Exams:
    """Whose each exam is, by both tables, and the line that said so first."""

    first: dict[str, tuple[str, Row]] = field(default_factory=dict)

    def check(self, row: Row) -> str:
        """The row's exam; refused (BadTable) where it is another patient's."""
        exam, patient = row.identifier("acc_anon"), row.identifier("empi_anon")
        whose, told = self.first.setdefault(exam, (patient, row))
        if patient != whose:
            expected = f"{whose}, whose exam {exam} is by line {told.line} of {told.path.name}"
            row.refuse("empi_anon", expected, "take both tables of one release")
        return exam


def read_embed(
    folder: Path, *, say: Say, seed: int = 0, shares: SplitShares | None = None
) -> tuple[ImageRecord, ...]:
    """Both tables of a folder, joined on acc_anon and side. Patients are split by `seed`.

    Raises BadTable.
    """
    clinical_table, metadata_table = tables_in(folder, CLINICAL, METADATA, owner="EMBED")
    notes, exams = Notes(), _Exams()
    clinical: dict[Key, list[Row]] = {}
    for row in read_rows(clinical_table, columns=CLINICAL_COLUMNS, source=f"EMBED's {CLINICAL}"):
        exam = exams.check(row)
        for side in row.maybe_one_of("side", CLINICAL_SIDES) or BOTH:
            clinical.setdefault((exam, side), []).append(row)
    records: dict[str, ImageRecord] = {}
    for row in read_rows(metadata_table, columns=METADATA_COLUMNS, source=f"EMBED's {METADATA}"):
        taken = _side_if_taken(row, notes)
        if taken is None:
            continue
        told = clinical.get((exams.check(row), taken))
        if told is None:
            notes.add(f"images whose exam and side are not in {CLINICAL}, left out")
            continue
        record = _image(row, taken, told=told, notes=notes)
        if record.path in records:
            row.refuse("anon_dicom_path", "each image once", "keep one of its lines")
        records[record.path] = record
    read = split_by_patient(records.values(), seed=seed, shares=shares or SplitShares())
    notes.tell(say, name="EMBED", records=read)
    return read


def _side_if_taken(row: Row, notes: Notes) -> str | None:
    """The image's side; None, and noted, where the image is not taken."""
    kind = row.maybe_text("FinalImageType")
    side = SIDES.get(_upper(row, "ImageLateralityFinal"))
    view = row.maybe_text("ViewPosition")
    left_out = {
        f"images of type {kind}, left out": kind is None or kind.upper() != "2D",
        "spot and magnification views, left out": row.maybe_flag("spot_mag") is True,
        "images of no one side, left out": side is None,
        f"views named {view}, left out": view is None or view.upper() not in VIEWS,
    }
    for reason, applies in left_out.items():
        if applies:
            notes.add(reason)
            return None
    return side


def _upper(row: Row, column: str) -> str:
    return (row.maybe_text(column) or "").upper()


def _image(row: Row, side: str, *, told: Sequence[Row], notes: Notes) -> ImageRecord:
    path = row.text("anon_dicom_path")
    path = path.split(IMAGE_ROOT, 1)[-1].lstrip("/")
    assessments = [row.maybe_one_of("asses", ASSESSMENTS) for row in told]
    findings = _unlike(f for clinical in told for f in findings_of(clinical, side=side))
    boxes = _rois(row, notes)
    read = any(assessment is not None for assessment in assessments)
    return ImageRecord(
        source="embed",
        patient=row.identifier("empi_anon"),
        study=row.identifier("acc_anon"),
        image=Path(path).stem,
        laterality=side,
        view=_upper(row, "ViewPosition"),
        path=path,
        density=_density(told, notes),
        birads=_worst(assessments),
        findings=_with_boxes(findings, boxes, notes),
        annotated=_annotated(assessments) if read else frozenset(),
        labels=_labels(told),
    )


def _annotated(assessments: Sequence[int | None]) -> frozenset[Category]:
    """Every category in a breast read as negative, else those that have a column of their own."""
    return frozenset(Category) if set(assessments) == {1} else READ


def _unlike(findings: Iterable[Finding]) -> list[Finding]:
    """Each once: a finding seen again at the next visit of the same exam is the same."""
    kept: list[Finding] = []
    for finding in findings:
        if finding not in kept:
            kept.append(finding)
    return kept


def _with_boxes(
    findings: Sequence[Finding], boxes: Sequence[Box], notes: Notes
) -> tuple[Finding, ...]:
    """Boxes belong to no row: to the one finding if there is one, else to none by name."""
    if not boxes:
        return tuple(findings)
    if len(findings) == 1:
        (one,) = findings
        return tuple(Finding(one.categories, box, one.birads, one.attributes) for box in boxes)
    notes.add("images with boxes that cannot be told to one finding")
    return (*findings, *(Finding((), box) for box in boxes))


def _rois(row: Row, notes: Notes) -> list[Box]:
    """Boxes within the image; without the columns Rows and Columns its far edges are not known."""
    rows, columns = (
        row.side_px(column) if row.has(column) else MAX_SIDE_PX for column in ("Rows", "Columns")
    )
    cut = (cut_to_image(box, rows=rows, columns=columns, notes=notes) for box in _told_rois(row))
    return [box for box in cut if box is not None]


def _told_rois(row: Row) -> list[Box]:
    """Boxes of ROI_coords, "((y1, x1, y2, x2), ...)" in stored pixels; "()" is none."""
    if not row.has("ROI_coords"):
        return []
    value = row.literal("ROI_coords")
    corners = value if isinstance(value, tuple | list) else (value,)
    if corners and all(map(_is_number, corners)):
        corners = (corners,)
    boxes = []
    for one in corners:
        good = isinstance(one, tuple | list) and len(one) == 4
        if not good or not all(_is_number(n) for n in one):
            row.refuse("ROI_coords", "((y1, x1, y2, x2), ...)")
        top, left, bottom, right = one
        if bottom <= top or right <= left:
            row.refuse("ROI_coords", "boxes whose second corner is below and right of the first")
        boxes.append(Box(float(top), float(left), float(bottom), float(right)))
    return boxes


def _is_number(value: object) -> bool:
    """A finite number that a float holds; True and False are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e18


def _density(told: Sequence[Row], notes: Notes) -> Density | None:
    codes = {code for row in told if (code := row.maybe_whole("tissueden")) is not None}
    for row in told:
        if row.maybe_whole("tissueden") not in (None, *DENSITIES):
            row.refuse("tissueden", "1 to 5")
    if len(codes) != 1:
        notes.add("images whose density is not written down, or twice and differently")
        return None
    return DENSITIES[codes.pop()]


def _worst(assessments: Sequence[int | None]) -> int | None:
    """The assessment to act on first: 6, 5, 4, then 0 (more pictures), 3, 2, 1."""
    known = [assessment for assessment in assessments if assessment is not None]
    return max(known, key=(1, 2, 3, 0, 4, 5, 6).index, default=None)


def _labels(told: Sequence[Row]) -> dict[str, bool]:
    """Malignancy by pathology alone: what was not biopsied is not known."""
    severities = [
        severity for row in told if (severity := row.maybe_whole("path_severity")) is not None
    ]
    for row in told:
        if row.maybe_whole("path_severity") not in (None, *SEVERITY):
            row.refuse("path_severity", f"0 to {max(SEVERITY)}, or nothing")
    if not severities:
        return {}
    return {"biopsy": True, "malignancy": any(SEVERITY[one] for one in severities)}
