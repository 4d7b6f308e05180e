"""Mammograms with a bright square at a known place, and a service with the bright model."""

from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from pydicom.uid import ExplicitVRLittleEndian

from tests.bright_model import make_bright_model
from tests.dicom_factory import dicom_bytes, mammogram_dataset, set_pixels, stored_pixels
from tests.service.live import Files, Live, live

ROWS, COLUMNS = 640, 480
BRIGHTEST = 4095
CLIP = 6
"""Side of a clip in pixels: the brightest thing of every image, and far too small for a mass."""
Square = tuple[int, int, int, int]
"""top, left, bottom, right in stored pixels, half-open."""


def square(row: float, depth: float, *, laterality: str = "L", side: int = 64) -> Square:
    """Around a place: `row` down the image, `depth` from the chest wall, both 0 to 1."""
    across = depth if laterality == "L" else 1 - depth
    top, left = round(row * ROWS) - side // 2, round(across * COLUMNS) - side // 2
    return top, left, top + side, left + side


def bright(
    marker: Square | None,
    *,
    laterality: str = "L",
    syntax: str = ExplicitVRLittleEndian,
    **overrides: Any,
) -> bytes:
    """A DICOM file of 640 x 480 pixels of 0.1 mm; without a marker nothing but the clip is bright.

    `photometric` MONOCHROME1 stores the same picture the other way round.
    """
    given = {"rows": ROWS, "columns": COLUMNS, "ImagerPixelSpacing": [0.1, 0.1]}
    ds = mammogram_dataset(laterality=laterality, **{**given, **overrides})
    pixels = stored_pixels(ds).copy()
    inverted = ds.PhotometricInterpretation == "MONOCHROME1"
    clip = square(0.5, 0.2, laterality=laterality, side=CLIP)
    for top, left, bottom, right in (clip, *([marker] if marker else [])):
        pixels[top:bottom, left:right] = 0 if inverted else BRIGHTEST
    return dicom_bytes(set_pixels(ds, pixels.astype(np.uint16)), syntax)


def overlap(box: dict[str, float], marker: Square) -> float:
    """Intersection over union of an answer's pixel box and a marker."""
    found = (box["top_row"], box["left_column"], box["bottom_row"], box["right_column"])
    height = min(found[2], marker[2]) - max(found[0], marker[0])
    width = min(found[3], marker[3]) - max(found[1], marker[1])
    common = max(height, 0) * max(width, 0)
    areas = [(one[2] - one[0]) * (one[3] - one[1]) for one in (found, marker)]
    return float(common / (sum(areas) - common))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One service with the bright model for the tests of a module."""
    folder = tmp_path_factory.mktemp("bright")
    make_bright_model(folder / "models")
    with live(folder) as running:
        yield running


def ask_mass(service: Live, sent: Files, **fields: Any) -> httpx.Response:
    """POST /v1/heatmap for the finding mass, unless `fields` say otherwise."""
    return service.client.post("/v1/heatmap", files=sent, data={"findings": "mass", **fields})


def only_map(response: httpx.Response) -> dict[str, Any]:
    """The answer's one heat map of one image."""
    assert response.status_code == 200, response.text
    (image,) = response.json()["images"]
    (found,) = image["heat_maps"]
    return dict(found)
