"""POST /v1/heatmap with a real queue, a real worker and a model whose heat is brightness."""

import base64
import json

import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless

from model_store.prompts import Question
from service.errors import InvalidParameter
from service.heat_maps import check_questions
from service.heat_parameters import HeatmapRequest, Wanted
from service.heat_schemas import HeatmapAnswer
from tests import bad_dicom
from tests.dicom_factory import FOUR_VIEWS
from tests.service.bright_study import ask_mass, bright, only_map, overlap, service, square
from tests.service.live import DICOM, Live, files, live, problem, view

__all__ = ["service"]

MARKER = square(0.6, 0.25)
WANTED = Wanted(grid=False, overlay=False, encoding="float", boxes_always=False)


@pytest.mark.parametrize("laterality", ["L", "R"])
@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize("place", [(0.4, 0.4), (0.6, 0.25), (0.5, 0.6)])
def test_the_box_lands_on_the_lesion_in_stored_pixels(
    service: Live, laterality: str, photometric: str, place: tuple[float, float]
) -> None:
    marker = square(*place, laterality=laterality)
    content = bright(marker, laterality=laterality, photometric=photometric)
    found = only_map(ask_mass(service, files(content)))
    assert found["present"]
    assert found["score"] > 0.9
    (box,) = found["boxes"]
    assert overlap(box["pixels"], marker) > 0.75
    assert box["heat"] == pytest.approx(1, abs=0.05)
    edges = ("left_column", "top_row", "right_column", "bottom_row")
    in_mm = [box["mm"][f"{edge.partition('_')[0]}_mm"] for edge in edges]
    assert in_mm == pytest.approx([box["pixels"][edge] * 0.1 for edge in edges], abs=0.01)


def test_a_negative_image_yields_no_boxes_and_is_said_to_be_negative(service: Live) -> None:
    found = only_map(ask_mass(service, files(bright(None))))
    assert (found["present"], found["boxes"]) == (False, [])
    assert found["score"] < 0.1


def test_boxes_of_a_negative_image_come_where_they_are_asked_for(service: Live) -> None:
    found = only_map(ask_mass(service, files(bright(square(0.5, 0.3, side=24))), boxes="always"))
    assert not found["present"]
    assert len(found["boxes"]) == 1


def test_the_grid_covers_the_region_it_names_and_is_hottest_on_the_lesion(service: Live) -> None:
    found = only_map(ask_mass(service, files(bright(MARKER))))
    grid = found["grid"]
    values = np.array(grid["values"])
    assert values.shape == (grid["rows"], grid["columns"]) == (32, 24)
    assert (values.max(), values.min()) == (1, 0)
    row, column = np.unravel_index(values.argmax(), values.shape)
    region = grid["region"]
    height = (region["bottom_row"] - region["top_row"]) / 32
    width = (region["right_column"] - region["left_column"]) / 24
    top, left, bottom, right = MARKER
    assert top < region["top_row"] + (row + 0.5) * height < bottom
    assert left < region["left_column"] + (column + 0.5) * width < right


def test_the_grid_as_base64_is_the_same_grid(service: Live) -> None:
    numbers = only_map(ask_mass(service, files(bright(MARKER))))["grid"]["values"]
    packed = only_map(ask_mass(service, files(bright(MARKER)), encoding="base64"))["grid"]["values"]
    found = np.frombuffer(base64.b64decode(packed), "<f4").reshape(32, 24)
    np.testing.assert_allclose(found, numbers, atol=1e-4)


def test_channels_are_named_with_their_weights_best_first(service: Live) -> None:
    channels = only_map(ask_mass(service, files(bright(MARKER))))["channels"]
    assert len(channels) == 3
    assert [one["weight"] for one in channels] == [1, 1, 1]
    similarities = [one["similarity"] for one in channels]
    assert similarities == sorted(similarities, reverse=True)


def test_scores_are_those_of_classify(service: Live) -> None:
    sent = files(bright(MARKER), bright(None))
    prompts = '["there is a mass", {"name": "b", "positive": ["a", "mass"], "negative": "no"}]'
    heat = ask_mass(service, sent, prompts=prompts).json()
    classified = service.classify(sent, findings="mass", prompts=prompts).json()
    assert heat["prompts_digest"] == classified["prompts_digest"]
    for one, other in zip(heat["images"], classified["images"], strict=True):
        for row, known in zip(one["heat_maps"], other["findings"], strict=True):
            assert row["score"] == pytest.approx(known["score"], abs=1e-6)
            assert {key: row[key] for key in known if key != "score"} == {
                key: value for key, value in known.items() if key != "score"
            }


def test_a_finding_has_its_own_head_and_a_sentence_the_one_for_all(service: Live) -> None:
    answer = ask_mass(service, files(bright(MARKER)), prompts='["a bright mass"]').json()
    assert [row["head"] for row in answer["images"][0]["heat_maps"]] == ["mass", "*"]


def test_a_study_is_answered_image_by_image_and_checked_by_its_schema(service: Live) -> None:
    sent = files(
        *[
            bright(square(0.4, 0.4, laterality=side), laterality=side, view=view, seed=3)
            for side, view in FOUR_VIEWS
        ],
        bad_dicom.ct(),
    )
    answer = service.client.post("/v1/heatmap", files=sent).json()
    HeatmapAnswer.model_validate(answer)
    assert [(image["laterality"], image["view"]) for image in answer["images"][:4]] == [*FOUR_VIEWS]
    assert [len(image["heat_maps"]) for image in answer["images"]] == [2, 2, 2, 2, 0]
    assert answer["images"][4]["code"] == "not_a_mammogram"
    assert answer["note"] == "Research use only. Not for diagnosis."


def test_spacing_that_is_not_known_leaves_millimetres_out(service: Live) -> None:
    content = bright(MARKER, ImagerPixelSpacing=None)
    assert only_map(ask_mass(service, files(content)))["boxes"][0]["mm"] is None


def test_magnification_is_taken_out_of_millimetres(service: Live) -> None:
    content = bright(MARKER, EstimatedRadiographicMagnificationFactor="2.0")
    box = only_map(ask_mass(service, files(content)))["boxes"][0]
    assert box["mm"]["top_mm"] == pytest.approx(box["pixels"]["top_row"] * 0.05, abs=0.01)


def test_the_same_question_again_costs_no_pass_in_whatever_transfer_syntax(service: Live) -> None:
    sent = ask_mass(service, files(bright(MARKER, seed=9)))
    before = service.metric("mammo_cache_requests_total", kind="heat", result="miss")
    again = ask_mass(service, files(bright(MARKER, seed=9, syntax=JPEG2000Lossless)))
    assert only_map(again) == only_map(sent)
    assert service.metric("mammo_cache_requests_total", kind="heat", result="miss") == before


def test_the_workers_count_what_they_looked_at(service: Live) -> None:
    ask_mass(service, files(bright(MARKER, seed=77)))
    assert service.metric("mammo_worker_heat_images", model="bright/1") > 0


def test_one_dicom_body_is_answered_too(service: Live) -> None:
    response = service.client.post(
        "/v1/heatmap?findings=mass&include=none",
        content=bright(MARKER),
        headers={"Content-Type": DICOM},
    )
    found = only_map(response)
    assert (found["grid"], found["overlay"]) == (None, None)
    assert found["boxes"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("include", "heat"),
        ("include", "none,grid"),
        ("boxes", "some"),
        ("encoding", "hex"),
        ("deadline", "0"),
        ("prompts", "mass"),
        ("report", "A mass."),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(service: Live, name: str, value: str) -> None:
    body = problem(ask_mass(service, files(bright(None)), **{name: value}), "invalid-parameter")
    assert name in body["errors"][0]["parameter"]


@pytest.mark.parametrize(
    ("findings", "own", "said"),
    [({}, 33, "got 33 prompts;"), ({"findings": "mass"}, 32, "got 1 finding and 32 prompts;")],
)
def test_more_questions_than_a_request_may_ask_are_refused_in_words_of_what_came(
    service: Live, findings: dict[str, str], own: int, said: str
) -> None:
    prompts = json.dumps([f"mass {number}" for number in range(own)])
    response = service.client.post(
        "/v1/heatmap", files=files(bright(None)), data={"prompts": prompts, **findings}
    )
    body = problem(response, "invalid-parameter")
    assert body["errors"][0]["parameter"] == "prompts"
    assert "at most 32" in body["detail"]
    assert said in body["detail"]
    assert "name" not in body["detail"]


@pytest.mark.parametrize(
    ("named", "said"), [(None, "got all 33 findings of the model"), (("mass",), "got 33 findings;")]
)
def test_more_findings_than_a_request_may_ask_are_refused_in_words_of_what_came(
    named: tuple[str, ...] | None, said: str
) -> None:
    questions = [Question(str(n), ("a",), ("b",), is_finding=True) for n in range(33)]
    request = HeatmapRequest(deadline_s=1, wanted=WANTED, findings=named)
    with pytest.raises(InvalidParameter, match=said) as refused:
        check_questions(questions, request)
    assert refused.value.errors[0].parameter == "findings"


@pytest.mark.parametrize(("include", "images"), [("overlay", 4), ("grid", 13)])
def test_more_pictures_than_an_answer_holds_are_refused_before_any_work(
    service: Live, include: str, images: int
) -> None:
    prompts = json.dumps([f"mass {number}" for number in range(10)])
    response = service.client.post(
        "/v1/heatmap",
        files=files(*[b"not even DICOM"] * images),
        data={"prompts": prompts, "include": include},
    )
    body = problem(response, "invalid-parameter")
    assert body["errors"][0]["parameter"] == "include"


def test_no_file_is_refused(service: Live) -> None:
    response = service.client.post("/v1/heatmap", files=[("model", (None, b"bright"))])
    assert problem(response, "invalid-parameter")["errors"][0]["parameter"] == "files"


def test_an_unknown_finding_is_refused_with_the_known_ones(service: Live) -> None:
    body = problem(ask_mass(service, files(bright(None)), findings="tumour"), "unknown-finding")
    assert "mass" in body["detail"]


def test_nothing_is_left_on_the_disk(service: Live) -> None:
    ask_mass(service, files(bright(MARKER)))
    assert service.files_left() == []


def test_a_model_without_heat_maps_is_told_with_those_that_have_them(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    from tests.tiny_model import make_tiny_model

    folder = tmp_path_factory.mktemp("without")
    make_tiny_model(folder / "models", name="plain", factor=False)
    make_tiny_model(folder / "models", name="tiny")
    with live(folder, model={}, workers=0, ready=False) as running:
        body = problem(ask_mass(running, files(view())), "no-heat-maps")
        assert (body["status"], body["retryable"]) == (422, False)
        assert "plain/1" in body["detail"]
        assert "tiny/1" in body["detail"]
        heads = {
            one["name"]: one["heads"] for one in running.client.get("/v1/models").json()["models"]
        }
        assert heads == {"plain": [], "tiny": ["mass", "*"]}
