"""A site's own reports: one CSV with texts and the images they tell of -> records.

Two shapes are read. A line an image: `image_id` (or `image`), `view`. A line a breast: `CC` and
`MLO`, or `image` and `view`, hold lists. A list is written as Python writes it. Texts stand in
`findings` and `impression`, or in one `text` with headings. Names of columns may be in upper or
lower case, and may be those of ALIASES.
"""

import string
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from training.data.records import Density, ImageRecord, Report, Split
from training.data.report_text import sections, sentences
from training.data.splits import OneSplit, SplitShares, split_by_patient
from training.data.tables import SIDES, VIEWS, BadTable, Notes, Row, read_header, read_rows
from training.progress import Say

ALIASES: Mapping[str, str] = {
    "image": "image_id",
    "image_path": "image_id",
    "impressions": "impression",
    "report": "text",
    "view_position": "view",
    "side": "laterality",
    "birads_numeric": "birads",
    "cc": "CC",
    "mlo": "MLO",
}
"""Names of columns in lower case, and the names they are read by."""
REQUIRED = ("patient_id", "laterality")
TEXTS = ("findings", "impression", "text")
IMAGES = ("image_id", "view", "CC", "MLO")
OPTIONAL = ("text_augment", "study_id", "density", "birads", "split")
COLUMNS = frozenset({*REQUIRED, *TEXTS, *IMAGES, *OPTIONAL})
"""All that are read; a table may have others."""
PLACEHOLDERS = ("patient", "study", "image")
"""What `path` may name in braces."""
SPLITS: Mapping[str, Split] = {
    "TRAIN": Split.TRAIN,
    "TRAINING": Split.TRAIN,
    "VALIDATION": Split.VALIDATION,
    "VALID": Split.VALIDATION,
    "TEST": Split.TEST,
}
DENSITIES: Mapping[str, Density] = {density.value: density for density in Density}
SUFFIXES = (".png", ".dcm", ".dicom", ".jpg", ".jpeg", ".tif", ".tiff")
SOURCE = "a table of reports with patient_id, laterality, view, an image and a text"


@dataclass(frozen=True, slots=True)
class _Image:
    name: str
    view: str


def read_reports(
    table: Path,
    *,
    say: Say,
    seed: int = 0,
    shares: SplitShares | None = None,
    source: str = "reports",
    path: str = "{patient}/{image}",
) -> tuple[ImageRecord, ...]:
    """The table; `path` says where an image lies under the data's root.

    Patients are split by `seed` unless there is a column `split`. Raises BadTable, and ValueError
    about `path`.
    """
    check_path(path)
    notes = Notes()
    records: dict[str, ImageRecord] = {}
    told_split: bool | None = None
    one_split = OneSplit()
    for row in _rows(table):
        if told_split not in (None, row.has("split")):
            row.refuse("split", "a split in every line or in none")
        told_split = row.has("split")
        report = _report(row)
        if report == Report():
            notes.add("lines without a text, left out")
            continue
        for image in _images(row, notes):
            record = _record(row, image, report=report, source=source, path=path)
            if record.path in records:
                row.refuse("image_id", "each image of a patient once")
            one_split.check(row, record, column="split")
            records[record.path] = record
    read = tuple(records.values())
    if not told_split:
        read = split_by_patient(read, seed=seed, shares=shares or SplitShares())
    notes.tell(say, name=source, records=read)
    return read


def check_path(path: str) -> None:
    """Raise ValueError unless `path` names an image, and nothing but PLACEHOLDERS, in braces."""
    known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    try:
        parts = list(string.Formatter().parse(path))
    except ValueError as error:
        raise ValueError(f"path: expected {known} in braces, got {path!r}: {error}") from None
    named = [name for _, name, _, _ in parts if name is not None]
    plain = not any(form or conversion for _, _, form, conversion in parts)
    if not plain or not set(named) <= {*PLACEHOLDERS}:
        raise ValueError(f"path: expected none but {known} in braces, got {path!r}")
    if "image" not in named:
        raise ValueError(f"path: expected {{image}} in it, or all images are one, got {path!r}")


def _rows(table: Path) -> Iterator[Row]:
    """Rows under the names this module reads; refused where a column is missing."""
    _check_columns(table, read_header(table, source=SOURCE))
    for row in read_rows(table, columns=(), source=SOURCE):
        yield Row(row.path, row.line, {_plain(name): text for name, text in row.cells.items()})


def _plain(name: str) -> str:
    return ALIASES.get(name.strip().lower(), name.strip().lower())


def _check_columns(table: Path, header: Sequence[str]) -> None:
    cells: dict[str, str] = {}
    for column in header:
        first = cells.setdefault(_plain(column), column)
        if first != column and _plain(column) in COLUMNS:
            raise BadTable(
                table,
                line=1,
                column=column,
                expected=f"one column of {_plain(column)}",
                got=f"{first!a} and {column!a}, which both mean it",
                advice="keep one of them",
            )
    _check_none_missing(table, cells.keys())


def _check_none_missing(table: Path, cells: Set[str]) -> None:
    missing = [name for name in REQUIRED if name not in cells]
    if not {"image_id", "CC", "MLO"} & cells:
        missing.append("image_id")
    if not set(TEXTS) & cells:
        missing.append("findings")
    if "image_id" in cells and "view" not in cells and not {"CC", "MLO"} & cells:
        missing.append("view")
    if missing:
        raise BadTable(
            table,
            line=1,
            column=missing[0],
            expected="this column in the header",
            got=f"only {', '.join(sorted(cells))!a}",
            advice=f"give {SOURCE}",
        )


def _images(row: Row, notes: Notes) -> Iterator[_Image]:
    by_view = [(name, view) for view in ("CC", "MLO") for name in row.texts(view)]
    for name, view in by_view:
        yield _Image(_file(row, name, notes), view)
    if by_view:
        return
    names, views = row.texts("image_id"), row.texts("view")
    if not names:
        row.refuse("image_id", "the name of an image")
    if len(views) != len(names):
        row.refuse("view", f"{len(names)} views, as there are images")
    for name, view in zip(names, views, strict=True):
        if view.upper() not in VIEWS:
            row.refuse("view", f"one of {', '.join(VIEWS)}")
        yield _Image(_file(row, name, notes), view.upper())


def _file(row: Row, name: str, notes: Notes) -> str:
    """The image's name with a suffix; "1png" was 1.png once."""
    plain = PurePosixPath(name.replace("\\", "/"))
    if plain.is_absolute() or ".." in plain.parts:
        row.refuse("image_id", "a name below the data's root", "write it without / before or ..")
    if plain.suffix.lower() in SUFFIXES:
        return str(plain)
    for suffix in SUFFIXES:
        bare = suffix[1:]
        if name.lower().endswith(bare) and len(name) > len(bare):
            notes.add("names of images without the dot before their suffix, mended")
            return f"{str(plain)[: -len(bare)]}.{bare}"
    return str(plain)


def _report(row: Row) -> Report:
    """Findings and impression as they are given, or cut out of `text` by its headings."""
    findings, impression = (_sentences(row, column) for column in ("findings", "impression"))
    if not findings and not impression:
        cut = sections(" ".join(_texts(row, "text")))
        findings, impression = sentences(cut.findings), sentences(cut.impression)
    return Report(findings, impression, _sentences(row, "text_augment"))


def _sentences(row: Row, column: str) -> tuple[str, ...]:
    return tuple(sentence for text in _texts(row, column) for sentence in sentences(text))


def _texts(row: Row, column: str) -> list[str]:
    """A list's texts; a plain text that begins with a bracket is no list."""
    text = row.maybe_text(column)
    if text is not None and text.startswith("[") and not text.endswith("]"):
        return [text]
    return row.texts(column)


def _record(row: Row, image: _Image, *, report: Report, source: str, path: str) -> ImageRecord:
    patient = row.identifier("patient_id")
    study = row.maybe_text("study_id") or patient
    birads = row.maybe_whole("birads")
    if birads is not None and not 0 <= birads <= 6:
        row.refuse("birads", "0 to 6, or nothing")
    return ImageRecord(
        source=source,
        patient=patient,
        study=study,
        image=PurePosixPath(image.name).stem,
        laterality=row.one_of("laterality", SIDES),
        view=image.view,
        path=path.format(patient=patient, study=study, image=image.name),
        density=row.maybe_one_of("density", DENSITIES),
        birads=birads,
        report=report,
        split=row.one_of("split", SPLITS) if row.has("split") else None,
    )
