"""A tiny model that means something: its heat is brightness, and "a mass" is anything bright.

The graphs are those of tiny_model with other weights. Feature channels 0 to 6 fire where the canvas
is nearly white, channel 7 a little everywhere; the embedding weighs the first against the last, and
so do the sentences: "mass" points to the first, "no" and "normal" to the last.
"""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from tokenizers import Tokenizer

from model_store.manifest import Manifest
from model_store.store import ModelStore, ModelVersion, sha256_of
from tests.tiny_model import CHANNELS, EMBEDDING_SIZE, STRIDE, make_tiny_model, write_golden

HEIGHT, WIDTH = 512, 384
WHITE = 2.4
"""In deviations of the normalised canvas: grey level 230 and more."""
BACKGROUND = 0.02
ENOUGH = 0.001
"""Mean of the bright channels from which a mass is likelier than none."""


def make_bright_model(root: Path, *, factor: bool = True) -> ModelVersion:
    """Publish bright/1 below `root`: canvases of 512 x 384, cells of 16 px."""
    with tempfile.TemporaryDirectory(prefix="bright-model-") as folder:
        tiny = make_tiny_model(
            Path(folder) / "tiny", name="bright", height=HEIGHT, width=WIDTH, factor=factor
        )
        staging = Path(folder) / "staging"
        shutil.copytree(tiny.path, staging, ignore=shutil.ignore_patterns("manifest*"))
        tokenizer = Tokenizer.from_file(str(staging / "tokenizer.json"))
        _reweigh(staging / "image.onnx", _image_weights())
        _reweigh(staging / "text.onnx", _text_weights(tokenizer))
        write_golden(staging, height=HEIGHT, width=WIDTH, seed=0)
        files = {path.name: sha256_of(path) for path in sorted(staging.iterdir())}
        manifest = Manifest.model_validate({**tiny.manifest.model_dump(), "files": files})
        (staging / "manifest.json").write_text(manifest.model_dump_json(indent=2) + "\n")
        return ModelStore(root).publish(staging)


def _image_weights() -> dict[str, np.ndarray]:
    cells = (HEIGHT // STRIDE) * (WIDTH // STRIDE)
    kernel = np.full((CHANNELS, 1, 4, 4), 1 / 16, np.float32)
    kernel[-1] = 0
    bias = np.full(CHANNELS, -WHITE, np.float32)
    bias[-1] = BACKGROUND
    projection = np.zeros((CHANNELS, cells, EMBEDDING_SIZE), np.float32)
    projection[:-1, :, 0] = 1 / (cells * (CHANNELS - 1)) / ENOUGH
    projection[-1, :, 1] = 1 / cells / BACKGROUND
    return {
        "kernel": kernel,
        "bias": bias,
        "projection": projection.reshape(CHANNELS * cells, EMBEDDING_SIZE),
    }


def _text_weights(tokenizer: Tokenizer) -> dict[str, np.ndarray]:
    table = np.zeros((tokenizer.get_vocab_size(), EMBEDDING_SIZE), np.float32)
    table[:, 2] = 1e-3  # no sentence is without direction
    for word, direction, weight in (("mass", 0, 1), ("no", 1, 9), ("normal", 1, 9)):
        table[tokenizer.token_to_id(word), direction] = weight
    return {"table": table, "projection": np.eye(EMBEDDING_SIZE, dtype=np.float32)}


def _reweigh(path: Path, weights: dict[str, np.ndarray]) -> None:
    """Other values of the same shapes."""
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            value = weights[tensor.name]
            assert list(value.shape) == list(tensor.dims), tensor.name
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    onnx.checker.check_model(model)
    onnx.save(model, path)
