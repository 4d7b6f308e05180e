"""A pretraining run small enough for a test: little canvases on disk and their configuration."""

from pathlib import Path

from tests.training.canvas_factory import make_set
from training.config import AugmentConfig, DataSource, ModelConfig, PretrainConfig
from training.data.records import Box, Category

SHAPE = (64, 32)
MASS = {Category.MASS: Box(20, 8, 36, 20)}


def small_run(folder: Path, **changes: object) -> PretrainConfig:
    """Ten breasts in 64 x 32 pixels, Lite0 and one layer of MiniLM on one thread of the CPU."""
    canvases = folder / "set"
    if not canvases.exists():
        make_set(canvases, studies=5, boxes=MASS, shape=SHAPE)
    given: dict[str, object] = {
        "name": "small",
        "seed": 4,
        "threads": 1,
        "recipe": {"height_px": SHAPE[0], "width_px": SHAPE[1]},
        "model": ModelConfig(embedding_size=16, text_layers=1, text_max_tokens=48),
        "data": (DataSource(kind="canvases", table=str(canvases)),),
        "augment": AugmentConfig(),
        "epochs": 2,
        "batch": 2,
        "learning_rate": 1e-3,
        "accelerator": "cpu",
        "workers": 0,
    }
    return PretrainConfig.model_validate(given | changes)


def silent(line: str) -> None:
    """A `Say` that keeps it to itself."""
    del line
