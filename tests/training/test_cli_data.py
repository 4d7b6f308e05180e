"""`mammoserve-train data check`, as a person would type it."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.training.data.csv_files import RSNA, VINDR_FINDING, VINDR_IMAGE, write_csv
from training.cli import app
from training.data.readers import READERS


def check(*arguments: object) -> tuple[int, str]:
    """Exit status, and what was said as one line."""
    result = CliRunner().invoke(app, ["data", "check", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, re.sub(r"[│\s]+", " ", result.output)


def vindr(folder: Path) -> Path:
    write_csv(folder / "breast-level_annotations.csv", [VINDR_IMAGE | {"split": "test"}])
    line = VINDR_IMAGE | VINDR_FINDING | {"split": "test"}
    write_csv(folder / "finding_annotations.csv", [line])
    return folder


def test_a_table_is_told_by_what_is_in_it(tmp_path: Path) -> None:
    code, said = check("vindr", vindr(tmp_path), "--images", tmp_path)
    assert code == 0
    assert "VinDr-Mammo: 1 images split test: 1 view CC: 1 density C: 1" in said
    assert "0 of 1 images are below" in said


@pytest.mark.parametrize(
    ("kind", "place", "expected"),
    [
        ("vindr", "rsna.csv", "expected the folder of VinDr-Mammo's tables, got a file; give the"),
        ("embed", "rsna.csv", "expected the folder of EMBED's tables, got a file; give the folder"),
        ("rsna", ".", "expected a CSV file: RSNA's train.csv, got a folder; give the path"),
        ("reports", ".", "expected a CSV file: a table of reports with patient_id,"),
        ("vindr", "empty", "expected VinDr-Mammo's breast-level_annotations.csv, got nothing"),
        ("embed", "empty", "expected EMBED's EMBED_OpenData_clinical.csv, got nothing of that"),
        ("rsna", "x.csv", "expected a CSV file: RSNA's train.csv, got nothing of that name; give"),
        ("reports", "x.csv", "an image and a text, got nothing of that name; give the path of"),
    ],
)
def test_a_wrong_place_is_a_usage_error_that_says_what_to_give(
    tmp_path: Path, kind: str, place: str, expected: str
) -> None:
    write_csv(tmp_path / "rsna.csv", [RSNA])
    (tmp_path / "empty").mkdir()
    code, said = check(kind, tmp_path / place)
    assert code == 2
    assert expected in said


def test_a_table_without_lines_is_a_usage_error(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text(",".join(RSNA) + "\n")
    code, said = check("rsna", path)
    assert code == 2
    assert "expected lines below the header, got none; give the whole of RSNA's train.csv" in said


def test_an_unknown_kind_is_a_usage_error_that_lists_the_known(tmp_path: Path) -> None:
    code, said = check("ddsm", tmp_path)
    assert code == 2
    assert f"expected one of {', '.join(READERS)}, got 'ddsm'" in said
