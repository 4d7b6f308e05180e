"""RSNA's train.csv, the official one and Mammo-CLIP's with folds."""

from pathlib import Path

import pytest

from tests.training.data.csv_files import RSNA, write_csv
from training.data.facts import UNKNOWN, Attribute, facts_of
from training.data.records import Density, ImageRecord, Split
from training.data.rsna import read_rsna
from training.data.tables import BadTable

Cells = dict[str, object]


def read(folder: Path, *rows: Cells, said: list[str] | None = None) -> tuple[ImageRecord, ...]:
    lines = [RSNA | {"image_id": number} | row for number, row in enumerate(rows)]
    lines_said: list[str] = [] if said is None else said
    return read_rsna(write_csv(folder / "train.csv", lines), say=lines_said.append)


def test_a_line_becomes_an_image_of_which_no_finding_is_known(tmp_path: Path) -> None:
    cells: Cells = {"cancer": 1, "biopsy": 1, "invasive": 1, "BIRADS": "0.0", "density": "B"}
    (record,) = read(tmp_path, cells)
    assert (record.patient, record.study, record.image) == ("10006", "10006", "0")
    assert record.path == "train_images/10006/0.dcm"
    assert (record.density, record.birads) == (Density.B, 0)
    assert record.labels == {
        "malignancy": True,
        "biopsy": True,
        "invasive": True,
        "implant": False,
        "difficult negative": False,
    }
    facts = facts_of(record)
    assert (facts[:10] == UNKNOWN).all()
    assert facts[Attribute.MALIGNANCY] == 1


def test_what_is_empty_is_not_known_and_is_counted(tmp_path: Path) -> None:
    said = list[str]()
    records = read(tmp_path, {"age": "", "density": "nan"}, {"density": "A"}, said=said)
    assert records[0].density is records[0].birads is None
    assert records[1].density is Density.A
    assert said == [
        "RSNA: 2 images",
        "RSNA: 2 images without BIRADS",
        "RSNA: 1 images without age",
        "RSNA: 1 images without density",
    ]


def test_odd_views_are_kept_and_counted(tmp_path: Path) -> None:
    said = list[str]()
    views = ("CC", "MLO", "AT", "LM", "ML", "LMO")
    records = read(tmp_path, *({"view": view} for view in views), said=said)
    assert tuple(record.view for record in records) == views
    assert "RSNA: 1 LMO views" in said


def test_mammo_clips_folds_become_splits(tmp_path: Path) -> None:
    rows = tuple({"patient_id": n, "fold": n} for n in range(4))
    assert [record.split for record in read(tmp_path, *rows)] == [
        Split.TEST,
        Split.TRAIN,
        Split.TRAIN,
        Split.VALIDATION,
    ]


def test_without_folds_patients_are_split(tmp_path: Path) -> None:
    rows = tuple({"patient_id": n // 2} for n in range(200))
    records = read(tmp_path, *rows)
    assert {record.split for record in records} == set(Split)
    assert len({(record.patient, record.split) for record in records}) == 100


def test_a_table_without_labels_is_read_too(tmp_path: Path) -> None:
    columns = ("site_id", "patient_id", "image_id", "laterality", "view", "age", "implant")
    test = {name: RSNA[name] for name in columns} | {"prediction_id": "10008_L"}
    (record,) = read_rsna(write_csv(tmp_path / "test.csv", [test]), say=list[str]().append)
    assert record.labels == {"implant": False}


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"cancer": "yes"}, "column 'cancer': expected one of 0, 1, .* got 'yes'"),
        ({"BIRADS": 7}, "column 'BIRADS': expected 0 to 6, or nothing, got '7'"),
        ({"density": "E"}, "column 'density': expected one of A, B, C, D, got 'E'"),
        ({"view": "XX"}, "column 'view': expected one of CC, MLO"),
        ({"laterality": ""}, "column 'laterality': expected one of L, R, .* got nothing"),
        ({"age": "old"}, "column 'age': expected a number, got 'old'"),
        ({"image_id": 0}, "column 'image_id': expected each image once"),
        ({"patient_id": ""}, "column 'patient_id': expected a value"),
    ],
)
def test_a_wrong_line_is_refused_by_line_and_column(
    tmp_path: Path, cells: Cells, message: str
) -> None:
    with pytest.raises(BadTable, match=f"train.csv, line 3, {message}"):
        read(tmp_path, {}, cells)


def test_a_fold_that_is_none_of_the_four_and_a_patient_in_two_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadTable, match="column 'fold': expected one of 0, 1, 2, 3, got '4'"):
        read(tmp_path, {"fold": 4})
    message = (
        "train.csv, line 3, column 'fold': expected each patient in one split, and 10006 is in"
    )
    with pytest.raises(BadTable, match=f"{message} test by line 2, got '1'"):
        read(tmp_path, {"fold": 0}, {"fold": 1})


def test_a_patient_in_two_folds_of_one_split_is_read(tmp_path: Path) -> None:
    assert {record.split for record in read(tmp_path, {"fold": 1}, {"fold": 2})} == {Split.TRAIN}


def test_a_folder_instead_of_the_file_is_refused(tmp_path: Path) -> None:
    message = "expected a CSV file: RSNA's train.csv, got a folder; give the path of that file"
    with pytest.raises(BadTable, match=message):
        read_rsna(tmp_path, say=list[str]().append)


def test_another_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadTable, match=r"line 1, column 'view': .* give RSNA's train.csv"):
        read_rsna(
            write_csv(tmp_path / "x.csv", [{"patient_id": 1, "image_id": 2, "laterality": "L"}]),
            say=list[str]().append,
        )
