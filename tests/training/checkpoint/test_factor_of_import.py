"""Heat maps of an imported checkpoint: `mammoserve-train factor` adds them, towers untouched."""

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from model_store.prompts import questions_for
from model_store.runtime import ModelRuntime
from model_store.store import ModelStore, ModelVersion, sha256_of
from tests.training.checkpoint.published_form import (
    SMALL_CANVAS,
    small_checkpoint,
    small_state,
    small_tokenizer,
)
from tests.training.evaluate.canvases import make_canvases
from training.cli import app

NAME = "mammo-clip-b2"
CONFIG = 'heads = ["mass", "*"]\nhidden = 8\nepochs = 2\nbatch = 4\nimages = 8\nshift = 0\n'
HEADS = ("mass", "*")

pytestmark = pytest.mark.slow


def invoke(*given: object) -> str:
    result = CliRunner().invoke(app, [str(one) for one in given])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1 is the import, version 2 has heat maps."""
    folder = tmp_path_factory.mktemp("factor")
    file, models = folder / "b2-model-best-epoch-10.tar", folder / "models"
    torch.save(small_checkpoint(small_state()), file)
    tokenizer = small_tokenizer(folder / "tokenizer")
    invoke("import", file, "--name", NAME, "--tokenizer", tokenizer, "--store", models)
    make_canvases(folder / "canvases", patients=8, size=SMALL_CANVAS)
    (folder / "factor.toml").write_text(CONFIG)
    learned = [("canvases", folder / "canvases"), ("config", folder / "factor.toml")]
    places = [("store", models), ("work", folder / "work")]
    options = [part for name, path in (*learned, *places) for part in (f"--{name}", path)]
    assert f"published {NAME}/2" in invoke("factor", "--model", NAME, *options)
    return models


@pytest.fixture(scope="module")
def version(store: Path) -> ModelVersion:
    return ModelStore(store).find(NAME, "2")


@pytest.fixture(scope="module")
def runtime(version: ModelVersion) -> ModelRuntime:
    return ModelRuntime.load(version, threads=1, accept_licences=frozenset({NAME}))


def test_the_next_version_has_heads_and_the_towers_of_the_import(
    store: Path, version: ModelVersion, runtime: ModelRuntime
) -> None:
    first = ModelStore(store).find(NAME, "1")
    assert first.manifest.factor is None
    assert runtime.heads == HEADS
    for graph in ("image.onnx", "text.onnx"):
        assert sha256_of(version.file(graph)) == first.manifest.files[graph]
    assert version.manifest.licence == first.manifest.licence
    assert version.manifest.made_by["factor_of"] == first.key


def test_a_question_has_a_heat_map_over_the_whole_canvas(runtime: ModelRuntime) -> None:
    canvas = np.random.default_rng(1).integers(0, 256, SMALL_CANVAS, dtype=np.uint8)
    (question,) = questions_for(runtime.manifest, findings=["mass"], prompts_json=None)
    direction = runtime.embed_texts(question.positive).mean(0, keepdims=True)
    direction /= np.linalg.norm(direction)
    _, maps = runtime.look(canvas, np.repeat(direction, 2, 0), HEADS)
    for heat in maps:
        assert heat.grid.shape == (3, 2)  # a 32nd of the canvas
        assert np.isfinite(heat.grid).all()
        assert heat.grid.max() > 0
