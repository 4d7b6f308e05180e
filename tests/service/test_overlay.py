"""Overlays: heat and boxes over the image as it is stored, and the picture alone as an answer."""

import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from tests import bad_dicom
from tests.service.bright_study import ask_mass, bright, only_map, service, square
from tests.service.live import Live, files, problem

__all__ = ["service"]

MARKER = square(0.6, 0.25)


def picture(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(content)))


def test_an_overlay_has_the_aspect_of_the_stored_image_and_heat_on_the_lesion(
    service: Live,
) -> None:
    found = only_map(ask_mass(service, files(bright(MARKER)), include="overlay"))
    assert found["grid"] is None
    overlay = found["overlay"]
    drawn = picture(base64.b64decode(overlay["png"])).astype(int)
    region = overlay["region"]
    height = region["bottom_row"] - region["top_row"]
    width = region["right_column"] - region["left_column"]
    assert drawn.shape == (overlay["height_px"], overlay["width_px"], 3)
    assert (overlay["height_px"], overlay["width_px"]) == (height, width), "no larger than stored"
    colour = drawn.max(axis=2) - drawn.min(axis=2)
    middle = (MARKER[0] + MARKER[2]) / 2 - region["top_row"], (MARKER[1] + MARKER[3]) / 2
    assert colour[int(middle[0]), int(middle[1] - region["left_column"])] > 30
    assert colour[10, 10] == 0


def test_an_overlay_of_what_is_not_present_is_the_plain_image(service: Live) -> None:
    found = only_map(ask_mass(service, files(bright(None)), include="overlay,grid"))
    drawn = picture(base64.b64decode(found["overlay"]["png"])).astype(int)
    assert np.ptp(drawn, axis=2).max() == 0
    assert found["grid"]["rows"] == 32


def test_one_image_and_one_question_may_be_answered_by_the_picture_itself(service: Live) -> None:
    accept = {"Accept": "image/png, application/json;q=0.5"}
    sent = {"files": files(bright(MARKER)), "data": {"findings": "mass"}, "headers": accept}
    response = service.client.post("/v1/heatmap", **sent)
    assert response.headers["content-type"] == "image/png"
    overlay = only_map(ask_mass(service, files(bright(MARKER)), include="overlay"))["overlay"]
    assert response.content == base64.b64decode(overlay["png"])


@pytest.mark.parametrize(
    ("sent", "fields", "named"),
    [(1, {}, "findings"), (2, {"findings": "mass"}, "files")],
    ids=["two questions", "two images"],
)
def test_a_picture_of_several_is_refused(
    service: Live, sent: int, fields: dict[str, str], named: str
) -> None:
    response = service.client.post(
        "/v1/heatmap",
        files=files(*[bright(MARKER)] * sent),
        data=fields,
        headers={"Accept": "image/png"},
    )
    assert problem(response, "invalid-parameter")["errors"][0]["parameter"] == named


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("image/png", "image/png"),
        ("image/png;q=0.9, */*;q=0.8", "image/png"),
        ("*/*", "application/json"),
        ("image/*", "application/json"),
        ("image/png;q=0.4, application/json", "application/json"),
        ("application/*, image/png", "application/json"),
        ("image/png;q=much", "application/json"),
        ("", "application/json"),
    ],
)
def test_a_picture_comes_where_it_is_preferred_by_name(
    service: Live, accept: str, kind: str
) -> None:
    response = service.client.post(
        "/v1/heatmap?findings=mass", files=files(bright(MARKER)), headers={"Accept": accept}
    )
    assert response.headers["content-type"] == kind


def test_a_picture_of_no_usable_image_is_a_problem(service: Live) -> None:
    response = service.client.post(
        "/v1/heatmap?findings=mass", files=files(bad_dicom.ct()), headers={"Accept": "image/png"}
    )
    problem(response, "no-usable-image")
