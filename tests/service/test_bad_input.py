"""Every kind of bad input: a coded refusal, never a 500, never a hang, nothing left on the disk."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from tests import bad_dicom
from tests.service.live import DICOM, Live, files, four_views, problem, service, view

__all__ = ["service"]


@pytest.fixture(autouse=True)
def nothing_is_left(service: Live) -> Iterator[None]:
    yield
    assert service.files_left() == []
    assert service.metric("mammo_http_requests_total", status="500") == 0


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "not DICOM": (bad_dicom.not_dicom, "not_dicom"),
    "no preamble": (bad_dicom.without_preamble, "not_dicom"),
    "empty": (bad_dicom.empty, "empty"),
    "truncated": (bad_dicom.truncated, "truncated"),
    "truncated, compressed": (bad_dicom.truncated_compressed, "truncated"),
    "no pixels": (bad_dicom.without_pixels, "no_pixels"),
    "CT": (bad_dicom.ct, "not_a_mammogram"),
    "MR": (bad_dicom.mr, "not_a_mammogram"),
    "SR": (bad_dicom.structured_report, "not_a_mammogram"),
    "CAD": (bad_dicom.cad_report, "not_a_mammogram"),
    "For Processing": (bad_dicom.for_processing, "for_processing"),
    "tomosynthesis": (bad_dicom.tomosynthesis, "tomosynthesis"),
    "multi-frame": (bad_dicom.multi_frame, "multi_frame"),
    "colour": (bad_dicom.colour, "unsupported_photometric"),
    "undecodable": (bad_dicom.undecodable, "undecodable"),
    "cut codestream": (bad_dicom.truncated_codestream, "undecodable"),
    "codestream of another size": (bad_dicom.lying_codestream, "pixels_mismatch"),
    "a size that lies": (bad_dicom.lying_rows, "pixels_mismatch"),
    "a length that lies": (bad_dicom.lying_element_length, "truncated"),
    "deflate bomb": (bad_dicom.deflate_bomb, "inflated_too_large"),
    "2,000-deep sequence": (bad_dicom.nested_sequences, "nested_too_deep"),
    "200,000 elements": (bad_dicom.many_elements, "too_many_elements"),
    "unknown transfer syntax": (
        bad_dicom.unknown_transfer_syntax,
        "unsupported_transfer_syntax",
    ),
    "blank": (bad_dicom.blank, "blank_image"),
    "spot compression": (bad_dicom.spot_compression, "non_standard_view"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_that_is_no_usable_mammogram_is_refused_with_its_code(
    service: Live, kind: str
) -> None:
    make, code = REFUSED[kind]
    response = service.classify(files(make()))
    assert response.status_code == 422
    body = problem(response, "no-usable-image")
    assert [item["code"] for item in body["errors"]] == [code]
    assert body["errors"][0]["file"] == "0.dcm"


@pytest.mark.parametrize("kind", REFUSED)
def test_it_does_not_cost_the_good_ones_their_answer(service: Live, kind: str) -> None:
    make, code = REFUSED[kind]
    response = service.classify(files(make(), view()))
    assert response.status_code == 200
    images = response.json()["images"]
    assert [image["status"] for image in images] == ["rejected", "analyzed"]
    assert images[0]["code"] == code


def test_a_nan_window_does_not_matter(service: Live) -> None:
    response = service.classify(files(bad_dicom.nan_window()))
    assert response.status_code == 200
    assert response.json()["images"][0]["status"] == "analyzed"


def test_an_unknown_view_is_analysed_with_a_warning(service: Live) -> None:
    image = service.classify(files(bad_dicom.unknown_view())).json()["images"][0]
    assert (image["status"], image["view"]) == ("analyzed", None)
    assert "view_unknown" in image["warnings"]


def test_a_study_of_nothing_usable_lists_the_code_of_each_file(service: Live) -> None:
    response = service.classify(files(bad_dicom.empty(), bad_dicom.ct(), b"hello" * 100))
    body = problem(response, "no-usable-image")
    assert [(item["file"], item["code"]) for item in body["errors"]] == [
        ("0.dcm", "empty"),
        ("1.dcm", "not_a_mammogram"),
        ("2.dcm", "not_dicom"),
    ]


def test_a_zip_bomb_is_too_large(service: Live) -> None:
    response = service.classify(files(bad_dicom.zip_bomb()))
    assert response.status_code == 413
    assert problem(response, "too-large")["errors"][0]["code"].startswith("archive_")


def test_a_zip_that_climbs_out_is_refused(service: Live) -> None:
    body = problem(service.classify(files(bad_dicom.zip_slip())), "bad-archive")
    assert body["errors"][0]["code"] == "archive_unsafe_name"


def test_a_body_over_the_limit_is_too_large(service: Live) -> None:
    response = service.client.post(
        "/classify", content=b"x" * (17 << 20), headers={"Content-Type": DICOM}
    )
    assert response.status_code == 413
    problem(response, "too-large")


def test_a_file_over_the_limit_is_too_large(service: Live) -> None:
    problem(service.classify(files(b"x" * (9 << 20))), "too-large")


def test_a_body_of_unknown_length_is_cut_at_the_limit(service: Live) -> None:
    chunks = (b"x" * (1 << 20) for _ in range(40))
    response = service.client.post("/classify", content=chunks, headers={"Content-Type": DICOM})
    assert response.status_code == 413


def test_more_files_than_allowed_are_too_many(service: Live) -> None:
    problem(service.classify(files(*[b"x"] * 65)), "too-large")


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "image/png", None])
def test_another_type_of_body_is_unsupported(service: Live, kind: str | None) -> None:
    headers = {"Content-Type": kind} if kind else {}
    response = service.client.post("/classify", content=view(), headers=headers)
    assert response.status_code == 415
    problem(response, "unsupported-media-type")


def test_a_compressed_body_is_unsupported(service: Live) -> None:
    headers = {"Content-Type": DICOM, "Content-Encoding": "gzip"}
    response = service.client.post("/classify", content=b"\x1f\x8b", headers=headers)
    problem(response, "unsupported-media-type")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"--b--"),
        ("multipart/form-data; boundary=b", b"--c--"),
        ("multipart/form-data; boundary=b", b""),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="files"; filename="x"\r\n\r\nabc',
        ),
        ("multipart/related; boundary=b", b"--b\r\n\r\nabc\r\n--b"),
    ],
    ids=["no boundary", "wrong boundary", "empty", "no end", "half an end"],
)
def test_broken_framing_is_malformed(service: Live, kind: str, body: bytes) -> None:
    response = service.client.post("/classify", content=body, headers={"Content-Type": kind})
    assert response.status_code == 400
    problem(response, "malformed-request")


def test_a_caller_that_announces_more_than_it_sends_leaves_nothing(service: Live) -> None:
    import socket

    url = httpx.URL(service.serving.url)
    with socket.create_connection((url.host, url.port or 80)) as connection:
        connection.sendall(
            b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/dicom\r\n"
            b"Content-Length: 100000\r\n\r\n" + b"x" * 50_000
        )
    assert service.classify(four_views()).status_code == 200


def test_an_announced_body_of_4_gb_is_refused_at_once(service: Live) -> None:
    import socket

    url = httpx.URL(service.serving.url)
    with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
        connection.sendall(
            b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/dicom\r\n"
            b"Content-Length: 4294967296\r\n\r\n"
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")
