"""The commands, as a person would type them."""

from pathlib import Path

from typer.testing import CliRunner

from model_store.dicom_input import read_mammogram
from tests.tiny_model import make_tiny_model
from training.cli import app

runner = CliRunner()


def test_phantoms_are_written_as_dicom(tmp_path: Path) -> None:
    result = runner.invoke(app, ["phantom", str(tmp_path / "out"), "--studies", "1", "--seed", "5"])
    assert result.exit_code == 0, result.output
    files = sorted(path.name for path in (tmp_path / "out" / "0000").iterdir())
    assert files == ["L_CC.dcm", "L_MLO.dcm", "R_CC.dcm", "R_MLO.dcm", "truth.json"]
    read = read_mammogram((tmp_path / "out" / "0000" / "R_CC.dcm").read_bytes())
    assert read.pixels.shape == (2294, 1914)


def test_a_version_that_exists_is_refused_before_any_training(tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "models", name="mammo-demo", version="2")
    result = runner.invoke(
        app, ["demo", "--store", f"{tmp_path}/models", "--work", f"{tmp_path}/work"]
    )
    assert result.exit_code == 2
    assert "published already" in result.output
    assert not (tmp_path / "work").exists()
