"""A licence that forbids serving: its model runs on the operator's word, and answers say so."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from service.catalog import Catalog
from service.cli import app
from tests.service.live import Live, files, four_views, live, problem, view
from tests.tiny_model import make_tiny_model

SETTING = "MAMMO_ACCEPT_LICENCE=closed"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`closed` may not be served, `open` may."""
    root = tmp_path_factory.mktemp("licences") / "models"
    make_tiny_model(root, name="closed", serving=False)
    make_tiny_model(root, name="open", seed=1)
    return root


@pytest.fixture(scope="module")
def unaccepted(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service with both, whose operator has accepted nothing."""
    folder = tmp_path_factory.mktemp("unaccepted")
    with live(folder, models=models, default_model="open") as running:
        yield running


@pytest.fixture(scope="module")
def accepted(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service with both, whose operator has accepted the terms of `closed`."""
    folder = tmp_path_factory.mktemp("accepted")
    with live(folder, models=models, accept_licence=("closed",)) as running:
        yield running


def answers(service: Live, model: str) -> list[httpx.Response]:
    """Of each route that runs a model."""
    form = {"model": model}
    report = {**form, "report": "There is a mass."}
    post = service.client.post
    return [
        post("/v1/classify", files=four_views(), data=form),
        post("/v1/embed", files=files(view()), data=form),
        post("/v1/embed", json={"texts": ["a mass"], "model": model}),
        post("/v1/heatmap", files=files(view()), data={**form, "findings": "mass"}),
        post("/v1/ground", files=files(view()), data=report),
    ]


def test_every_answer_says_that_its_model_is_restricted(accepted: Live) -> None:
    for answer in answers(accepted, "closed"):
        used = answer.json()["model"]
        assert (used["licence"], used["restricted"]) == ("No-Serving-1", True)


def test_an_answer_of_an_open_model_says_that_it_is_not(accepted: Live) -> None:
    for answer in answers(accepted, "open"):
        used = answer.json()["model"]
        assert (used["licence"], used["restricted"]) == ("Apache-2.0", False)


def test_a_model_that_is_not_accepted_is_refused_with_the_setting_by_every_route(
    unaccepted: Live,
) -> None:
    for answer in answers(unaccepted, "closed"):
        refused = problem(answer, "licence-not-accepted")
        assert refused["status"] == 403
        assert refused["retryable"] is False
        assert SETTING in refused["detail"]
        assert "mammoserve models show closed/1" in refused["detail"]
    assert all(answer.status_code == 200 for answer in answers(unaccepted, "open"))


def test_the_list_of_models_tells_restricted_from_accepted(
    accepted: Live, unaccepted: Live
) -> None:
    def told(service: Live) -> dict[str, tuple[object, ...]]:
        keys = ("licence", "serving", "accepted", "ready")
        listed = service.client.get("/v1/models").json()["models"]
        return {one["name"]: tuple(one[key] for key in keys) for one in listed}

    assert told(accepted) == {
        "closed": ("No-Serving-1", False, True, True),
        "open": ("Apache-2.0", True, False, True),
    }
    assert told(unaccepted) == {
        "closed": ("No-Serving-1", False, False, False),
        "open": ("Apache-2.0", True, False, True),
    }


def test_the_terms_can_be_read_before_they_are_accepted(unaccepted: Live) -> None:
    manifest = unaccepted.client.get("/v1/models/closed/1").json()
    assert manifest["licence"]["terms"] == "Hosting is prohibited."


def test_a_default_model_that_is_not_accepted_is_why_the_service_is_not_ready(
    models: Path, tmp_path: Path
) -> None:
    with live(tmp_path, models=models, workers=0, ready=False) as running:
        refused = problem(running.client.get("/readyz"), "not-ready")
        (reason,) = refused["errors"]
        assert reason["code"] == "licence_not_accepted"
        assert SETTING in reason["message"]
        assert "read its terms" in reason["message"]
        problem(running.classify(), "licence-not-accepted")


def test_the_start_says_in_one_line_which_models_are_not_served(
    models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.WARNING),
        live(tmp_path, models=models, workers=0, ready=False, default_model="open"),
    ):
        lines = [line for line in caplog.messages if line.startswith("not served: ")]
    (line,) = lines
    assert "closed/1 (No-Serving-1)" in line
    assert SETTING in line


def test_an_accepted_model_is_not_named_as_unserved(
    models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Catalog(models, accepted=("closed",)).log_refused()
    assert caplog.messages == []


def test_the_start_names_in_one_line_what_was_accepted_and_is_no_model(
    models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    accepted = ("closed/1", "*", "Closed", "closed")
    with (
        caplog.at_level(logging.WARNING),
        live(tmp_path, models=models, workers=0, ready=False, accept_licence=accepted),
    ):
        lines = [line for line in caplog.messages if "MAMMO_ACCEPT_LICENCE" in line]
    (line,) = lines
    assert "expected names of models, got '*', 'Closed', 'closed/1'; name each" in line
    assert line.endswith("there are: closed, open")


def test_the_command_line_says_it_below_its_tables(accepted: Live, tmp_path: Path) -> None:
    path = tmp_path / "lcc.dcm"
    path.write_bytes(view())
    for model, told in (("closed", True), ("open", False)):
        words = ["classify", str(path), "--url", accepted.serving.url, "--model", model]
        result = CliRunner().invoke(app, words, env={"COLUMNS": "200", "NO_COLOR": "1"})
        assert result.exit_code == 0, result.output
        assert ("licence, No-Serving-1, forbids serving" in result.stdout) is told


def test_a_worker_on_its_own_says_why_it_serves_nothing(tmp_path: Path) -> None:
    make_tiny_model(tmp_path, name="closed", serving=False)
    result = subprocess.run(
        [sys.executable, "-m", "service", "worker"],
        env={
            **os.environ,
            "MAMMO_MODELS": str(tmp_path),
            "MAMMO_REDIS_URL": "redis://127.0.0.1:1/0",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.count("not served: the licence of closed/1") == 1
    assert SETTING in result.stderr
