"""`mammoserve-train pretrain`, as a person would type it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.training.canvas_factory import make_set
from tests.training.pretrain_factory import MASS, SHAPE
from training.alone import alone_in
from training.cli import app

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Lightning's
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

runner = CliRunner()
CONFIG = """
name = "small"
epochs = 1
batch = 2
learning_rate = 1e-3
threads = 1
workers = 0
positives = "facts"
recipe = {{ height_px = 64, width_px = 32 }}
model = {{ embedding_size = 16, text_layers = 1, text_max_tokens = 48 }}

[[data]]
kind = "canvases"
table = "{folder}/set"

[[data]]
kind = "phantom"
studies = 1
weight = 4
"""


def written(folder: Path, text: str = CONFIG) -> Path:
    make_set(folder / "set", studies=2, boxes=MASS, shape=SHAPE)
    path = folder / "small.toml"
    path.write_text(text.format(folder=folder))
    return path


def test_canvases_are_prepared_and_a_run_of_two_sources_goes_to_its_end(tmp_path: Path) -> None:
    config, work = written(tmp_path), tmp_path / "work"
    made = runner.invoke(app, ["pretrain", str(config), "--work", str(work), "--prepare"])
    assert made.exit_code == 0, made.output
    assert "phantom: 4 canvases in" in made.output
    assert not (work / "model.pt").exists()
    run = runner.invoke(app, ["pretrain", str(config), "--work", str(work)])
    assert run.exit_code == 0, run.output
    assert "canvases: 4 breasts to train on" in run.output
    assert "phantom: 2 breasts to train on" in run.output
    assert "pretrain: epoch 1/1, loss " in run.output
    assert "images/s" in run.output
    assert (work / "model.pt").exists()
    assert list((work / "tensorboard").glob("events.*"))


def test_a_wrong_key_is_a_usage_error_that_names_it(tmp_path: Path) -> None:
    config = written(tmp_path, CONFIG.replace("epochs", "epoch"))
    result = runner.invoke(app, ["pretrain", str(config), "--work", str(tmp_path / "work")])
    assert result.exit_code == 2
    assert "epoch" in result.output
    assert not (tmp_path / "work").exists()


def test_an_unknown_configuration_is_a_usage_error_that_lists_ours(tmp_path: Path) -> None:
    result = runner.invoke(app, ["pretrain", "mammo_clip_b7", "--work", str(tmp_path / "work")])
    assert result.exit_code == 2
    assert "mammo_clip_b5_vindr" in result.output.replace("\n", "")
    assert "demo" not in result.output


def test_a_folder_in_use_is_a_usage_error(tmp_path: Path) -> None:
    config, work = written(tmp_path), tmp_path / "work"
    with alone_in(work):
        for more in ([], ["--prepare"]):
            result = runner.invoke(app, ["pretrain", str(config), "--work", str(work), *more])
            assert result.exit_code == 2
            assert "another run is at work" in result.output
    assert sorted(path.name for path in work.iterdir()) == [".lock"]
