"""From a pretraining run to a version that the service loads."""

from pathlib import Path

import numpy as np
import pytest
import torch

from model_store.manifest import Licence
from model_store.runtime import ModelRuntime
from model_store.store import ModelStore
from tests.training.pretrain_factory import silent, small_run
from training.data.canvas_set import CanvasSet
from training.models.from_version import tower_from_version
from training.pretrain import MODEL, pretrain
from training.publish import RunNotDone, publish_run
from training.run import AnotherRun

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Lightning's and the exporter's
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
LICENCE = Licence(name="private", terms="Not to be passed on.")


def test_a_run_becomes_the_next_version_and_holds_no_image_it_learned_from(tmp_path: Path) -> None:
    config = small_run(tmp_path, epochs=1, split_seed=6)
    store = ModelStore(tmp_path / "models")
    work = tmp_path / "work"
    given = {"work": work, "store": store, "licence": LICENCE, "prompts": "phantom", "say": silent}
    with pytest.raises(RunNotDone, match="let `mammoserve-train pretrain` end there first"):
        publish_run(config, half_weights=False, **given)
    pretrain(config, work=work, say=silent)
    first = publish_run(config, half_weights=False, **given)
    second = publish_run(config, half_weights=True, **given)
    assert (first.key, second.key) == ("small/1", "small/2")
    assert second.file("image.onnx").stat().st_size < 0.6 * first.file("image.onnx").stat().st_size
    assert not list(work.glob("version-*"))
    made_by = first.manifest.made_by
    assert (made_by["split_seed"], made_by["trained_on"]) == (6, "canvases")
    other = small_run(tmp_path, epochs=1, split_seed=7)
    with pytest.raises(AnotherRun, match="split_seed was 6 and is 7"):
        publish_run(other, half_weights=False, **given)
    patient = small_run(tmp_path, epochs=1, split_seed=6, threads=2)
    assert patient.run_digest == made_by["config_digest"]

    runtime = ModelRuntime.load(first, threads=1)  # digests, signatures, golden file
    canvases = CanvasSet.read(Path(config.data[0].table))
    learned = [np.asarray(canvases.canvas(record)) for record in canvases.records]
    with np.load(first.file("golden.npz")) as golden:
        assert not any(np.array_equal(golden["image"][0], canvas) for canvas in learned)
    batch = np.stack(learned[:3])
    with torch.inference_mode():
        expected = tower_from_version(first)(torch.from_numpy(batch)).embedding.numpy()
    np.testing.assert_allclose(runtime.embed_images(batch), expected, atol=1e-4)
    scale = torch.load(work / MODEL, weights_only=True)["log_scale"]
    assert first.manifest.logit_scale == pytest.approx(float(scale))
    assert "private: Not to be passed on." in (first.path / "MODEL_CARD.md").read_text()
