"""Models, probes, metrics, documents and headers of a running service."""

import re
from pathlib import Path

import pytest

from service.archives import ArchiveCode
from service.errors import PROBLEMS
from service.metrics import Metrics
from tests import bad_dicom
from tests.service.live import Live, files, live, problem, service
from tests.tiny_model import make_tiny_model

__all__ = ["service"]

DOCS = Path(__file__).parents[2] / "docs"


def test_it_is_alive_and_ready(service: Live) -> None:
    assert service.client.get("/livez").json() == {"status": "alive"}
    assert service.client.get("/readyz").json() == {"status": "ready"}


def test_models_are_listed_with_their_findings(service: Live) -> None:
    listed = service.client.get("/v1/models").json()["models"]
    assert listed == [service.client.get("/v1/models/tiny").json()]
    assert listed[0]["findings"] == ["mass", "suspicious calcification"]
    assert (listed[0]["latest"], listed[0]["default"], listed[0]["ready"]) == ("1", True, True)


def test_a_version_shows_its_manifest(service: Live) -> None:
    manifest = service.client.get("/v1/models/tiny/1").json()
    assert manifest["licence"]["serving"] is True
    assert set(manifest["files"]) >= {"image.onnx", "text.onnx"}


@pytest.mark.parametrize("path", ["/v1/models/other", "/v1/models/tiny/9", "/v1/models/../x"])
def test_an_unknown_model_is_not_found(service: Live, path: str) -> None:
    assert service.client.get(path).status_code == 404


def test_the_newest_version_answers_and_an_older_one_by_name_only(tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "models", version="2", seed=1)
    make_tiny_model(tmp_path / "models", version="10", seed=2)
    with live(tmp_path, model={}) as running:
        answer = running.classify()
        assert answer.json()["model"]["version"] == "10"
        problem(running.classify(model="tiny/2"), "no-worker")
        assert running.client.get("/v1/models").json()["models"][0]["versions"] == ["2", "10"]


def test_a_named_default_answers(tmp_path: Path) -> None:
    for name in ("alpha", "beta"):
        make_tiny_model(tmp_path / "models", name=name)
    with live(tmp_path, **{"model": {}}) as running:
        assert running.classify().json()["model"]["name"] == "alpha"
        assert running.classify(model="beta").json()["model"]["name"] == "beta"


def test_metrics_count_images_by_outcome_and_code(service: Live) -> None:
    before = service.metric("mammo_images_total", outcome="rejected", code="not_a_mammogram")
    service.classify(files(bad_dicom.ct()))
    after = service.metric("mammo_images_total", outcome="rejected", code="not_a_mammogram")
    assert after == before + 1
    assert service.metric("mammo_workers", model="tiny/1") == 1
    assert service.metric("mammo_queue_depth", model="tiny/1") == 0


def test_metrics_do_not_grow_with_what_callers_type(service: Live) -> None:
    for path in ("/a", "/b/c", "/v1/models/x1", "/v1/models/x2", "/problems/nothing"):
        service.client.get(path)
    service.client.request("BREW", "/livez")
    text = service.client.get("/metrics").text
    assert 'route="/a"' not in text
    assert "x1" not in text
    assert "BREW" not in text


def test_a_route_that_is_not_there_is_a_problem(service: Live) -> None:
    problem(service.client.get("/nothing"), "not-found")


def test_a_wrong_method_is_a_problem_that_names_the_right_one(service: Live) -> None:
    response = service.client.get("/v1/classify")
    problem(response, "method-not-allowed")
    assert response.headers["allow"] == "POST"


def test_a_request_id_comes_back(service: Live) -> None:
    response = service.client.get("/livez", headers={"X-Request-ID": "abc-1.2_3"})
    assert response.headers["x-request-id"] == "abc-1.2_3"


@pytest.mark.parametrize("given", ["a b", "x" * 65, "a\tb", "<x>", ""])
def test_an_odd_request_id_is_replaced(service: Live, given: str) -> None:
    response = service.client.get("/livez", headers={"X-Request-ID": given})
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["x-request-id"])


@pytest.mark.parametrize("path", ["/livez", "/nothing", "/v1/models", "/docs"])
def test_answers_are_not_stored_and_not_sniffed(service: Live, path: str) -> None:
    headers = service.client.get(path).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers


def test_the_docs_page_loads_nothing_from_elsewhere(service: Live) -> None:
    page = service.client.get("/docs")
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert "<script" not in page.text
    assert "/v1/classify" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_each_type_of_problem_says_what_it_means(service: Live) -> None:
    for slug, kind in PROBLEMS.items():
        body = service.client.get(f"/problems/{slug}").json()
        assert (body["type"], body["status"]) == (f"/problems/{slug}", kind.status)
    problem(service.client.get("/problems/other"), "not-found")


def test_operation_ids_are_stable(service: Live) -> None:
    paths = service.client.get("/openapi.json").json()["paths"]
    ids = {method["operationId"] for path in paths.values() for method in path.values()}
    assert ids == {
        "classify",
        "docs",
        "get_problem_type",
        "livez",
        "metrics",
        "readyz",
        "v1_classify",
        "v1_embed",
        "v1_get_model",
        "v1_get_model_version",
        "v1_ground",
        "v1_heatmap",
        "v1_list_models",
    }


def documented(prefix: str) -> list[list[str]]:
    lines = (DOCS / "problems.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith(f"| `{prefix}")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_every_type_of_problem_is_documented() -> None:
    rows = {row[0].strip("`"): row[1:3] for row in documented("/problems/")}
    assert rows == {
        f"/problems/{slug}": [str(kind.status), "yes" if kind.retryable else "no"]
        for slug, kind in PROBLEMS.items()
    }


def test_every_code_of_an_archive_is_documented() -> None:
    assert [row[0].strip("`") for row in documented("archive_")] == [
        code.value for code in ArchiveCode
    ]


def test_a_model_that_cannot_be_read_hides_neither_the_others_nor_the_metrics(
    tmp_path: Path,
) -> None:
    make_tiny_model(tmp_path / "models")
    bad = tmp_path / "models" / "bad" / "1"
    bad.mkdir(parents=True)
    (bad / "manifest.json").write_text("{")
    with live(tmp_path, model=None, ready=False) as running:
        assert running.client.get("/metrics").status_code == 200
        listed = running.client.get("/v1/models").json()["models"]
        assert [(model["name"], model["default"]) for model in listed] == [("tiny", False)]
        problem(running.client.get("/v1/models/bad"), "no-worker")


def test_every_metric_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    for family in Metrics().registry.collect():
        shown = f"{family.name}_total" if family.type == "counter" else family.name
        assert f"| `{shown}` | {family.type} | {family.documentation}" in page
