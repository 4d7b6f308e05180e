"""The demo model as it is shipped: whole, small, honest about its figures, and it works."""

from pathlib import Path

import numpy as np
import pytest

import model_store
from model_store.manifest import Recipe
from model_store.runtime import ModelRuntime
from model_store.store import ModelStore, ModelVersion
from training.data.canvas_set import CanvasSet
from training.data.phantom.rules import PhantomRules
from training.data.phantom_canvases import Series, make_views

ROOT = Path(model_store.__file__).parent / "models"
MEGABYTES = 40
UNSEEN_SEED = 77


@pytest.fixture(scope="module")
def version() -> ModelVersion:
    return ModelStore(ROOT).find("mammo-demo")


@pytest.fixture(scope="module")
def runtime(version: ModelVersion) -> ModelRuntime:
    return ModelRuntime.load(version, threads=0)  # digests and golden file are checked


@pytest.fixture(scope="module")
def unseen(tmp_path_factory: pytest.TempPathFactory) -> CanvasSet:
    folder = tmp_path_factory.mktemp("unseen")
    series = Series(UNSEEN_SEED, PhantomRules(), Recipe(height_px=1520, width_px=912))
    records = [r for number in range(2) for r in make_views(series, number, folder=folder)]
    return CanvasSet(folder, tuple(records))


def test_it_is_whole_and_at_most_forty_megabytes(version: ModelVersion) -> None:
    ModelStore(ROOT).verify(version)
    assert sum(path.stat().st_size for path in version.path.iterdir()) <= MEGABYTES * 1_000_000


ASKED = {
    "zero-shot AUC, mass, image": 0.95,
    "zero-shot AUC, suspicious calcification, image": 0.95,
    "zero-shot AUC, mean of 7 other findings, image": 0.85,
    "density accuracy, image": 0.80,
    "pointing game, mass, Mammo-FActOR": 0.80,
    "IoU@0.25, mass, Mammo-FActOR": 0.45,
}


def test_its_held_out_figures_reach_what_was_asked(version: ModelVersion) -> None:
    figures = {metric.name: metric for metric in version.manifest.metrics}
    for name, asked in ASKED.items():
        figure = figures[name]
        assert figure.value >= asked, name
        assert figure.low <= figure.value <= figure.high
        assert figure.n >= 100
        assert "seed 3" in figure.data


def test_its_scores_are_calibrated_on_phantoms_it_has_not_seen(version: ModelVersion) -> None:
    errors = {
        metric.name: metric.value
        for metric in version.manifest.metrics
        if metric.name.startswith("calibration error")
    }
    assert len(errors) == 9
    assert max(errors.values()) <= 0.05


@pytest.mark.parametrize("figure", ["IoU@0.25", "IoU@0.50"])
def test_its_boxes_of_a_mass_are_better_than_grad_cam_s_on_the_same_images(
    version: ModelVersion, figure: str
) -> None:
    figures = {metric.name: metric for metric in version.manifest.metrics}
    difference = figures[f"{figure}, mass, Mammo-FActOR less Grad-CAM"]
    assert difference.low is not None
    assert 0 < difference.low <= difference.value


def test_its_hottest_point_of_a_mass_is_as_good_as_grad_cam_s(version: ModelVersion) -> None:
    figures = {metric.name: metric for metric in version.manifest.metrics}
    difference = figures["pointing game, mass, Mammo-FActOR less Grad-CAM"]
    assert difference.low is not None
    assert difference.value >= 0
    assert difference.low >= -0.01


def test_its_card_says_what_it_is(version: ModelVersion) -> None:
    card = (version.path / "MODEL_CARD.md").read_text()
    for words in ("Of no diagnostic value", "synthetic", "Not for diagnosis", "95 % interval"):
        assert words in card
    for metric in version.manifest.metrics:
        assert f"{metric.value:.3f}" in card


def test_a_batch_of_eight_equals_eight_singles(runtime: ModelRuntime, unseen: CanvasSet) -> None:
    """Through the graph at once, not through the runtime's own pieces."""
    batch = np.stack([unseen.canvas(record) for record in unseen.records])
    runtime.preferred_batch, kept = 8, runtime.preferred_batch
    together = runtime.embed_images(batch)
    runtime.preferred_batch = kept
    singles = np.concatenate([runtime.embed_images(one[None]) for one in batch])
    assert (together * singles).sum(axis=1).min() >= 0.999999


def test_it_takes_any_sentence(runtime: ModelRuntime) -> None:
    vectors = runtime.embed_texts(["", "ß 乳房 🙂", "architectural distortion " * 60])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("graph", ["image.onnx", "text.onnx", "factor.onnx"])
def test_its_graphs_hold_nothing_of_the_machine_that_made_them(
    version: ModelVersion, graph: str
) -> None:
    content = (version.path / graph).read_bytes()
    assert b"site-packages" not in content
    assert b".py" not in content
