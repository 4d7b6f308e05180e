"""POST /v1/classify with a real queue, a real worker and a tiny real model."""

import base64
import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from service.schemas import StudyResult
from tests import bad_dicom
from tests.service.live import DICOM, Live, files, four_views, problem, service, view

__all__ = ["service"]


def scores(holder: dict[str, Any]) -> dict[str, float]:
    return {finding["name"]: finding["score"] for finding in holder["findings"]}


def test_a_study_is_scored_by_image_by_breast_and_as_a_whole(service: Live) -> None:
    response = service.classify()
    assert response.status_code == 200
    answer = response.json()
    StudyResult.model_validate({**answer, "timing": answer["timing"]})
    views = [(image["file"], image["laterality"], image["view"]) for image in answer["images"]]
    assert views == [
        ("RCC.dcm", "R", "CC"),
        ("LCC.dcm", "L", "CC"),
        ("RMLO.dcm", "R", "MLO"),
        ("LMLO.dcm", "L", "MLO"),
    ]
    assert {image["status"] for image in answer["images"]} == {"analyzed"}
    assert answer["warnings"] == []
    assert "embedding" not in answer["images"][0]
    assert answer["note"] == "Research use only. Not for diagnosis."


def test_a_breast_is_the_mean_of_its_views_and_the_study_the_worse_breast(service: Live) -> None:
    answer = service.classify().json()
    assert answer["aggregation"] == {"views": "mean", "breasts": "max"}
    by_side = {breast["laterality"]: breast for breast in answer["breasts"]}
    assert [breast["laterality"] for breast in answer["breasts"]] == ["R", "L"]
    for side, breast in by_side.items():
        own = [image for image in answer["images"] if image["laterality"] == side]
        assert breast["images"] == 2
        for name, score in scores(breast).items():
            assert score == pytest.approx(np.mean([scores(image)[name] for image in own]))
    for name, score in scores(answer["study"]).items():
        assert score == max(scores(breast)[name] for breast in answer["breasts"])


def test_the_answer_says_what_it_was_made_with(service: Live) -> None:
    answer = service.classify().json()
    manifest = service.client.get("/v1/models/tiny/1").json()
    assert answer["model"]["name"] == "tiny"
    assert answer["model"]["recipe"] == manifest["recipe"]["name"]
    assert len(answer["model"]["digest"]) == len(answer["prompts_digest"]) == 64
    finding = answer["images"][0]["findings"][0]
    assert finding["prompts"]["positive"] == manifest["findings"][0]["positive"]
    assert (finding["calibrated"], finding["threshold"], finding["positive"]) == (False, None, None)


def test_the_time_of_each_stage_is_told_twice(service: Live) -> None:
    response = service.classify()
    timing = response.json()["timing"]
    header = dict(part.split(";dur=") for part in response.headers["server-timing"].split(", "))
    assert list(header) == ["upload", "decode", "queue", "score", "total"]
    assert all(float(ms) == timing[f"{stage}_ms"] for stage, ms in header.items())
    assert timing["total_ms"] >= timing["decode_ms"] > 0


def test_all_forms_of_upload_give_the_same_scores(service: Live) -> None:
    content = view()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("study/1.dcm", content)
    related = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n--b--\r\n"
    post = service.client.post
    answers = [
        service.classify(files(content)),
        service.classify(files(buffer.getvalue())),
        post("/classify", content=content, headers={"Content-Type": DICOM}),
        post("/classify", content=buffer.getvalue(), headers={"Content-Type": "application/zip"}),
        post(
            "/classify",
            content=related,
            headers={"Content-Type": f'multipart/related; type="{DICOM}"; boundary=b'},
        ),
    ]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert len({json.dumps(answer.json()["study"]) for answer in answers}) == 1
    names = [answer.json()["images"][0]["file"] for answer in answers]
    assert names == ["0.dcm", "study/1.dcm", "body", "study/1.dcm", "part 1"]


def test_a_user_may_ask_any_sentence_beside_a_named_finding(service: Live) -> None:
    own = [{"name": "mine", "positive": ["a mass"], "negative": "no mass"}, "there is a mass"]
    answer = service.classify(findings="mass", prompts=json.dumps(own)).json()
    assert list(scores(answer["study"])) == ["mass", "mine", "there is a mass"]


def test_parameters_count_from_the_query_as_from_the_form(service: Live) -> None:
    by_form = service.classify(findings="mass", model="tiny/1").json()
    response = service.client.post(
        "/classify", params={"findings": "mass", "model": "tiny"}, files=four_views()
    )
    assert scores(response.json()["study"]) == scores(by_form["study"])
    assert response.json()["prompts_digest"] == by_form["prompts_digest"]


def test_an_embedding_comes_as_numbers_or_as_base64(service: Live) -> None:
    numbers = service.classify(include="embedding").json()["images"][0]["embedding"]
    coded = service.classify(include="embedding", encoding="base64").json()["images"][0]
    decoded = np.frombuffer(base64.b64decode(coded["embedding"]), dtype="<f4")
    np.testing.assert_array_equal(np.array(numbers, dtype="<f4"), decoded)
    assert np.linalg.norm(decoded) == pytest.approx(1, abs=1e-5)


def test_three_of_four_are_answered_when_one_is_bad(service: Live) -> None:
    study = four_views()
    study[2] = ("files", ("broken.dcm", bad_dicom.truncated()))
    response = service.classify(study)
    assert response.status_code == 200
    answer = response.json()
    statuses = [image["status"] for image in answer["images"]]
    assert statuses == ["analyzed", "analyzed", "rejected", "analyzed"]
    broken = answer["images"][2]
    assert (broken["file"], broken["code"], broken["findings"]) == ("broken.dcm", "truncated", [])
    assert {b["laterality"]: b["images"] for b in answer["breasts"]} == {"R": 1, "L": 2}


def test_images_of_unknown_side_form_a_group_of_their_own(service: Live) -> None:
    unknown = view(ImageLaterality=None, PatientOrientation=None)
    answer = service.classify(files(view("R"), unknown)).json()
    assert [breast["laterality"] for breast in answer["breasts"]] == ["R", None]
    assert answer["images"][1]["warnings"]


def test_images_of_several_studies_are_scored_with_a_warning(service: Live) -> None:
    other = view(seed=9, StudyInstanceUID="1.2.3")
    assert service.classify(files(view(), other)).json()["warnings"] == ["several_studies"]


def test_new_questions_on_known_images_cost_no_pass_of_the_image_model(service: Live) -> None:
    service.classify(four_views(seed=50))
    before = service.metric("mammo_cache_requests_total", kind="image", result="miss")
    answer = service.classify(four_views(seed=50), prompts='["a suspicious calcification"]')
    assert answer.status_code == 200
    assert service.metric("mammo_cache_requests_total", kind="image", result="miss") == before


def test_the_same_pixels_in_another_transfer_syntax_are_known(service: Live) -> None:
    from pydicom.uid import JPEGLSLossless

    from tests.dicom_factory import dicom_bytes, mammogram_dataset

    dataset = mammogram_dataset(rows=256, columns=208, seed=77)
    first = service.classify(files(dicom_bytes(dataset))).json()
    before = service.metric("mammo_cache_requests_total", kind="image", result="miss")
    second = service.classify(files(dicom_bytes(dataset, JPEGLSLossless))).json()
    assert service.metric("mammo_cache_requests_total", kind="image", result="miss") == before
    assert first["study"] == second["study"]


def test_the_same_file_twice_is_answered_twice(service: Live) -> None:
    answer = service.classify(files(view(), view())).json()
    assert scores(answer["images"][0]) == scores(answer["images"][1])


def test_many_studies_at_once_each_get_their_own_scores(service: Live) -> None:
    alone = [scores(service.classify(four_views(seed=s)).json()["study"]) for s in range(200, 208)]
    with ThreadPoolExecutor(8) as pool:
        together = list(
            pool.map(lambda s: service.classify(four_views(seed=s + 1)), range(199, 207))
        )
    assert [scores(answer.json()["study"]) for answer in together] == alone


def test_more_sentences_than_the_queue_holds_are_asked_in_turn(service: Live) -> None:
    prompts = [
        {"name": f"q{i}", "positive": [f"mass {i} {j}" for j in range(8)]} for i in range(30)
    ]
    response = service.classify(files(view()), prompts=json.dumps(prompts))
    assert response.status_code == 200, response.text
    assert len(response.json()["study"]["findings"]) == 30


def test_an_unknown_finding_is_refused_with_the_known_ones(service: Live) -> None:
    body = problem(service.classify(findings="mass,tumour"), "unknown-finding")
    assert body["status"] == 422
    assert "mass, suspicious calcification" in body["detail"]


@pytest.mark.parametrize("model", ["other", "tiny/2", "tiny/", "../tiny", "tiny/1/1", "", "TINY"])
def test_an_unknown_model_is_not_found_and_the_known_are_listed(service: Live, model: str) -> None:
    response = service.classify(model=model)
    body = problem(response, "unknown-model")
    assert response.status_code == 404
    assert "known: tiny" in body["detail"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prompt", "mass"),
        ("deadline", "0.9"),
        ("deadline", "nan"),
        ("deadline", "301"),
        ("deadline", "soon"),
        ("include", "heatmap"),
        ("encoding", "hex"),
        ("prompts", "mass"),
        ("prompts", "[]"),
        ("prompts", '[{"negative": "x"}]'),
        ("prompts", '["a\\u0000b"]'),
        ("prompts", "[" * 5000),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(service: Live, name: str, value: str) -> None:
    response = service.classify(files(view()), **{name: value})
    body = problem(response, "invalid-parameter")
    assert response.status_code == 422
    assert name in body["errors"][0]["parameter"]


def test_an_unknown_parameter_is_refused_with_the_known_ones(service: Live) -> None:
    body = problem(service.classify(prompt="mass"), "invalid-parameter")
    assert "model, findings, prompts, include, encoding, deadline" in body["detail"]


def test_a_single_parameter_given_twice_is_refused(service: Live) -> None:
    response = service.client.post("/classify?model=tiny", files=four_views(), data={"model": "x"})
    problem(response, "invalid-parameter")


def test_a_request_without_files_is_refused(service: Live) -> None:
    response = service.client.post("/classify", files=[("model", (None, b"tiny"))])
    assert problem(response, "invalid-parameter")["errors"][0]["parameter"] == "files"


def test_nothing_is_left_on_the_disk(service: Live) -> None:
    service.classify()
    assert service.files_left() == []
