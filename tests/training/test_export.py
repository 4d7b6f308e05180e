"""What is exported computes what torch does, and can be made a torch tower again."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from model_store.manifest import Recipe
from model_store.store import ModelVersion
from tests.tiny_model import make_tiny_model
from training.config import ModelConfig
from training.export import Golden, check_parity, export_towers, run_image
from training.models.clip import Clip, pretrained
from training.models.from_version import NoTower, tower_from_version, tower_note
from training.models.image_encoder import ImageEncoder
from training.onnx_graph import read_weights, round_to_half

RECIPE = Recipe(height_px=160, width_px=96)
CONFIG = ModelConfig(
    image="b2", image_weights="none", embedding_size=16, text_layers=1, text_max_tokens=32
)
GOLDEN = Golden(
    np.random.default_rng(1).integers(0, 255, (2, 160, 96), dtype=np.uint8), ("mass", "no mass")
)
CANVASES = torch.from_numpy(GOLDEN.canvases)
Exported = tuple[Clip, Path, torch.Tensor]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A tower with fixed padding, its files with half weights, and its answers before rounding."""
    folder = tmp_path_factory.mktemp("exported")
    torch.manual_seed(0)
    model = pretrained(CONFIG)
    torch.nn.init.uniform_(model.image.pool.sharpness, 0, 3)
    measure_statistics(model.image)
    with torch.inference_mode():
        before = model.image(CANVASES).embedding
    export_towers(model, folder, recipe=RECIPE, half_weights=True)
    return model, folder, before


def measure_statistics(encoder: ImageEncoder) -> None:
    """BatchNorm's statistics from two passes: with those of a fresh tower activations fade."""
    encoder.frozen_statistics = False
    encoder.train()
    with torch.no_grad():
        for _ in range(2):
            for norm in encoder.modules():
                if isinstance(norm, torch.nn.BatchNorm2d):
                    norm.momentum = 0.7
            encoder(CANVASES)
    encoder.frozen_statistics = True
    encoder.eval()


def version_of(folder: Path, store: Path, **made_by: str) -> ModelVersion:
    tiny = make_tiny_model(store)
    update = {"embedding_size": CONFIG.embedding_size, "made_by": made_by}
    return ModelVersion(path=folder, manifest=tiny.manifest.model_copy(update=update))


def test_graphs_compute_what_torch_does(exported: Exported) -> None:
    model, folder, _ = exported
    assert check_parity(model, folder, golden=GOLDEN, max_tokens=32) < 1e-5


def test_weights_keep_the_names_of_torch_and_no_path_of_the_machine_gets_in(
    exported: Exported,
) -> None:
    model, folder, _ = exported
    for tower, name in ((model.image, "image.onnx"), (model.text, "text.onnx")):
        wanted = {key for key in tower.state_dict() if not key.endswith("num_batches_tracked")}
        assert wanted <= read_weights(folder / name).keys()
        assert b"site-packages" not in (folder / name).read_bytes()


def test_half_weights_halve_the_image_tower_and_change_its_answers_a_little(
    exported: Exported,
) -> None:
    model, folder, before = exported
    values = sum(tensor.numel() for tensor in model.image.state_dict().values())
    assert (folder / "image.onnx").stat().st_size < 0.55 * 4 * values
    cosine = (torch.from_numpy(run_image(folder, GOLDEN.canvases)) * before).sum(1)
    assert (cosine > 0.999).all()
    assert not torch.equal(before, model.image(CANVASES).embedding)


def test_onnx_runtime_widens_half_weights_once_at_load(exported: Exported, tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    options.log_severity_level = 3
    path = exported[1] / "image.onnx"
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    loaded = onnx.load(tmp_path / "loaded.onnx").graph.node
    assert sum(node.op_type == "Cast" for node in loaded) == 1  # of the uint8 canvas
    assert not any(node.op_type == "BatchNormalization" for node in loaded)


def test_a_weight_beyond_half_precision_is_refused() -> None:
    layer = torch.nn.Linear(64, 64)
    layer.weight.data[0, 0] = 1e5
    with pytest.raises(ValueError, match="weight holds a value beyond float16"):
        round_to_half(layer)


def test_a_published_version_becomes_the_same_torch_tower_again(
    exported: Exported, tmp_path: Path
) -> None:
    model, folder, _ = exported
    note = {key: str(value) for key, value in tower_note(model.image).items()}
    tower = tower_from_version(version_of(folder, tmp_path, **note))
    assert not tower.training
    with torch.inference_mode():
        again, expected = tower(CANVASES), model.image(CANVASES)
    torch.testing.assert_close(again.features, expected.features, atol=1e-6, rtol=0)
    np.testing.assert_allclose(again.embedding, run_image(folder, GOLDEN.canvases), atol=1e-5)


def test_a_version_that_cannot_be_rebuilt_says_why(exported: Exported, tmp_path: Path) -> None:
    folder = exported[1]
    with pytest.raises(NoTower, match="does not say in made_by which image_tower and pooling"):
        tower_from_version(version_of(folder, tmp_path / "a"))
    other = version_of(folder, tmp_path / "b", image_tower="b0", pooling="smooth-maximum")
    with pytest.raises(NoTower, match=r"image\.onnx is not of a b0 tower"):
        tower_from_version(other)
