"""POST /v1/embed: vectors of images and of sentences."""

import base64
import json

import numpy as np
import pytest

from model_store.runtime import ModelRuntime
from model_store.store import ModelStore
from tests import bad_dicom
from tests.service.live import Live, files, problem, service, view

__all__ = ["service"]


def unit(vector: list[float]) -> None:
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_images_and_sentences_of_a_form_get_their_vectors(service: Live) -> None:
    parts = [*files(view()), ("texts", (None, b"a mass")), ("texts", (None, b"no mass"))]
    answer = service.client.post("/v1/embed", files=parts).json()
    unit(answer["images"][0]["embedding"])
    assert [row["text"] for row in answer["texts"]] == ["a mass", "no mass"]
    for row in answer["texts"]:
        unit(row["embedding"])


def test_sentences_come_as_json_too(service: Live) -> None:
    body = {"texts": ["there is a mass", "there is a mass"], "model": "tiny", "deadline": 5}
    answer = service.client.post("/v1/embed", json=body).json()
    assert answer["images"] == []
    assert answer["texts"][0] == answer["texts"][1]


def test_vectors_are_those_of_the_model(service: Live) -> None:
    answer = service.client.post("/v1/embed", json={"texts": ["there is a mass"]}).json()
    version = ModelStore(service.settings.models).find("tiny")
    expected = ModelRuntime.load(version, threads=1).embed_texts(["there is a mass"])[0]
    np.testing.assert_allclose(answer["texts"][0]["embedding"], expected, atol=1e-6)


def test_base64_holds_the_same_numbers(service: Live) -> None:
    body = {"texts": ["a mass"]}
    numbers = service.client.post("/v1/embed", json=body).json()["texts"][0]["embedding"]
    coded = service.client.post("/v1/embed", json={**body, "encoding": "base64"}).json()
    decoded = np.frombuffer(base64.b64decode(coded["texts"][0]["embedding"]), dtype="<f4")
    np.testing.assert_array_equal(np.array(numbers, dtype="<f4"), decoded)


def test_two_ways_to_write_an_accent_are_one_sentence(service: Live) -> None:
    answer = service.client.post("/v1/embed", json={"texts": ["caf\u00e9", "cafe\u0301"]}).json()
    assert answer["texts"][0] == answer["texts"][1]


def test_a_bad_image_beside_a_sentence_is_told_by_its_code(service: Live) -> None:
    parts = [*files(bad_dicom.ct()), ("texts", (None, b"a mass"))]
    answer = service.client.post("/v1/embed", files=parts).json()
    assert answer["images"][0]["code"] == "not_a_mammogram"
    assert len(answer["texts"]) == 1


def test_bad_images_alone_are_refused(service: Live) -> None:
    response = service.client.post("/v1/embed", files=files(bad_dicom.ct()))
    problem(response, "no-usable-image")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"texts": []},
        {"texts": [""]},
        {"texts": ["x" * 513]},
        {"texts": ["a\u0000b"]},
        {"texts": ["x"] * 65},
        {"texts": [None]},
        {"\ud800": [None]},
        {"texts": [True]},
        {"texts": [["x"]]},
        {"texts": ["x"], "findings": "mass"},
        {"texts": ["x"], "encoding": "hex"},
    ],
)
def test_sentences_that_cannot_be_embedded_are_refused(
    service: Live, body: dict[str, object]
) -> None:
    response = service.client.post(  # json.dumps escapes a lone surrogate, which httpx cannot
        "/v1/embed", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 422
    problem(response, "invalid-parameter")


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b'"x"', b"\xff", b"[" * 100_000])
def test_json_that_is_none_is_malformed(service: Live, body: bytes) -> None:
    response = service.client.post(
        "/v1/embed", content=body, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 400
    problem(response, "malformed-request")


def test_json_over_a_megabyte_is_too_large(service: Live) -> None:
    response = service.client.post("/v1/embed", json={"texts": ["x" * (2 << 20)]})
    problem(response, "too-large")
