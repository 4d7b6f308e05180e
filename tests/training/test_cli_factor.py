"""`mammoserve-train factor`, from a published version to its next one."""

from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner, Result

from model_store.runtime import ModelRuntime
from model_store.store import ModelStore
from tests.tiny_model import make_tiny_model
from tests.training.evaluate.canvases import make_canvases
from training.cli_factor import app

CONFIG = 'heads = ["mass"]\nhidden = 8\nepochs = 1\nbatch = 4\nimages = 8\nshift = 1\n'


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def _run(folder: Path, *options: str, config: str = CONFIG) -> Result:
    (folder / "factor.toml").write_text(config)
    places = ["--work", str(folder / "work"), "--store", str(folder / "models")]
    configured = ["--config", str(folder / "factor.toml")]
    return CliRunner().invoke(app, [*places, *configured, *options])


def test_a_version_without_factor_becomes_one_with_it(tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "models", factor=False)
    canvases = make_canvases(tmp_path / "canvases", patients=8)
    result = _run(tmp_path, "--model", "tiny", "--canvases", str(canvases.folder))
    assert result.exit_code == 0, result.output
    assert "published tiny/2" in result.output
    made = ModelStore(tmp_path / "models").find("tiny", "2")
    assert ModelRuntime.load(made, threads=1).heads == ("mass",)


@pytest.mark.parametrize(
    ("options", "config", "message"),
    [
        (["--model", "other"], CONFIG, "other"),
        (["--model", "tiny", "--canvases", "no-such-folder"], CONFIG, "index.jsonl"),
        (["--model", "tiny"], "layers = 3\n", "layers"),
    ],
)
def test_what_cannot_be_used_is_told_in_words(
    tmp_path: Path, options: list[str], config: str, message: str
) -> None:
    make_tiny_model(tmp_path / "models", factor=False)
    result = _run(tmp_path, *options, config=config)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


def test_it_can_be_mounted_beside_other_commands() -> None:
    whole = typer.Typer()
    whole.add_typer(app)
    assert "factor" in CliRunner().invoke(whole, ["--help"]).output
