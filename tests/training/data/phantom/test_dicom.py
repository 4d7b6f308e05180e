"""Phantoms as DICOM files: valid, the same every time, and silent about what was drawn."""

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest

from model_store.dicom_input import read_mammogram
from training.data.phantom.dicom import write_dicom
from training.data.phantom.field import Projection, Side
from training.data.phantom.files import write_studies
from training.data.phantom.rules import PhantomRules
from training.data.phantom.study import Breast, PhantomView, draw_view, make_study, study_generator
from training.data.records import Category

ILL = PhantomRules(lesion_share={Category.MASS: 1.0, Category.CALCIFICATION: 1.0})
REAL_TAGS = (  # of a GE Senographe's For Presentation images
    "AnodeTargetMaterial",
    "BodyPartThickness",
    "CompressionForce",
    "Exposure",
    "FilterMaterial",
    "ImageLaterality",
    "ImagerPixelSpacing",
    "KVP",
    "PatientOrientation",
    "PresentationLUTShape",
    "VOILUTFunction",
    "ViewCodeSequence",
    "ViewPosition",
)


@pytest.fixture(scope="module")
def views() -> tuple[PhantomView, ...]:
    return make_study(study_generator(4, 0), ILL).views


def header(view: PhantomView) -> pydicom.Dataset:
    written = pydicom.dcmread(BytesIO(write_dicom(view, series=4, number=1)))
    del written.PixelData
    return written


def test_the_reader_of_the_service_takes_it_without_a_warning(
    views: tuple[PhantomView, ...],
) -> None:
    for view in views:
        read = read_mammogram(write_dicom(view, series=4, number=0))
        np.testing.assert_array_equal(read.pixels, view.pixels)
        assert (read.laterality, read.view) == (view.side.value, view.projection.value)
        assert read.spacing_mm == (0.1, 0.1)
        assert read.warnings == ()


def test_the_header_says_nothing_of_what_was_drawn(views: tuple[PhantomView, ...]) -> None:
    """The same breast with and without findings has the same header, pixels apart."""
    breast = make_study(study_generator(4, 0), ILL).breasts[0]
    bare = Breast(breast.side, breast.density, breast.anatomy, lesions=())
    ill, healthy = (
        draw_view(study_generator(4, 9), one, projection=Projection.CC, contrast=1.0)
        for one in (breast, bare)
    )
    assert not np.array_equal(ill.pixels, healthy.pixels)
    assert header(ill) == header(healthy)


def test_it_has_the_tags_of_a_real_unit(views: tuple[PhantomView, ...]) -> None:
    for view in views:
        written = header(view)
        for tag in REAL_TAGS:
            assert written.get(tag) not in (None, ""), tag
        assert written.file_meta.MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.1.2"
        assert written.ImageType == ["ORIGINAL", "PRIMARY"]
        assert len(written.WindowCenter) == len(written.WindowWidth) == 3
        assert written.PatientOrientation[0] == ("A" if view.side is Side.LEFT else "P")


def test_the_windows_show_fat_and_gland_apart(views: tuple[PhantomView, ...]) -> None:
    for view in views:
        written = header(view)
        low = written.WindowCenter[0] - written.WindowWidth[0] / 2
        high = written.WindowCenter[0] + written.WindowWidth[0] / 2
        tissue = view.pixels[(view.pixels > 0) & (view.pixels < 3900)]
        assert low < np.percentile(tissue, 10) < np.percentile(tissue, 99) < high


def test_the_same_phantom_has_the_same_bytes(views: tuple[PhantomView, ...]) -> None:
    first, again = (write_dicom(views[0], series=4, number=0) for _ in range(2))
    assert first == again


def test_views_of_a_study_share_its_uid_and_have_their_own(
    views: tuple[PhantomView, ...],
) -> None:
    files = [header(view) for view in views]
    assert len({file.StudyInstanceUID for file in files}) == 1
    assert len({file.SOPInstanceUID for file in files}) == 4


def test_a_study_written_to_a_folder_reads_back(tmp_path: Path) -> None:
    (written,) = write_studies(tmp_path, seed=6, numbers=[3], rules=ILL)
    for side in Side:
        read = read_mammogram((written / f"{side.value}_MLO.dcm").read_bytes())
        assert read.view == "MLO"
    truth = json.loads((written / "truth.json").read_text())
    assert {lesion["category"] for lesion in truth["breasts"]["L"]["lesions"]} == {
        "Mass",
        "Suspicious Calcification",
    }
    assert truth["images"][0]["findings"][0]["box"]
