"""`mammoserve heatmap` and `mammoserve ground`: pictures, answers, tables and exit codes."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from service.cli import app
from tests import bad_dicom
from tests.bright_model import make_bright_model
from tests.service.bright_study import bright, service, square
from tests.service.live import Live

__all__ = ["service"]

runner = CliRunner(env={"COLUMNS": "200"})
MARKER = square(0.4, 0.4)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "left.dcm").write_bytes(bright(MARKER))
    (folder / "right.dcm").write_bytes(bright(None, laterality="R"))
    return folder


def test_heatmap_writes_a_picture_a_question_and_an_answer_an_image(
    service: Live, study: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ["heatmap", str(study), "--out", str(out), "--url", service.serving.url]
    result = runner.invoke(app, [*arguments, "--prompt", "a mass", "--prompt", "no mass?"])
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == [
        "left.dcm.a-mass.png",
        "left.dcm.json",
        "left.dcm.no-mass.png",
        "right.dcm.a-mass.png",
        "right.dcm.json",
        "right.dcm.no-mass.png",
    ]
    said = json.loads((out / "left.dcm.json").read_text())
    (mass, _) = said["images"][0]["heat_maps"]
    assert mass["boxes"]
    assert mass["overlay"]["file"] == "left.dcm.a-mass.png"
    drawn = np.asarray(Image.open(out / mass["overlay"]["file"]))
    assert drawn.shape[:2] == (mass["overlay"]["height_px"], mass["overlay"]["width_px"])
    for words in ("left.dcm", "a mass", "yes"):
        assert words in result.output


def test_heatmap_overwrites_nothing(service: Live, study: Path, tmp_path: Path) -> None:
    arguments = ["heatmap", str(study / "left.dcm"), "--out", str(tmp_path / "out")]
    for _ in range(2):
        result = runner.invoke(
            app, [*arguments, "--findings", "mass", "--url", service.serving.url]
        )
        assert result.exit_code == 0, result.output
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [
        "left.dcm-2.json",
        "left.dcm-2.mass.png",
        "left.dcm.json",
        "left.dcm.mass.png",
    ]


def test_a_file_that_is_refused_costs_the_others_nothing_but_the_exit_code(
    service: Live, study: Path, tmp_path: Path
) -> None:
    (study / "ct.dcm").write_bytes(bad_dicom.ct())
    out = tmp_path / "out"
    arguments = ["heatmap", str(study), "--out", str(out), "--findings", "mass"]
    result = runner.invoke(app, [*arguments, "--url", service.serving.url])
    assert result.exit_code == 1
    assert "not_a_mammogram" in result.output
    assert len(list(out.glob("*.json"))) == 2


def test_heatmap_starts_a_service_of_its_own(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bright_model(tmp_path / "models")
    for name, value in (("MODELS", str(tmp_path / "models")), ("DECODE_PROCESSES", "1")):
        monkeypatch.setenv(f"MAMMO_{name}", value)
    out = tmp_path / "out"
    arguments = ["heatmap", str(study / "left.dcm"), "--out", str(out), "--findings", "mass"]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert (out / "left.dcm.json").exists()


def test_a_folder_that_cannot_be_made_is_told(service: Live, study: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    out = str(tmp_path / "file" / "out")
    result = runner.invoke(app, ["heatmap", str(study), "--out", out, "--url", service.serving.url])
    assert result.exit_code == 1
    assert "cannot be written" in result.output


def test_ground_prints_each_sentence_with_its_best_image(
    service: Live, study: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report.txt"
    report.write_text("FINDINGS: There is a mass. IMPRESSION: normal.")
    arguments = ["ground", str(study), "--report", str(report), "--url", service.serving.url]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    (line,) = (one for one in result.output.splitlines() if "There is a mass." in one)
    assert "left.dcm" in line
    assert "yes" in line
    assert "rank the images" in result.output


def test_ground_reads_standard_input_and_prints_json(service: Live, study: Path) -> None:
    arguments = ["ground", str(study), "--report", "-", "--json", "--url", service.serving.url]
    result = runner.invoke(app, arguments, input="A mass.\n")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert [image["file"] for image in answer["images"]] == ["left.dcm", "right.dcm"]
    assert answer["sentences"][0]["best_image"] == 0


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_report_that_cannot_be_read_is_told(
    service: Live, study: Path, tmp_path: Path, content: bytes | None
) -> None:
    report = tmp_path / "report.txt"
    if content is not None:
        report.write_bytes(content)
    arguments = ["ground", str(study), "--report", str(report), "--url", service.serving.url]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 1
    assert "cannot be read" in result.output


def test_a_byte_order_mark_is_no_part_of_a_report(
    service: Live, study: Path, tmp_path: Path
) -> None:
    content = "FINDINGS: A mass.".encode("utf-8-sig")
    report = tmp_path / "report.txt"
    report.write_bytes(content)
    arguments = ["ground", str(study), "--json", "--url", service.serving.url]
    for named, typed in ((str(report), None), ("-", content)):
        result = runner.invoke(app, [*arguments, "--report", named], input=typed)
        assert result.exit_code == 0, result.output
        (sentence,) = json.loads(result.stdout)["sentences"]
        assert (sentence["section"], sentence["text"]) == ("findings", "A mass.")


def test_ground_says_which_sentence_was_too_long(
    service: Live, study: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report.txt"
    report.write_text("mass " * 110 + ". Normal.")
    arguments = ["ground", str(study), "--report", str(report), "--url", service.serving.url]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "too_long" in result.output
    assert "Normal." in result.output


def test_a_refusal_is_told(service: Live, study: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.txt"
    report.write_text("A mass. " * 129)
    arguments = ["ground", str(study), "--report", str(report), "--url", service.serving.url]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 1
    assert "at most 128 sentences" in result.output
