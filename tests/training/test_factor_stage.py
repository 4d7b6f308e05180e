"""From a published version to its next one with factor.onnx: images, features, lessons, files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model_store.golden import sample_channels
from model_store.prompts import UnknownFinding
from model_store.runtime import ModelRuntime
from model_store.store import ModelStore, ModelVersion, sha256_of
from tests.tiny_model import make_tiny_model, run_graph
from tests.training.evaluate.canvases import make_canvases
from training.data.canvas_set import CanvasSet
from training.data.records import Category
from training.factor import FALSE, NOT_KNOWN, TRUE, FactorConfig
from training.factor_features import cache_features
from training.factor_lessons import finding_lesson, make_lessons
from training.factor_stage import choose_images, publish_factor
from training.onnx_graph import read_weights

CONFIG = FactorConfig(
    heads=("mass", "*"), hidden=128, epochs=2, batch=4, channels=8, shift=1, images=12, captions=9
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def version(tmp_path: Path) -> ModelVersion:
    return make_tiny_model(tmp_path / "models", factor=False)


@pytest.fixture
def runtime(version: ModelVersion) -> ModelRuntime:
    return ModelRuntime.load(version, threads=1)


@pytest.fixture
def canvases(tmp_path: Path) -> CanvasSet:
    return make_canvases(tmp_path / "canvases", patients=6)


def silent(_: str) -> None:
    pass


def test_the_next_version_has_factor_and_the_one_before_stays_as_it_was(
    version: ModelVersion, canvases: CanvasSet, tmp_path: Path
) -> None:
    store, before = ModelStore(tmp_path / "models"), version.digest
    lines: list[str] = []
    made = publish_factor(
        store, version, canvases, CONFIG, work=tmp_path / "work", say=lines.append
    )
    assert (made.key, store.versions("tiny")) == ("tiny/2", ["1", "2"])
    assert store.find("tiny", "1").digest == before
    runtime = ModelRuntime.load(made, threads=1)  # golden entries and all
    assert runtime.heads == ("mass", "*")
    assert made.manifest.made_by["factor_of"] == "tiny/1"
    assert "Mammo-FActOR" in made.file("MODEL_CARD.md").read_text()
    assert any("loss" in line and " s" in line for line in lines)
    canvas = np.asarray(canvases.canvas(canvases.records[0]))
    (heat,) = runtime.look(canvas, np.ones((1, 16), np.float32), ["*"])[1]
    assert heat.grid.shape == runtime.manifest.image_outputs[1].shape[2:]
    assert heat.grid.max() > 0


def test_nothing_of_the_image_tower_moves_while_the_mapper_learns(
    version: ModelVersion, canvases: CanvasSet, tmp_path: Path
) -> None:
    made = publish_factor(
        ModelStore(tmp_path / "models"), version, canvases, CONFIG, work=tmp_path / "w", say=silent
    )
    for graph in ("image.onnx", "text.onnx"):
        assert sha256_of(made.file(graph)) == sha256_of(version.file(graph))
    with np.load(version.file("golden.npz")) as old, np.load(made.file("golden.npz")) as new:
        assert {*new} == {*old, "factor_channels", "factor_embedding"}
        np.testing.assert_array_equal(old["image_embedding"], new["image_embedding"])


def test_the_exported_mapper_is_in_half_precision_and_its_golden_entries_are_its_own(
    version: ModelVersion, canvases: CanvasSet, tmp_path: Path
) -> None:
    made = publish_factor(
        ModelStore(tmp_path / "models"), version, canvases, CONFIG, work=tmp_path / "w", say=silent
    )
    weights = read_weights(made.file("factor.onnx"))
    assert made.file("factor.onnx").stat().st_size < 3 * sum(w.size for w in weights.values())
    with np.load(made.file("golden.npz")) as golden:
        features = run_graph(made.file("image.onnx"), "features", image=golden["image"])
        expected = run_graph(made.file("factor.onnx"), "channel_embeddings", features=features)
        np.testing.assert_array_equal(golden["factor_channels"], sample_channels(8))
        np.testing.assert_allclose(golden["factor_embedding"], expected, atol=1e-6)


def test_features_are_those_of_the_graph_and_a_killed_pass_goes_on(
    runtime: ModelRuntime, canvases: CanvasSet, tmp_path: Path
) -> None:
    class Killed(Exception):
        pass

    class Stops(ModelRuntime):
        passes = 0

        def run_images(self, *inputs: object, **options: object) -> dict[str, np.ndarray]:
            self.passes += 1
            if self.passes > limit:
                raise Killed
            return super().run_images(*inputs, **options)  # type: ignore[arg-type]

    canvases = CanvasSet(canvases.folder, canvases.records * 3)  # 72 images
    limit = 40
    with pytest.raises(Killed):
        cache_features(
            Stops.load(runtime.version, threads=1, verify=False),
            canvases,
            folder=tmp_path / "f",
            say=silent,
        )
    limit = 72 - 32
    again = Stops.load(runtime.version, threads=1, verify=False)
    features = cache_features(again, canvases, folder=tmp_path / "f", say=silent)
    assert again.passes == 40  # 32 of the first pass were written down
    expected = run_graph(
        runtime.version.file("image.onnx"),
        "features",
        image=np.stack([canvases.canvas(record) for record in canvases.records]),
    )
    np.testing.assert_allclose(features, expected, rtol=1e-3)


def test_features_of_other_canvases_are_made_anew(
    runtime: ModelRuntime, canvases: CanvasSet, tmp_path: Path
) -> None:
    first = CanvasSet(canvases.folder, canvases.records[:3])
    other = CanvasSet(canvases.folder, canvases.records[3:6])
    one = np.array(cache_features(runtime, first, folder=tmp_path / "f", say=silent))
    two = cache_features(runtime, other, folder=tmp_path / "f", say=silent)
    assert not np.array_equal(one, two)


def test_a_lesson_knows_true_from_false_from_not_known(
    runtime: ModelRuntime, tmp_path: Path
) -> None:
    nobody_looked = make_canvases(
        tmp_path / "some",
        patients=4,
        change=lambda image, number: replace(image, annotated=frozenset()) if number < 4 else image,
    )
    images = [record.image for record in nobody_looked.records]
    truth = finding_lesson(runtime, images, "mass").truth[:, 0]
    for image, value in zip(images, truth, strict=True):
        expected = {True: TRUE, False: FALSE, None: NOT_KNOWN}[image.present(Category.MASS)]
        assert value == expected
    assert set(truth.tolist()) == {TRUE, FALSE, NOT_KNOWN}


def test_sentences_of_the_shared_head_say_what_is_there_and_are_drawn_by_seed(
    runtime: ModelRuntime, canvases: CanvasSet
) -> None:
    images = [record.image for record in canvases.records]
    one, same, other = (
        make_lessons(runtime, images, ["*"], sentences=8, seed=seed)[0] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.directions, same.directions)
    assert one.directions.shape != other.directions.shape or not np.array_equal(
        one.directions, other.directions
    )
    with_mass = np.array([image.present(Category.MASS) for image in images])
    assert (one.truth[~with_mass] == FALSE).all()  # every sentence is of a mass
    assert (one.truth[with_mass] != FALSE).any()


@pytest.mark.parametrize("head", ["no such finding", "suspicious calcification"])
def test_a_head_without_a_finding_or_an_example_is_refused(
    runtime: ModelRuntime, canvases: CanvasSet, head: str
) -> None:
    images = [record.image for record in canvases.records]
    with pytest.raises((UnknownFinding, ValueError), match=head):
        make_lessons(runtime, images, [head], sentences=8, seed=1)


def test_images_are_chosen_by_turns_with_and_without_the_finding(canvases: CanvasSet) -> None:
    chosen = choose_images(canvases, ["mass", "*"], count=8, seed=3)
    present = [record.image.present(Category.MASS) for record in chosen.records]
    assert sum(bool(one) for one in present) == 4
    again = choose_images(canvases, ["mass", "*"], count=8, seed=3)
    assert [r.file for r in chosen.records] == [r.file for r in again.records]
    assert len(choose_images(canvases, ["mass"], count=999, seed=3)) == len(canvases)
