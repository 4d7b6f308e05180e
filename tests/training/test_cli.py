"""The commands, as a person would type them."""

from pathlib import Path

from typer.testing import CliRunner

from model_store.dicom_input import read_mammogram
from tests.tiny_model import make_tiny_model
from training.cli import app

runner = CliRunner()
MEASURE = ["evaluate", "zero-shot", "--model", "tiny", "--studies", "3"]


def test_phantoms_are_written_as_dicom(tmp_path: Path) -> None:
    result = runner.invoke(app, ["phantom", str(tmp_path / "out"), "--studies", "1", "--seed", "5"])
    assert result.exit_code == 0, result.output
    files = sorted(path.name for path in (tmp_path / "out" / "0000").iterdir())
    assert files == ["L_CC.dcm", "L_MLO.dcm", "R_CC.dcm", "R_MLO.dcm", "truth.json"]
    read = read_mammogram((tmp_path / "out" / "0000" / "R_CC.dcm").read_bytes())
    assert read.pixels.shape == (2294, 1914)


def test_a_model_is_measured_with_an_interval_and_its_n(tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "models", height=304, width=192)
    result = runner.invoke(
        app,
        [*MEASURE, "--seed", "10", "--store", f"{tmp_path}/models", "--work", f"{tmp_path}/work"],
    )
    assert result.exit_code == 0, result.output
    assert "zero-shot AUC, mass, image: 0." in result.output
    assert "n 12" in result.output
    assert "n 6" in result.output  # breasts


def test_too_few_studies_for_a_figure_are_a_usage_error(tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "models", height=304, width=192)
    result = runner.invoke(
        app,
        [*MEASURE, "--seed", "9", "--store", f"{tmp_path}/models", "--work", f"{tmp_path}/work"],
    )
    assert result.exit_code == 2
    assert "positive and negative cases" in result.output


def test_a_version_that_exists_is_refused_before_any_training(tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "models", name="mammo-demo", version="1")
    result = runner.invoke(
        app, ["demo", "--store", f"{tmp_path}/models", "--work", f"{tmp_path}/work"]
    )
    assert result.exit_code == 2
    assert "published already" in result.output
    assert not (tmp_path / "work").exists()


def test_an_unknown_model_is_a_usage_error_that_lists_the_known(tmp_path: Path) -> None:
    make_tiny_model(tmp_path)
    result = runner.invoke(
        app, ["evaluate", "zero-shot", "--model", "other", "--store", str(tmp_path)]
    )
    assert result.exit_code == 2
    assert "tiny" in result.output
