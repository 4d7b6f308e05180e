"""EMBED's two tables: joined on accession and side, codes as words, ROIs as boxes."""

from pathlib import Path

import pytest

from tests.training.data.csv_files import EMBED_CLINICAL, EMBED_METADATA, write_csv
from training.data.embed import read_embed
from training.data.facts import Attribute, facts_of, word
from training.data.records import Box, Category, Density, ImageRecord
from training.data.tables import BadTable

Cells = dict[str, object]


def read(
    folder: Path,
    clinical: tuple[Cells, ...],
    images: tuple[Cells, ...] = ({},),
    said: list[str] | None = None,
) -> tuple[ImageRecord, ...]:
    rows = [EMBED_CLINICAL | row for row in clinical]
    metadata = [
        EMBED_METADATA | {"anon_dicom_path": f"/mnt/x/anon_dicom/cohort_1/7/{n}.dcm"} | image
        for n, image in enumerate(images)
    ]
    write_csv(folder / "EMBED_OpenData_clinical.csv", rows)
    write_csv(folder / "EMBED_OpenData_metadata.csv", metadata)
    lines: list[str] = [] if said is None else said
    return read_embed(folder, say=lines.append)


def one(folder: Path, *clinical: Cells, **image: object) -> ImageRecord:
    (record,) = read(folder, clinical, (image,))
    return record


def test_a_negative_breast_has_none_of_the_ten(tmp_path: Path) -> None:
    record = one(tmp_path, {})
    assert (record.patient, record.study, record.image) == ("41617447", "8099128854014801", "0")
    assert record.path == "cohort_1/7/0.dcm"
    assert (record.density, record.birads, record.labels) == (Density.C, 1, {})
    assert record.annotated == frozenset(Category)


def test_a_side_joins_its_own_breast_and_no_side_or_both_joins_both(tmp_path: Path) -> None:
    left, right = {"ImageLateralityFinal": "L"}, {"ImageLateralityFinal": "R"}
    mass: Cells = {"massshape": "R", "asses": "S"}
    for side, expected in (("L", [1, 0]), ("R", [0, 1]), ("B", [1, 1]), ("", [1, 1])):
        clinical = (mass | {"side": side}, {"side": "L"}, {"side": "R"})
        records = read(tmp_path, clinical, (left, right))
        assert [len(record.findings) for record in records] == expected


def test_codes_of_a_mass_and_of_calcifications_are_words(tmp_path: Path) -> None:
    record = one(
        tmp_path,
        {"massshape": "X", "massmargin": "S", "massdens": "+", "asses": "M"},
        {"calcfind": "B", "calcdistri": "C", "asses": "S"},
    )
    facts = facts_of(record)
    said = {column.name: word(facts, column) for column in Attribute if column > Attribute.SIDE}
    assert {name: text for name, text in said.items() if text} == {
        "MASS_SHAPE": "irregular",
        "MASS_MARGIN": "spiculated",
        "MASS_DENSITY": "high",
        "CALC_MORPHOLOGY": "fine linear branching",
        "CALC_DISTRIBUTION": "grouped",
    }
    assert record.birads == 5
    assert [finding.birads for finding in record.findings] == [5, 4]


@pytest.mark.parametrize(
    ("cells", "categories"),
    [
        ({"massshape": "A"}, [Category.DISTORTION]),
        ({"massshape": "S"}, [Category.ASYMMETRY]),
        ({"massshape": "V"}, [Category.FOCAL_ASYMMETRY]),
        ({"massshape": "B"}, [Category.GLOBAL_ASYMMETRY]),
        ({"massshape": "N"}, []),
        ({"massshape": "OF"}, [Category.FOCAL_ASYMMETRY, Category.MASS]),
        ({"massshape": "", "massmargin": "D"}, [Category.MASS]),
        ({"massshape": "", "massdens": "0.0"}, [Category.MASS]),
        ({"calcfind": "V"}, []),
        ({"calcfind": "P", "asses": "B"}, []),
        ({"calcfind": "P", "asses": "A"}, [Category.CALCIFICATION]),
        ({"calcfind": "V, K", "asses": "B"}, [Category.CALCIFICATION]),
    ],
)
def test_what_a_code_is_a_finding_of(
    tmp_path: Path, cells: Cells, categories: list[Category]
) -> None:
    record = one(tmp_path, cells)
    assert [finding.categories[0] for finding in record.findings] == categories


def test_optional_columns_tell_other_findings_and_places(tmp_path: Path) -> None:
    more: Cells = {"otherfind": "N", "location": "2", "depth": "A"}
    record = one(tmp_path, more | {"massshape": "O"})
    mass, nipple = record.findings
    assert mass.attributes == {"shape": "oval", "quadrant": "upper outer", "depth": "anterior"}
    assert nipple.categories == (Category.NIPPLE_RETRACTION,)
    right = one(tmp_path, more | {"side": "R", "massshape": "O"}, ImageLateralityFinal="R")
    assert right.findings[0].attributes["quadrant"] == "upper inner"


def test_density_is_that_of_the_exam_and_five_is_a_man(tmp_path: Path) -> None:
    assert one(tmp_path, {"tissueden": 1.0}).density is Density.A
    assert one(tmp_path, {"tissueden": 5.0}).density is None
    assert one(tmp_path, {"tissueden": ""}).density is None
    assert one(tmp_path, {"tissueden": 2}, {"tissueden": 3}).density is None


@pytest.mark.parametrize(
    ("assessments", "worst"),
    [("NB", 2), ("AN", 0), ("AP", 0), ("AS", 4), ("MK", 6), ("X", None), ("XN", 1)],
)
def test_the_assessment_to_act_on_is_the_breasts(
    tmp_path: Path, assessments: str, worst: int | None
) -> None:
    assert one(tmp_path, *({"asses": code} for code in assessments)).birads == worst


def test_malignancy_is_what_pathology_said_and_else_unknown(tmp_path: Path) -> None:
    cancer: Cells = {"path_severity": 1.0}
    assert one(tmp_path, cancer, {"path_severity": 4}).labels == {
        "biopsy": True,
        "malignancy": True,
    }
    assert one(tmp_path, {"path_severity": 4.0}).labels == {"biopsy": True, "malignancy": False}
    assert "malignancy" not in one(tmp_path, {}).labels


def test_without_an_assessment_nobody_has_looked(tmp_path: Path) -> None:
    assert one(tmp_path, {"asses": "X"}).annotated == frozenset()
    assert Category.LYMPH_NODE not in one(tmp_path, {"asses": "B"}).annotated
    assert Category.MASS in one(tmp_path, {"asses": "B"}).annotated


def test_rois_belong_to_the_one_finding_there_is(tmp_path: Path) -> None:
    coords = "((10, 20, 30, 40), (50, 60.5, 70, 80))"
    record = one(tmp_path, {"massshape": "R"}, ROI_coords=coords, num_roi=2)
    assert [(f.categories, f.box) for f in record.findings] == [
        ((Category.MASS,), Box(10, 20, 30, 40)),
        ((Category.MASS,), Box(50, 60.5, 70, 80)),
    ]
    two = one(tmp_path, {"massshape": "R"}, {"calcfind": "A"}, ROI_coords="(10, 20, 30, 40)")
    assert [(len(f.categories), f.box) for f in two.findings] == [
        (1, None),
        (1, None),
        (0, Box(10, 20, 30, 40)),
    ]
    assert one(tmp_path, {"massshape": "R"}, ROI_coords="()").findings[0].box is None


def test_rois_that_leave_their_image_are_cut_and_said(tmp_path: Path) -> None:
    said = list[str]()
    image: Cells = {"ROI_coords": "((-5, -5, 99999, 99999),)"}
    (record,) = read(
        tmp_path, ({"massshape": "R"},), (image | {"Rows": 3328, "Columns": 2560},), said
    )
    assert [finding.box for finding in record.findings] == [Box(0, 0, 3328, 2560)]
    assert "EMBED: 1 boxes that leave their image, cut at its edge" in said
    (record,) = read(tmp_path, ({"massshape": "R"},), (image,))
    assert [finding.box for finding in record.findings] == [Box(0, 0, 65535, 65535)]


def test_a_roi_wholly_outside_its_image_is_left_out_and_said(tmp_path: Path) -> None:
    said = list[str]()
    image: Cells = {"ROI_coords": "((-9, 2, -1, 9), (5, 5, 9, 9))"}
    (record,) = read(tmp_path, ({"massshape": "R"},), (image,), said)
    assert [finding.box for finding in record.findings] == [Box(5, 5, 9, 9)]
    assert "EMBED: 1 boxes wholly outside their image, left out" in said


def test_small_letters_are_the_same_side_view_and_type(tmp_path: Path) -> None:
    cells = {"ImageLateralityFinal": "l", "ViewPosition": "mlo", "FinalImageType": "2d"}
    record = one(tmp_path, {"side": "l"}, **cells)
    assert (record.laterality, record.view) == ("L", "MLO")


def test_an_image_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = {"anon_dicom_path": "/mnt/x/anon_dicom/cohort_1/7/0.dcm"}
    message = "metadata.csv, line 3, column 'anon_dicom_path': expected each image once, got '/mnt"
    with pytest.raises(BadTable, match=message):
        read(tmp_path, ({},), (path, path))


def test_an_exam_of_two_patients_is_refused_in_either_table_and_between_them(
    tmp_path: Path,
) -> None:
    other: Cells = {"empi_anon": 5}
    whose = "column 'empi_anon': expected 41617447, whose exam 8099128854014801 is by line 2 of"
    with pytest.raises(BadTable, match=f"clinical.csv, line 3, {whose} .*clinical.csv, got '5'"):
        read(tmp_path, ({}, other))
    with pytest.raises(BadTable, match=f"metadata.csv, line 2, {whose} .*clinical.csv, got '5'"):
        read(tmp_path, ({},), (other,))
    unread: Cells = {"acc_anon": 77}
    with pytest.raises(BadTable, match=r"metadata.csv, line 3, .* by line 2 of .*metadata.csv"):
        read(tmp_path, ({},), (unread, unread | other))


def test_a_missing_table_is_named_with_what_to_give(tmp_path: Path) -> None:
    read(tmp_path, ({},))
    (tmp_path / "EMBED_OpenData_metadata.csv").unlink()
    message = "expected EMBED's EMBED_OpenData_metadata.csv, got nothing of that name; give the fol"
    with pytest.raises(BadTable, match=message):
        read_embed(tmp_path, say=list[str]().append)


def test_images_that_are_no_plain_views_are_left_out_and_said(tmp_path: Path) -> None:
    said = list[str]()
    images: tuple[Cells, ...] = (
        {},
        {"FinalImageType": "cview"},
        {"spot_mag": 1.0},
        {"ImageLateralityFinal": ""},
        {"ViewPosition": ""},
        {"ViewPosition": "XCCL"},
        {"acc_anon": 12},
    )
    records = read(tmp_path, ({},), images, said)
    assert [record.view for record in records] == ["CC", "XCCL"]
    assert said == [
        "EMBED: 2 images",
        "EMBED: 1 images of no one side, left out",
        "EMBED: 1 images of type cview, left out",
        "EMBED: 1 images whose exam and side are not in EMBED_OpenData_clinical.csv, left out",
        "EMBED: 1 spot and magnification views, left out",
        "EMBED: 1 views named None, left out",
    ]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"asses": "Z"}, "column 'asses': expected one of N, B, P"),
        ({"side": "U"}, "column 'side': expected one of L, R, B, got 'U'"),
        ({"massshape": "Z"}, "column 'massshape': expected letters of ABF.*, got 'Z'"),
        ({"massmargin": "?"}, "column 'massmargin': expected letters of DIMSU, got '.'"),
        ({"calcfind": "A,X"}, "column 'calcfind': expected letters of 9AB.*, got 'A,X'"),
        ({"tissueden": 6}, "column 'tissueden': expected 1 to 5, got '6'"),
        ({"path_severity": 9}, "column 'path_severity': expected 0 to 6, or nothing, got '9'"),
        ({"location": "QQ"}, "column 'location': expected one of 12, 1"),
    ],
)
def test_a_wrong_code_is_refused_by_line_and_column(
    tmp_path: Path, cells: Cells, message: str
) -> None:
    good = dict.fromkeys(cells, "")
    with pytest.raises(BadTable, match=f"clinical.csv, line 3, {message}"):
        read(tmp_path, (good, cells))


@pytest.mark.parametrize(
    "coords",
    [
        "((1, 2, 3))",
        "((1, 2, 3, 'x'),)",
        "((True, 0, 3, 4),)",
        "((9, 2, 3, 4),)",
        "[[]]",
        f"((1, 2, 3, {10**400}),)",
    ],
)
def test_wrong_rois_are_refused(tmp_path: Path, coords: str) -> None:
    with pytest.raises(BadTable, match=r"metadata.csv, line 2, column 'ROI_coords'"):
        one(tmp_path, {}, ROI_coords=coords)


def test_another_table_is_refused(tmp_path: Path) -> None:
    read(tmp_path, ({},))
    write_csv(tmp_path / "EMBED_OpenData_clinical.csv", [{"empi_anon": 1}])
    with pytest.raises(BadTable, match="line 1, column 'acc_anon'"):
        read_embed(tmp_path, say=list[str]().append)
