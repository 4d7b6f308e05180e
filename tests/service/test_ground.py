"""POST /v1/ground: a report comes apart, and each sentence is found in each image."""

import json
from typing import Any

import httpx
import pytest

from service.heat_schemas import GroundAnswer
from tests import bad_dicom
from tests.service.bright_study import bright, overlap, service, square
from tests.service.live import DICOM, Files, Live, files, problem

__all__ = ["service"]

MARKER = square(0.4, 0.4)
REPORT = """COMPARISON: none.
FINDINGS: There is a mass of 1.5 cm, e.g. a cyst, seen by Dr. Smith. No calcification
in the other breast.
- the skin is normal
IMPRESSION: a mass."""


def ground(
    service: Live, report: str | None = REPORT, sent: Files | None = None, **fields: Any
) -> httpx.Response:
    data = fields if report is None else {"report": report, **fields}
    return service.client.post("/v1/ground", files=sent or study(), data=data)


def study() -> Files:
    return files(bright(None, laterality="R"), bright(MARKER))


def sentences(response: httpx.Response) -> list[tuple[str | None, str]]:
    assert response.status_code == 200, response.text
    return [(one["section"], one["text"]) for one in response.json()["sentences"]]


def test_a_report_is_grounded_sentence_by_sentence(service: Live) -> None:
    response = ground(service)
    assert sentences(response) == [
        ("comparison", "none."),
        ("findings", "There is a mass of 1.5 cm, e.g. a cyst, seen by Dr. Smith."),
        ("findings", "No calcification in the other breast."),
        ("findings", "the skin is normal"),
        ("impression", "a mass."),
    ]
    answer = response.json()
    GroundAnswer.model_validate(answer)
    assert answer["negative"] == ["normal breast"]
    for sentence in answer["sentences"]:
        assert [one["image"] for one in sentence["images"]] == [0, 1]


def test_a_sentence_names_its_best_image_and_its_place_in_it(service: Live) -> None:
    answer = ground(service).json()
    mass = answer["sentences"][4]
    assert mass["best_image"] == 1
    negative, positive = mass["images"]
    assert (negative["present"], negative["boxes"]) == (False, [])
    assert positive["score"] > 0.9 > negative["score"]
    assert overlap(positive["boxes"][0]["pixels"], MARKER) > 0.75


def test_grids_and_overlays_come_where_they_are_asked_for(service: Live) -> None:
    plain = ground(service, "A mass.").json()["sentences"][0]["images"][1]
    assert (plain["grid"], plain["overlay"]) == (None, None)
    both = ground(service, "A mass.", include="grid,overlay").json()["sentences"][0]["images"][1]
    assert both["grid"]["rows"] == 32
    assert both["overlay"]["width_px"] > 100


def test_sections_may_come_as_json(service: Live) -> None:
    report = json.dumps({"impression": "A mass.", "findings": "No mass. It is normal."})
    assert sentences(ground(service, report)) == [
        ("findings", "No mass."),
        ("findings", "It is normal."),
        ("impression", "A mass."),
    ]


def test_a_sentence_that_comes_twice_is_answered_twice(service: Live) -> None:
    found = ground(service, "A mass. A mass.").json()["sentences"]
    assert found[0] == found[1]


def test_one_bad_file_does_not_cost_the_others_their_answer(service: Live) -> None:
    answer = ground(service, "A mass.", files(bad_dicom.ct(), bright(MARKER))).json()
    assert [image["status"] for image in answer["images"]] == ["rejected", "analyzed"]
    (sentence,) = answer["sentences"]
    assert [one["image"] for one in sentence["images"]] == [1]
    assert sentence["best_image"] == 1


def test_a_study_of_nothing_usable_is_refused(service: Live) -> None:
    problem(ground(service, sent=files(bad_dicom.ct())), "no-usable-image")


@pytest.mark.parametrize(
    ("report", "said"),
    [
        ("A mass. " * 33, "at most 32 sentences, got 33"),
        ("a" * 20_001, "at most 20000 characters, got 20001"),
        ("mass " * 103 + ".", "sentence 1: expected a sentence of 1 to 512 characters, got 516"),
        ("Fine. A\x00mass.", "sentence 2: expected text without control characters, got U+0000"),
        ("", "it holds no sentence"),
        ("1. 2. 3.", "it holds no sentence"),
        ('{"findings": ""}', "it holds no sentence"),
        ("{}", "it holds no sentence"),
        ('{"conclusion": "A mass."}', "findings"),
        ('{"findings": 1}', "findings"),
        ("{" * 5000, "findings"),
        (None, "send the text of the report as a form field"),
    ],
    ids=range(12),
)
def test_a_report_that_cannot_be_used_is_refused_with_the_reason(
    service: Live, report: str | None, said: str
) -> None:
    body = problem(ground(service, report), "invalid-parameter")
    assert said in body["detail"]
    assert body["errors"][0]["parameter"] == "report"


def test_no_refusal_quotes_the_report(service: Live) -> None:
    for report in ("SECRET " * 3000, "SECRET. " * 40, "SECRET\x01.", '{"SECRET": 1}'):
        assert "SECRET" not in ground(service, report).text


def test_a_report_in_the_address_is_refused_before_anything(service: Live) -> None:
    response = service.client.post("/v1/ground?report=a+mass", files=study())
    assert "addresses are logged" in problem(response, "invalid-parameter")["detail"]


def test_a_body_that_cannot_hold_a_report_is_refused(service: Live) -> None:
    response = service.client.post(
        "/v1/ground", content=bright(None), headers={"Content-Type": DICOM}
    )
    assert problem(response, "invalid-parameter")["errors"][0]["parameter"] == "report"


def test_questions_of_other_routes_are_unknown_here(service: Live) -> None:
    assert (
        "model, report" in problem(ground(service, findings="mass"), "invalid-parameter")["detail"]
    )
