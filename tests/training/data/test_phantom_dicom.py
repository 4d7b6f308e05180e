"""Phantoms as DICOM files: valid, the same every time, and silent about what was drawn."""

from io import BytesIO

import numpy as np
import pydicom
import pytest

from model_store.dicom_input import read_mammogram
from training.data.phantom import PhantomRules, make_study, study_generator
from training.data.phantom_dicom import write_dicom
from training.data.phantom_files import write_studies

SICK, HEALTHY = PhantomRules(1.0, 1.0), PhantomRules(0.0, 0.0)


def header(rules: PhantomRules, view: int = 0) -> pydicom.Dataset:
    study = make_study(study_generator(4, 1), rules)
    return pydicom.dcmread(BytesIO(write_dicom(study.views[view], series=4, number=1)))


def test_the_reader_of_the_service_takes_it_without_a_warning() -> None:
    study = make_study(study_generator(4, 0))
    for view in study.views:
        read = read_mammogram(write_dicom(view, series=4, number=0))
        np.testing.assert_array_equal(read.pixels, view.pixels)
        assert (read.laterality, read.view) == (view.side.value, view.projection.value)
        assert read.spacing_mm == (0.1, 0.1)
        assert read.warnings == ()


def test_the_header_says_nothing_of_what_was_drawn() -> None:
    sick, healthy = header(SICK), header(HEALTHY)
    del sick.PixelData, healthy.PixelData
    assert sick == healthy


def test_the_same_phantom_has_the_same_bytes() -> None:
    study = make_study(study_generator(4, 0))
    first, again = (write_dicom(study.views[0], series=4, number=0) for _ in range(2))
    assert first == again


def test_views_of_a_study_share_its_uid_and_have_their_own() -> None:
    study = make_study(study_generator(4, 0))
    files = [
        pydicom.dcmread(BytesIO(write_dicom(v, series=4, number=0)), stop_before_pixels=True)
        for v in study.views
    ]
    assert len({file.StudyInstanceUID for file in files}) == 1
    assert len({file.SOPInstanceUID for file in files}) == 4


@pytest.mark.parametrize("side", ["L", "R"])
def test_a_study_written_to_a_folder_reads_back(
    side: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("phantoms")
    (written,) = write_studies(folder, seed=6, numbers=[3])
    assert (written / "truth.json").exists()
    read = read_mammogram((written / f"{side}_MLO.dcm").read_bytes())
    assert read.view == "MLO"
