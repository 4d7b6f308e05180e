"""Where an image lies in the body: what attributes that disagree lead to."""

from typing import Any

import pytest
from pydicom import uid
from pydicom.sequence import Sequence

from model_store.dicom_attributes import ImageHeader, read_header
from model_store.dicom_input import Laterality
from model_store.refusals import WarningCode
from tests.dicom_factory import code_item, mammogram_dataset


def header(**overrides: Any) -> ImageHeader:
    return read_header(mammogram_dataset(**overrides), uid.ExplicitVRLittleEndian)


@pytest.mark.parametrize("view", ["CC", "MLO"])
@pytest.mark.parametrize("laterality", list(Laterality))
def test_the_columns_of_an_ordinary_view_run_towards_the_inner_side(
    laterality: Laterality, view: str
) -> None:
    assert header(laterality=laterality.value, view=view).warnings == ()


@pytest.mark.parametrize("view", ["CC", "MLO"])
def test_an_orientation_of_the_other_breast_is_a_warning(view: str) -> None:
    read = header(laterality="L", view=view, ImageLaterality="R")
    assert read.laterality is Laterality.RIGHT
    assert read.warnings == (WarningCode.LATERALITY_CONFLICT,)


@pytest.mark.parametrize(
    "orientation", [["A", "F"], ["A", ""], ["A", "MLO"], ["A", "LR"], "A", ["P", "R", "L"]]
)
def test_an_orientation_that_names_no_side_contradicts_nothing(orientation: list[str]) -> None:
    assert header(laterality="R", PatientOrientation=orientation).warnings == ()


def test_the_orientation_of_a_lateral_view_contradicts_nothing() -> None:
    assert header(laterality="L", view="ML", PatientOrientation=["A", "FL"]).warnings == ()


def test_an_image_of_both_breasts_is_of_neither() -> None:
    read = header(ImageLaterality="B", Laterality="L")
    assert (read.laterality, read.warnings) == (None, (WarningCode.LATERALITY_UNKNOWN,))


def test_a_displaced_implant_is_an_implant() -> None:
    ds = mammogram_dataset()
    displaced = Sequence([code_item("399209000", "Implant Displaced")])
    ds.ViewCodeSequence[0].ViewModifierCodeSequence = displaced
    read = read_header(ds, uid.ExplicitVRLittleEndian)
    assert read.warnings == (WarningCode.IMPLANT_PRESENT,)
