"""The demo model's run, small: from canvases to a published version; and one that is cut off."""

from pathlib import Path

import numpy as np
import pytest
import torch

from model_store.manifest import Recipe
from model_store.prompts import read_prompt_set
from model_store.runtime import ModelRuntime
from model_store.store import ModelStore
from training.config import CropConfig, ModelConfig
from training.data.canvas_set import CanvasSet
from training.data.phantom.rules import PhantomRules
from training.data.phantom_canvases import Series, make_views
from training.demo import PROMPT_SET, export_version, lower_features
from training.demo_config import DemoConfig, PhantomSeries, WholeConfig
from training.demo_stages import CROPS, train_crops, train_whole, truths
from training.factor import FactorConfig
from training.models.clip import Clip, pretrained
from training.models.from_version import tower_from_version
from training.version import draft_manifest, write_version

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Lightning's and the exporter's
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

STAGE = {"epochs": 2, "steps": 2, "learning_rate": 1e-3, "trunk_learning_rate": 1e-4}
CONFIG = DemoConfig(
    name="small",
    version="1",
    seed=3,
    threads=1,
    recipe=Recipe(height_px=320, width_px=192),
    phantoms=PhantomSeries(train_studies=1, validation_studies=1, test_studies=1),
    model=ModelConfig(embedding_size=16, text_layers=1, text_max_tokens=32),
    crops=CropConfig.model_validate({**STAGE, "batch": 4, "size_px": 128, "warmup_steps": 1}),
    whole=WholeConfig.model_validate({**STAGE, "batch": 2, "warmup_steps": 1, "cut": 6}),
    factor=FactorConfig(),
)


class Cut(Exception):
    """Somebody pulled the plug."""


@pytest.fixture(scope="module")
def canvases(tmp_path_factory: pytest.TempPathFactory) -> CanvasSet:
    folder = tmp_path_factory.mktemp("canvases")
    series = Series(1, PhantomRules(), CONFIG.recipe)
    return CanvasSet(folder, tuple(make_views(series, 0, folder=folder)))


def fresh() -> Clip:
    torch.manual_seed(0)
    return pretrained(CONFIG.model)


def silent(line: str) -> None:
    del line


def test_a_run_becomes_a_version_that_the_service_loads(
    canvases: CanvasSet, tmp_path: Path
) -> None:
    model = fresh()
    train_crops(model, CONFIG, canvases=canvases, work=tmp_path, say=silent)
    below = {name: p.clone() for name, p in model.image.net.blocks[:6].named_parameters()}
    features = lower_features(model, CONFIG, canvases=canvases, work=tmp_path, say=silent)
    train_whole(model, CONFIG, canvases=canvases, features=features, work=tmp_path, say=silent)
    for name, weight in model.image.net.blocks[:6].named_parameters():
        assert torch.equal(weight, below[name]), name  # what the features were made with
    staging = tmp_path / "version"
    parity = export_version(model, CONFIG, canvases=canvases, staging=staging, say=silent)
    assert parity <= 1e-4
    draft = draft_manifest(CONFIG, read_prompt_set(PROMPT_SET), model=model)
    write_version(staging, draft, config=CONFIG, made={"parity": parity, "wall_s": 1, "cpu_s": 2})
    version = ModelStore(tmp_path / "store").publish(staging)
    runtime = ModelRuntime.load(version, threads=1)  # digests, signatures, golden file

    batch = np.stack([canvases.canvas(record) for record in canvases.records] * 2)
    together = runtime.embed_images(batch)
    singles = np.concatenate([runtime.embed_images(one[None]) for one in batch])
    assert (together * singles).sum(1).min() >= 0.999999
    with torch.inference_mode():
        rebuilt = tower_from_version(version)(torch.from_numpy(batch)).embedding.numpy()
    assert np.abs(rebuilt - together).max() <= 1e-4
    assert runtime.embed_texts(["mass", "no mass", "Ünusual sentence, of 12 mm"]).shape == (3, 16)
    assert "small/1" in (version.path / "MODEL_CARD.md").read_text()


def test_a_stage_that_was_cut_off_ends_where_an_uninterrupted_one_does(
    canvases: CanvasSet, tmp_path: Path
) -> None:
    whole = fresh()
    train_crops(whole, CONFIG, canvases=canvases, work=tmp_path / "whole", say=silent)
    statistics, imagenet = whole.image.net.bn2, fresh().image.net.bn2
    torch.testing.assert_close(statistics.running_mean, imagenet.running_mean)
    assert not torch.equal(statistics.weight, imagenet.weight)  # but the layer did learn

    def cut(line: str) -> None:
        if "epoch 2/2" in line:
            raise Cut

    with pytest.raises(Cut):
        train_crops(fresh(), CONFIG, canvases=canvases, work=tmp_path / "cut", say=cut)
    assert (tmp_path / "cut" / CROPS / "last.ckpt").exists()
    resumed = fresh()
    train_crops(resumed, CONFIG, canvases=canvases, work=tmp_path / "cut", say=silent)
    for name, weight in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], weight, msg=name)


def test_a_stage_that_is_done_is_loaded_and_not_run_again(
    canvases: CanvasSet, tmp_path: Path
) -> None:
    model = fresh()
    train_crops(model, CONFIG, canvases=canvases, work=tmp_path, say=silent)
    said: list[str] = []
    again = fresh()
    train_crops(again, CONFIG, canvases=canvases, work=tmp_path, say=said.append)
    assert len(said) == 1
    assert "done before" in said[0]
    torch.testing.assert_close(again.log_scale, model.log_scale)


def test_a_sentence_of_one_view_is_a_positive_of_every_image_it_is_true_of() -> None:
    facts = np.array([[[1, 0], [0, 0]], [[1, 0], [0, 1]]], np.int8)  # (view, breast, attribute)
    claims = np.array([[[1, -1], [0, -1]], [[-1, 0], [-1, 1]]], np.int8)  # (view, breast, ...)
    true = truths(facts, claims)
    assert true.image1_text1.tolist() == [[True, False], [False, True]]
    assert true.image2_text1.tolist() == [[True, False], [False, True]]
    assert true.image1_text2.tolist() == [[True, False], [True, False]]
    assert true.image2_text2.tolist() == [[True, False], [False, True]]
    assert true.texts is not None
    assert not true.texts.any()
