"""VinDr-Mammo's two tables: lists, boxes that leave the image, missing assessments."""

from pathlib import Path

import pytest

from tests.training.data.csv_files import VINDR_FINDING, VINDR_IMAGE, write_csv
from training.data.facts import Attribute, facts_of
from training.data.records import Box, Category, Density, ImageRecord, Split
from training.data.tables import BadTable
from training.data.vindr import read_vindr

Cells = dict[str, object]


def folder_with(
    folder: Path, *findings: Cells, images: tuple[Cells, ...] = (), split: str = "training"
) -> Path:
    """One image i1, or `images`, and a line for each finding."""
    breasts = [VINDR_IMAGE | {"split": split} | image for image in images or ({},)]
    lines = [VINDR_IMAGE | VINDR_FINDING | {"split": split} | line for line in findings or ({},)]
    write_csv(folder / "breast-level_annotations.csv", breasts)
    write_csv(folder / "finding_annotations.csv", lines)
    return folder


def read(folder: Path, said: list[str] | None = None) -> ImageRecord:
    lines: list[str] = [] if said is None else said
    (record,) = read_vindr(folder, say=lines.append, validation_share=0)
    return record


MASS = {
    "finding_categories": "['Mass']",
    "finding_birads": "BI-RADS 4",
    "xmin": 100.5,
    "ymin": 200.25,
    "xmax": 300.0,
    "ymax": 400.0,
}


def test_an_image_without_findings_has_none_of_the_ten(tmp_path: Path) -> None:
    record = read(folder_with(tmp_path))
    assert record == ImageRecord(
        source="vindr",
        patient="s1",
        study="s1",
        image="i1",
        laterality="L",
        view="CC",
        path="images/s1/i1.dicom",
        rows=3518,
        columns=2800,
        density=Density.C,
        birads=1,
        findings=(),
        annotated=frozenset(Category),
        split=Split.TRAIN,
    )
    assert (facts_of(record)[:10] == 0).all()
    assert facts_of(record)[Attribute.DENSITY] == 2


def test_a_finding_has_its_categories_its_box_and_its_assessment(tmp_path: Path) -> None:
    both = MASS | {"finding_categories": "['Mass', 'Suspicious Calcification']"}
    (finding,) = read(folder_with(tmp_path, both)).findings
    assert finding.categories == (Category.MASS, Category.CALCIFICATION)
    assert finding.box == Box(top=200.25, left=100.5, bottom=400.0, right=300.0)
    assert finding.birads == 4


def test_several_lines_of_an_image_are_its_findings(tmp_path: Path) -> None:
    skin = MASS | {"finding_categories": "['Skin Thickening']", "finding_birads": ""}
    record = read(folder_with(tmp_path, MASS, skin))
    assert [f.categories[0] for f in record.findings] == [Category.MASS, Category.SKIN_THICKENING]
    assert record.findings[1].birads is None
    assert record.present(Category.MASS) is True
    assert record.present(Category.LYMPH_NODE) is False


def test_a_box_that_leaves_the_image_is_cut_counted_and_said(tmp_path: Path) -> None:
    said = list[str]()
    beyond = MASS | {"xmin": -3.5, "ymax": 3600, "xmax": 2801}
    (finding,) = read(folder_with(tmp_path, beyond), said).findings
    assert finding.box == Box(200.25, 0, 3518, 2800)
    assert "VinDr-Mammo: 1 boxes that leave their image, cut at its edge" in said


def test_a_box_wholly_outside_leaves_its_finding_without_one(tmp_path: Path) -> None:
    said = list[str]()
    outside = MASS | {"xmin": 2900, "xmax": 2950}
    (finding,) = read(folder_with(tmp_path, outside), said).findings
    assert finding.box is None
    assert "VinDr-Mammo: 1 boxes wholly outside their image, left out" in said


def test_every_image_of_the_table_is_read_even_without_a_line_of_findings(tmp_path: Path) -> None:
    said = list[str]()
    other = {"image_id": "i2", "view_position": "MLO", "laterality": "R"}
    folder = folder_with(tmp_path, images=({}, other))
    records = read_vindr(folder, say=said.append)
    assert [(r.image, r.laterality, r.view) for r in records] == [
        ("i1", "L", "CC"),
        ("i2", "R", "MLO"),
    ]
    assert records[1].present(Category.MASS) is None
    assert "VinDr-Mammo: 2 images" in said
    assert any("1 images without a line in finding_annotations.csv" in line for line in said)


def test_the_test_split_is_kept_and_validation_is_cut_by_study(tmp_path: Path) -> None:
    images = tuple(
        {"study_id": f"s{n}", "image_id": f"i{n}{view}", "view_position": view}
        | {"split": "test" if n < 20 else "training"}
        for n in range(120)
        for view in ("CC", "MLO")
    )
    lines = tuple(image | {"finding_categories": "['No Finding']"} for image in images)
    folder = folder_with(tmp_path, *lines, images=images)
    records = read_vindr(folder, say=list[str]().append, seed=1, validation_share=0.2)
    by_study = {(r.study, r.split) for r in records}
    assert len(by_study) == 120
    assert sum(split is Split.TEST for _, split in by_study) == 20
    assert 10 <= sum(split is Split.VALIDATION for _, split in by_study) <= 30
    assert records == read_vindr(folder, say=list[str]().append, seed=1, validation_share=0.2)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (
            {"finding_categories": "['Lump']"},
            "column 'finding_categories': .* got \"\\['Lump'\\]\"",
        ),
        ({"finding_categories": "Mass,"}, "column 'finding_categories'"),
        ({"finding_categories": ""}, "column 'finding_categories': .* got nothing"),
        ({"finding_categories": "['Mass', 'No Finding']"}, "column 'finding_categories'"),
        ({"finding_birads": "4"}, "column 'finding_birads': expected one of BI-RADS 0, .* got '4'"),
        ({"xmax": ""}, "column 'xmax': expected a number, got nothing"),
        ({"xmax": 50}, r"column 'xmax': expected more than xmin \(100.5\), got '50'"),
        ({"ymin": "four"}, "column 'ymin': expected a number, got 'four'"),
        ({"image_id": "i9"}, "column 'image_id': expected an image of breast-level"),
    ],
)
def test_a_wrong_line_of_findings_is_refused_by_line_and_column(
    tmp_path: Path, cells: Cells, message: str
) -> None:
    folder = folder_with(tmp_path, MASS, MASS | cells)
    with pytest.raises(BadTable, match=f"finding_annotations.csv, line 3, {message}"):
        read(folder)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"laterality": "B"}, "column 'laterality': expected one of L, R"),
        ({"view_position": "ML"}, "column 'view_position': expected one of CC, MLO, got 'ML'"),
        ({"breast_density": "C"}, "column 'breast_density': expected one of DENSITY A"),
        ({"breast_birads": "BI-RADS 9"}, "column 'breast_birads'"),
        ({"height": 3518.5}, "column 'height': expected a whole number"),
        ({"height": -5}, "column 'height': expected pixels, 1 to 65535, got '-5'"),
        ({"width": 0}, "column 'width': expected pixels, 1 to 65535, got '0'"),
        ({"split": "validation"}, "column 'split': expected one of TRAINING, TEST"),
        ({"image_id": "i1"}, "column 'image_id': expected each image once"),
    ],
)
def test_a_wrong_line_of_images_is_refused_by_line_and_column(
    tmp_path: Path, cells: Cells, message: str
) -> None:
    folder = folder_with(tmp_path, images=({}, {"image_id": "i2"} | cells))
    with pytest.raises(BadTable, match=f"breast-level_annotations.csv, line 3, {message}"):
        read(folder)


def test_another_table_in_its_place_is_refused(tmp_path: Path) -> None:
    folder = folder_with(tmp_path)
    write_csv(folder / "finding_annotations.csv", [VINDR_IMAGE])
    with pytest.raises(BadTable, match=r"line 1, column 'finding_categories': .* give VinDr's"):
        read(folder)


def test_a_study_that_is_trained_and_tested_on_is_refused(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, images=({}, {"image_id": "i2", "split": "test"}))
    message = (
        "breast-level_annotations.csv, line 3, column 'split': expected each patient in one split, "
        "and s1 is in train by line 2, got 'test'"
    )
    with pytest.raises(BadTable, match=message):
        read(folder)


@pytest.mark.parametrize(
    ("cells", "known", "got"),
    [
        ({"study_id": "s2"}, "s1", "'s2'"),
        ({"laterality": "R"}, "L", "'R'"),
        ({"view_position": "MLO"}, "CC", "'MLO'"),
        ({"height": 3000}, "3518", "'3000'"),
        ({"width": 2801}, "2800", "'2801'"),
        ({"breast_birads": ""}, "BI-RADS 1", "nothing"),
        ({"breast_density": "DENSITY B"}, "DENSITY C", "'DENSITY B'"),
        ({"split": "test"}, "training", "'test'"),
    ],
)
def test_a_finding_that_tells_otherwise_of_its_image_is_refused(
    tmp_path: Path, cells: Cells, known: str, got: str
) -> None:
    (column,) = cells
    message = (
        f"finding_annotations.csv, line 2, column '{column}': expected {known}, as in line 2 of "
        f"breast-level_annotations.csv, got {got}"
    )
    with pytest.raises(BadTable, match=message):
        read(folder_with(tmp_path, MASS | cells))


def test_the_same_told_in_other_words_of_an_image_is_no_contradiction(tmp_path: Path) -> None:
    words = {"laterality": "left", "height": "3518.0", "split": "TRAINING"}
    assert len(read(folder_with(tmp_path, MASS | words)).findings) == 1


@pytest.mark.parametrize("column", ["xmin", "ymax"])
def test_no_finding_with_a_box_is_refused(tmp_path: Path, column: str) -> None:
    with pytest.raises(BadTable, match=f"line 2, column '{column}': expected nothing, .* got '10'"):
        read(folder_with(tmp_path, {column: 10}))


@pytest.mark.parametrize("lines", [({}, MASS), (MASS, {}), (MASS, {}, MASS)])
def test_no_finding_and_a_finding_on_one_image_are_refused(
    tmp_path: Path, lines: tuple[Cells, ...]
) -> None:
    message = "line 3, column 'finding_categories': expected No Finding or findings of one image"
    with pytest.raises(BadTable, match=message):
        read(folder_with(tmp_path, *lines))


@pytest.mark.parametrize(
    "line", [{}, MASS, MASS | {"xmin": "100.50", "finding_categories": "Mass"}]
)
def test_the_same_finding_twice_is_refused(tmp_path: Path, line: Cells) -> None:
    first = {} if line == {} else MASS
    message = "line 3, column 'finding_categories': expected each finding once, and line 2 is"
    with pytest.raises(BadTable, match=message):
        read(folder_with(tmp_path, first, line))


def test_two_findings_of_one_kind_with_boxes_of_their_own_are_two(tmp_path: Path) -> None:
    assert len(read(folder_with(tmp_path, MASS, MASS | {"xmax": 310})).findings) == 2


def test_a_file_instead_of_the_folder_and_a_missing_table_are_refused(tmp_path: Path) -> None:
    folder = folder_with(tmp_path)
    advice = "give the folder that holds breast-level_annotations.csv and finding_annotations.csv"
    with pytest.raises(
        BadTable, match=f"expected the folder of VinDr-Mammo's tables, got a file; {advice}"
    ):
        read(folder / "finding_annotations.csv")
    with pytest.raises(BadTable, match=f"nowhere: expected .* got nothing of that name; {advice}"):
        read(folder / "nowhere")
    (folder / "finding_annotations.csv").unlink()
    with pytest.raises(
        BadTable,
        match=f"expected VinDr-Mammo's finding_annotations.csv, got nothing .*; {advice}",
    ):
        read(folder)
