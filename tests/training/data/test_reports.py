"""A site's reports: a line an image or a breast, lists or plain text, odd names, headings."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.data.csv_files import write_csv
from training.data.records import Density, ImageRecord, Report, Split
from training.data.report_text import sections, sentences
from training.data.reports import read_reports
from training.data.tables import BadTable

Cells = dict[str, object]
LINE: Cells = {
    "patient_id": 17,
    "laterality": "R",
    "view": "CC",
    "image_id": "1.png",
    "FINDINGS": "There is a 2.5 cm mass. No calcifications.",
    "IMPRESSION": "Suspicious.",
}
# The columns of Mammo-CLIP's img_text_..._report.csv and clip_pretrain_100.csv, typos and all.
TYPED: Cells = {
    "patient_id": 17,
    "GENDER": "F",
    "AGE": 50,
    "BIRADS_CATEGORY": "4B",
    "HISTORY": "Lump.",
    "FINDINGS": "Mass.",
    "IMPRESSION": "Suspicious.",
    "ASSESSMENT": "",
    "RECOMENDATION": "Biopsy.",
    "CONCLUSION": "",
    "image_id": "1png",
    "fold": 0,
    "view": "MLO",
    "laterality": "R",
    "img_size_row": 1520,
    "img_size_column": 912,
    "BIRADS_numeric": 4,
}
BREAST: Cells = {
    "patient_id": "P_1",
    "laterality": "L",
    "image": "['a.png', 'b.png']",
    "view": "['CC', 'MLO']",
    "CC": "['a.png']",
    "MLO": "['b.png', 'c.png']",
    "text": "x",
    "findings": "['There is a mass.', 'Skin is normal.']",
    "impressions": "['Biopsy.']",
    "text_augment": "['A lump is there.']",
    "fold": 3,
}


def read(folder: Path, *rows: Cells, said: list[str] | None = None) -> tuple[ImageRecord, ...]:
    lines: list[str] = [] if said is None else said
    return read_reports(write_csv(folder / "reports.csv", rows), say=lines.append)


def test_a_line_an_image_with_sections_in_plain_text(tmp_path: Path) -> None:
    (record,) = read(tmp_path, LINE | {"density": "C"})
    assert record.report == Report(
        findings=("There is a 2.5 cm mass.", "No calcifications."), impression=("Suspicious.",)
    )
    assert (record.path, record.image) == ("17/1.png", "1")
    assert (record.laterality, record.view, record.density) == ("R", "CC", Density.C)
    assert record.annotated == frozenset()


def test_the_typed_columns_and_the_name_without_a_dot_are_understood(tmp_path: Path) -> None:
    said = list[str]()
    (record,) = read(tmp_path, TYPED, said=said)
    assert record.path == "17/1.png"
    assert record.report == Report(("Mass.",), ("Suspicious.",))
    assert (record.birads, record.view) == (4, "MLO")
    assert "reports: 1 names of images without the dot before their suffix, mended" in said


def test_a_line_a_breast_with_lists(tmp_path: Path) -> None:
    records = read(tmp_path, BREAST)
    assert [(r.view, r.path) for r in records] == [
        ("CC", "P_1/a.png"),
        ("MLO", "P_1/b.png"),
        ("MLO", "P_1/c.png"),
    ]
    assert {r.report for r in records} == {
        Report(("There is a mass.", "Skin is normal."), ("Biopsy.",), ("A lump is there.",))
    }


def test_lists_of_images_and_views_go_together(tmp_path: Path) -> None:
    row = {name: BREAST[name] for name in ("patient_id", "laterality", "image", "view", "text")}
    assert [(r.view, r.image) for r in read(tmp_path, row)] == [("CC", "a"), ("MLO", "b")]
    assert [r.image for r in read(tmp_path, BREAST | {"CC": "[]", "MLO": ""})] == ["a", "b"]


def test_one_column_of_text_is_cut_at_its_headings(tmp_path: Path) -> None:
    text = (
        "INDICATION: screening. FINDINGS: The breasts are dense. There is a mass.\n"
        "Impression: BI-RADS 4. Biopsy is advised.\nRECOMMENDATION: Return."
    )
    row = {name: LINE[name] for name in ("patient_id", "laterality", "view", "image_id")}
    (record,) = read(tmp_path, row | {"report": text})
    assert record.report == Report(
        ("The breasts are dense.", "There is a mass."), ("BI-RADS 4.", "Biopsy is advised.")
    )


def test_a_text_without_headings_is_findings() -> None:
    cut = sections("A mass. Findings are as before.")
    assert (cut.findings, cut.impression) == ("A mass. Findings are as before.", "")


def test_sentences_are_cut_at_their_ends_alone() -> None:
    text = "1. Mass of 2.5 cm, e.g. a cyst. 2. Skin vs. nipple? Normal!\n\nNo nodes; none."
    assert sentences(text) == (
        "1. Mass of 2.5 cm, e.g. a cyst.",
        "2. Skin vs. nipple?",
        "Normal!",
        "No nodes;",
        "none.",
    )
    assert sentences("  ") == sentences("...") == ()


def test_lines_without_a_text_are_left_out_and_counted(tmp_path: Path) -> None:
    said = list[str]()
    empty = LINE | {"FINDINGS": "", "IMPRESSION": "nan", "image_id": "2.png"}
    assert len(read(tmp_path, LINE, empty, said=said)) == 1
    assert "reports: 1 lines without a text, left out" in said


def test_patients_are_split_unless_the_table_says_how(tmp_path: Path) -> None:
    many = tuple(LINE | {"patient_id": n // 2, "image_id": f"{n}.png"} for n in range(200))
    records = read(tmp_path, *many)
    assert {record.split for record in records} == set(Split)
    assert len({(record.patient, record.split) for record in records}) == 100
    (told,) = read(tmp_path, LINE | {"split": "valid"})
    assert told.split is Split.VALIDATION


def test_a_table_half_of_which_says_its_split_is_refused(tmp_path: Path) -> None:
    rows = (LINE | {"split": "test"}, LINE | {"split": "", "image_id": "2.png"})
    for order in (rows, rows[::-1]):
        with pytest.raises(BadTable, match="column 'split': expected a split in every line"):
            read(tmp_path, *order)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"laterality": "B"}, "column 'laterality': expected one of L, R"),
        ({"view": "XX"}, "column 'view': expected one of CC, MLO"),
        ({"view": "['CC', 'MLO']"}, "column 'view': expected 1 views, as there are images"),
        ({"image_id": ""}, "column 'image_id': expected the name of an image, got nothing"),
        ({"image_id": "1.png"}, "column 'image_id': expected each image of a patient once"),
        ({"image_id": "../1.png"}, "column 'image_id': expected a name below the data's root"),
        ({"image_id": "/1.png"}, "column 'image_id': expected a name below the data's root"),
        ({"FINDINGS": "['a', 3]"}, "column 'findings': expected a list of texts"),
        ({"birads": "8"}, "column 'birads': expected 0 to 6"),
    ],
)
def test_a_wrong_line_is_refused_by_line_and_column(
    tmp_path: Path, cells: Cells, message: str
) -> None:
    first = dict.fromkeys(cells, "") | LINE
    with pytest.raises(BadTable, match=f"reports.csv, line 3, {message}"):
        read(tmp_path, first, first | {"image_id": "2.png"} | cells)


@pytest.mark.parametrize("missing", ["patient_id", "laterality", "view", "image_id"])
def test_a_missing_column_is_named(tmp_path: Path, missing: str) -> None:
    row = {name: value for name, value in LINE.items() if name != missing}
    with pytest.raises(BadTable, match=f"reports.csv, line 1, column '{missing}': .* give a table"):
        read(tmp_path, row)


def test_a_table_without_any_text_column_is_refused(tmp_path: Path) -> None:
    row = {name: LINE[name] for name in ("patient_id", "laterality", "view", "image_id")}
    with pytest.raises(BadTable, match="column 'findings'"):
        read(tmp_path, row)


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ("image_id", "image", "image_id"),
        ("IMPRESSION", "impressions", "impression"),
        ("FINDINGS", "findings", "findings"),
        ("laterality", "side", "laterality"),
        ("birads", "BIRADS_numeric", "birads"),
    ],
)
def test_two_columns_that_mean_the_same_are_refused(
    tmp_path: Path, first: str, second: str, name: str
) -> None:
    message = (
        f"line 1, column '{second}': expected one column of {name}, got '{first}' and '{second}', "
        "which both mean it; keep one of them"
    )
    with pytest.raises(BadTable, match=message):
        read(tmp_path, {first: ""} | LINE | {second: ""})


def test_two_columns_of_one_name_that_nobody_reads_are_let_be(tmp_path: Path) -> None:
    assert len(read(tmp_path, LINE | {"history": "a", "HISTORY": "b"})) == 1


def test_a_patient_in_two_splits_is_refused_by_line(tmp_path: Path) -> None:
    message = "reports.csv, line 3, column 'split': expected each patient in one split, and 17 is"
    with pytest.raises(BadTable, match=f"{message} in train by line 2, got 'test'"):
        read(tmp_path, LINE | {"split": "train"}, LINE | {"split": "test", "image_id": "2.png"})


def test_a_missing_table_is_refused_with_what_is_wanted(tmp_path: Path) -> None:
    message = "nowhere.csv: expected a CSV file: a table of reports with patient_id, .* got nothing"
    with pytest.raises(BadTable, match=message):
        read_reports(tmp_path / "nowhere.csv", say=list[str]().append)


def test_a_path_with_an_unknown_place_is_refused_before_the_table_is_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none but \{patient\}, \{study\}, \{image\} in braces"):
        read_reports(tmp_path / "nowhere.csv", say=list[str]().append, path="{patient_id}/{image}")


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_has_sentences_without_loss_of_words(text: str) -> None:
    found = sentences(text)
    assert all(sentence.strip(" .;") for sentence in found)
    words = {word for word in text.split() if word.strip(".;")}
    assert words == {word for one in found for word in one.split() if word.strip(".;")}
    sections(text)
