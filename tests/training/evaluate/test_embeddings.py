"""One pass over a set of canvases, and none where it was done before."""

from pathlib import Path

import numpy as np
import pytest

from model_store.arrays import F32, U8
from model_store.runtime import ModelRuntime
from tests.tiny_model import CHANNELS, EMBEDDING_SIZE, make_tiny_model, run_graph
from tests.training.evaluate.canvases import make_canvases
from training.data.canvas_set import CanvasSet
from training.evaluate import embeddings
from training.evaluate.embeddings import embed_canvases


class Counting(ModelRuntime):
    """Counts the canvases that went through the graph."""

    seen = 0

    def run_images(self, canvases: U8, *, outputs: tuple[str, ...]) -> dict[str, F32]:
        self.seen += len(canvases)
        return super().run_images(canvases, outputs=outputs)


@pytest.fixture
def runtime(tmp_path: Path) -> Counting:
    return Counting.load(make_tiny_model(tmp_path / "models"), threads=1, verify=False)


def silent(done: int, total: int) -> None:
    assert 0 < done <= total


def test_rows_are_the_graphs_embeddings_and_the_mean_of_its_features(
    tmp_path: Path, runtime: Counting
) -> None:
    canvases = make_canvases(tmp_path / "set", patients=2)
    found = embed_canvases(runtime, canvases, cache=tmp_path / "cache", progress=silent)
    images = np.stack([canvases.canvas(record) for record in canvases.records])
    graph = runtime.version.file("image.onnx")
    np.testing.assert_allclose(
        found.embeddings, run_graph(graph, "embedding", image=images), atol=1e-6
    )
    features = run_graph(graph, "features", image=images)
    np.testing.assert_allclose(found.pooled, features.mean(axis=(2, 3)), rtol=1e-5)
    assert found.embeddings.shape == (8, EMBEDDING_SIZE)
    assert found.pooled.shape == (8, CHANNELS)


def test_what_was_embedded_before_is_read_from_disk_in_any_order(
    tmp_path: Path, runtime: Counting
) -> None:
    canvases = make_canvases(tmp_path / "set", patients=2)
    cache = tmp_path / "cache"
    first = embed_canvases(runtime, canvases, cache=cache, progress=silent)
    turned = CanvasSet(canvases.folder, canvases.records[::-1])
    second = embed_canvases(runtime, turned, cache=cache, progress=silent)
    assert runtime.seen == 8
    np.testing.assert_array_equal(second.embeddings, first.embeddings[::-1])
    np.testing.assert_array_equal(second.pooled, first.pooled[::-1])


def test_a_canvas_of_other_grey_levels_under_the_same_name_is_embedded_anew(
    tmp_path: Path, runtime: Counting
) -> None:
    canvases = make_canvases(tmp_path / "set", patients=1)
    cache = tmp_path / "cache"
    first = embed_canvases(runtime, canvases, cache=cache, progress=silent)
    path = canvases.folder / canvases.records[2].file
    np.save(path, np.load(path)[::-1])
    second = embed_canvases(runtime, canvases, cache=cache, progress=silent)
    assert runtime.seen == 5
    assert np.abs(second.embeddings - first.embeddings).max(axis=1).argmax() == 2


def test_another_models_rows_are_never_taken(tmp_path: Path, runtime: Counting) -> None:
    canvases = make_canvases(tmp_path / "set", patients=1)
    other = Counting.load(make_tiny_model(tmp_path / "m2", seed=9), threads=1, verify=False)
    cache = tmp_path / "cache"
    first = embed_canvases(runtime, canvases, cache=cache, progress=silent)
    second = embed_canvases(other, canvases, cache=cache, progress=silent)
    assert other.seen == 4
    assert np.abs(first.embeddings - second.embeddings).max() > 0.1


def test_a_pass_that_was_killed_goes_on_where_it_was(
    tmp_path: Path, runtime: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings, "SHARD", 3)
    canvases = make_canvases(tmp_path / "set", patients=2)

    def die(done: int, total: int) -> None:
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_canvases(runtime, canvases, cache=tmp_path / "cache", progress=die)
    embed_canvases(runtime, canvases, cache=tmp_path / "cache", progress=silent)
    assert runtime.seen == 8
