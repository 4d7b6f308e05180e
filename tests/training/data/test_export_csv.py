"""Records written in VinDr's and RSNA's schemas come back as they were, files and all."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.data.canvas_sets import image
from tests.training.data.csv_files import RSNA, VINDR_FINDING, VINDR_IMAGE
from training.data.export_csv import write_rsna, write_vindr
from training.data.image_files import find_file
from training.data.records import Box, Category, Density, Finding, ImageRecord, Split
from training.data.rsna import read_rsna
from training.data.vindr import read_vindr

SILENT = list[str]().append


def phantoms(root: Path) -> list[ImageRecord]:
    """Two breasts of two women, one with a mass and a node, and a file for each image."""
    mass = Finding((Category.MASS,), Box(10, 20.5, 30, 40), birads=4)
    node = Finding((Category.LYMPH_NODE,))
    known = {"rows": 100, "columns": 80, "annotated": frozenset(Category)}
    records = [
        image("a", "L", "CC", **known, density=Density.B, birads=4, findings=(mass, node)),
        image("a", "R", "MLO", **known, density=Density.B, birads=1),
        image("b", "L", "CC", **known, density=Density.D),
    ]
    records = [replace(r, labels={"malignancy": r.birads == 4}, split=Split.TEST) for r in records]
    for record in records:
        path = root / record.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(record.image.encode())
    return records


def header(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file))


def test_vindrs_tables_come_back_with_findings_boxes_and_density(tmp_path: Path) -> None:
    records = phantoms(tmp_path / "files")
    write_vindr(records, tmp_path / "vindr", files=tmp_path / "files")
    read = read_vindr(tmp_path / "vindr", say=SILENT)
    kept = ("image", "laterality", "view", "rows", "columns", "density", "birads", "findings")
    kept += ("annotated", "split")
    for before, after in zip(records, read, strict=True):
        assert {name: getattr(after, name) for name in kept} == {
            name: getattr(before, name) for name in kept
        }
        assert after.patient == before.study
        file = find_file(tmp_path / "vindr", after.path)
        assert file.read_bytes() == before.image.encode()


def test_vindrs_tables_have_vindrs_columns_in_order(tmp_path: Path) -> None:
    write_vindr(phantoms(tmp_path / "files"), tmp_path)
    assert header(tmp_path / "breast-level_annotations.csv") == [*VINDR_IMAGE, "split"]
    assert header(tmp_path / "finding_annotations.csv") == [*VINDR_IMAGE, *VINDR_FINDING, "split"]
    assert not (tmp_path / "images").exists()


def test_vindr_needs_the_size_of_an_image(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a-L-CC: expected rows and columns"):
        write_vindr([image("a")], tmp_path)


def test_rsnas_table_comes_back_with_labels_density_and_split(tmp_path: Path) -> None:
    records = phantoms(tmp_path / "files")
    write_rsna(records, tmp_path / "rsna", files=tmp_path / "files")
    read = read_rsna(tmp_path / "rsna" / "train.csv", say=SILENT)
    for before, after in zip(records, read, strict=True):
        for name in ("patient", "image", "laterality", "view", "density", "birads", "split"):
            assert getattr(after, name) == getattr(before, name)
        assert after.labels == before.labels
        assert find_file(tmp_path / "rsna", after.path).read_bytes() == before.image.encode()
    assert header(tmp_path / "rsna" / "train.csv") == [*RSNA, "fold"]


def test_without_splits_rsnas_table_is_the_official_one(tmp_path: Path) -> None:
    records = [replace(record, split=None) for record in phantoms(tmp_path / "files")]
    write_rsna(records, tmp_path)
    assert header(tmp_path / "train.csv") == list(RSNA)


def test_flags_are_written_as_each_column_has_them(tmp_path: Path) -> None:
    labels = {"malignancy": True, "difficult negative": False}
    write_rsna([image("a", labels=labels)], tmp_path)
    with (tmp_path / "train.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["cancer"], row["difficult_negative_case"], row["implant"]) == ("1", "False", "")


def test_files_can_be_written_twice(tmp_path: Path) -> None:
    records = phantoms(tmp_path / "files")
    for _ in range(2):
        write_rsna(records, tmp_path / "rsna", files=tmp_path / "files")
    assert (tmp_path / "files" / records[0].path).read_bytes() == records[0].image.encode()
