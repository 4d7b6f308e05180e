"""factor.onnx in a version: heat maps of the runtime, and files that do not fit together."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from pydantic import ValidationError

from model_store.errors import CorruptModel, GoldenMismatch, GraphMismatch
from model_store.factor import head_of, heat_map
from model_store.manifest import Manifest, TensorSpec
from model_store.prompts import Question, questions_for
from model_store.runtime import BadEmbedding, ModelRuntime
from model_store.scoring import positive_direction
from model_store.store import ModelVersion
from tests.tiny_model import make_tiny_model, run_graph, tiny_canvases

HEADS = ("mass", "*")


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    return make_tiny_model(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def runtime(version: ModelVersion) -> ModelRuntime:
    return ModelRuntime.load(version, threads=1)


def _with_factor(version: ModelVersion, **changes: object) -> ModelVersion:
    stored = version.manifest.model_dump()
    stored["factor"] |= changes
    return ModelVersion(path=version.path, manifest=Manifest.model_validate(stored))


def _directions(n: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((n, 16)).astype(np.float32)


def test_heat_maps_are_those_of_the_plain_graphs(
    runtime: ModelRuntime, version: ModelVersion
) -> None:
    canvas, directions = tiny_canvases(1, seed=3)[0], _directions(3)
    features = run_graph(version.file("image.onnx"), "features", image=canvas[None])
    channels = run_graph(version.file("factor.onnx"), "channel_embeddings", features=features)
    heats = runtime.look(canvas, directions, ["*", "mass", "*"])[1]
    for heat, direction, head in zip(heats, directions, (1, 0, 1), strict=True):
        expected = heat_map(features[0], channels[0, head], direction)
        assert heat.channels == expected.channels
        np.testing.assert_allclose(heat.grid, expected.grid, atol=1e-6)


def test_embedding_and_heat_come_of_one_look(runtime: ModelRuntime) -> None:
    canvas = tiny_canvases(1, seed=4)[0]
    embedding, heats = runtime.look(canvas, _directions(2), ["mass", "*"])
    np.testing.assert_array_equal(embedding, runtime.embed_images(canvas[None])[0])
    assert [heat.grid.shape for heat in heats] == [(4, 3), (4, 3)]
    assert runtime.look(canvas, _directions(0), [])[1] == []


def test_channels_that_add_up_are_as_many_as_the_manifest_says(version: ModelVersion) -> None:
    changed = _with_factor(version, top_channels=5, weighting="softmax")
    runtime = ModelRuntime.load(changed, threads=1, verify=False)
    (heat,) = runtime.look(tiny_canvases(1)[0], _directions(1), ["*"])[1]
    assert len(heat.channels) == 5
    assert sum(heat.weights) == pytest.approx(1)


def test_heads_are_named_and_an_unknown_one_is_refused(
    runtime: ModelRuntime, tmp_path: Path
) -> None:
    assert runtime.heads == HEADS
    with pytest.raises(ValueError, match=r"tiny/1 has the heads mass, \*; asked for calcif"):
        runtime.look(tiny_canvases(1)[0], _directions(1), ["calcification"])[1]
    plain = ModelRuntime.load(make_tiny_model(tmp_path, factor=False), threads=1)
    assert plain.heads == ()
    with pytest.raises(ValueError, match="has the heads none"):
        plain.look(tiny_canvases(1)[0], _directions(1), ["*"])[1]
    with pytest.raises(ValueError, match=r"has no factor\.onnx"):
        plain.embed_channels(np.zeros((1, 8, 4, 3), np.float32))


def test_a_finding_is_answered_by_its_own_head_and_any_sentence_by_the_shared_one(
    runtime: ModelRuntime,
) -> None:
    mass, calcification = questions_for(runtime.manifest, findings=None, prompts_json=None)
    own = Question(name="mass", positive=("mass",), negative=("no mass",))
    assert [head_of(one, HEADS) for one in (mass, calcification, own)] == ["mass", "*", "*"]
    assert head_of(own, ("mass",)) is None


def test_a_direction_is_the_mean_of_the_positive_sentences() -> None:
    question = Question(name="q", positive=("a", "b"), negative=("n",))
    vectors = {"a": np.array([2, 0], np.float32), "b": np.array([0, 0.1], np.float32)}
    expected = np.array([1, 1]) / np.sqrt(2)
    np.testing.assert_allclose(positive_direction(question, vectors), expected, atol=1e-7)


@pytest.mark.parametrize(
    ("field", "shape", "where"),
    [
        ("input", ("n", 8, 4, 4), "manifest.json features: .* 4, 3.*got float32 .* 4, 4"),
        ("output", ("n", 1, 8, 16), "manifest.json channel_embeddings: expected float32 .* 2, 8"),
        ("output", ("n", 2, 8, 32), "manifest.json channel_embeddings: expected float32 .* 16"),
    ],
)
def test_a_factor_that_does_not_fit_the_image_tower_is_refused(
    version: ModelVersion, field: str, shape: tuple[int | str, ...], where: str
) -> None:
    name = {"input": "features", "output": "channel_embeddings"}[field]
    spec = TensorSpec(name=name, dtype="float32", shape=shape)
    with pytest.raises(GraphMismatch, match=where):
        ModelRuntime.load(_with_factor(version, **{field: spec}), threads=1, verify=False)


def test_a_factor_graph_of_other_heads_than_the_manifest_names_is_refused(tmp_path: Path) -> None:
    version = make_tiny_model(tmp_path)
    one_head = make_tiny_model(tmp_path, name="other", findings=())
    version.file("factor.onnx").write_bytes(one_head.file("factor.onnx").read_bytes())
    with pytest.raises(GraphMismatch, match=r"factor\.onnx output channel_embeddings: expected"):
        ModelRuntime.load(version, threads=1, verify=False)


@pytest.mark.parametrize("heads", [("mass", "mass"), ("no such finding",), ()])
def test_heads_are_findings_or_the_shared_one(version: ModelVersion, heads: tuple[str]) -> None:
    with pytest.raises(ValidationError, match="head"):
        _with_factor(version, heads=heads)


@pytest.mark.parametrize("missing", ["file", "entry"])
def test_factor_and_its_file_belong_together(version: ModelVersion, missing: str) -> None:
    stored: dict[str, Any] = version.manifest.model_dump()
    if missing == "file":
        del stored["files"]["factor.onnx"]
    else:
        stored["factor"] = None
    with pytest.raises(ValidationError, match=r"factor.onnx in `files` and the entry `factor`"):
        Manifest.model_validate(stored)


def test_other_weights_of_the_mapper_do_not_reproduce_the_golden_file(tmp_path: Path) -> None:
    version = make_tiny_model(tmp_path)
    other = make_tiny_model(tmp_path, version="2", seed=1)
    version.file("factor.onnx").write_bytes(other.file("factor.onnx").read_bytes())
    runtime = ModelRuntime.load(version, threads=1, verify=False)
    with pytest.raises(GoldenMismatch, match="channel embeddings: expected cosine"):
        runtime.check_golden()


@pytest.mark.parametrize("change", ["missing", "float64", "other images", "channels beyond"])
def test_golden_entries_of_the_mapper_that_cannot_be_used_are_told(
    tmp_path: Path, change: str
) -> None:
    version = make_tiny_model(tmp_path)
    with np.load(version.file("golden.npz")) as stored:
        arrays = dict(stored)
    embedding = arrays.pop("factor_embedding")
    arrays["factor_channels"] += 1 if change == "channels beyond" else 0
    kept = {
        "float64": embedding.astype(np.float64),
        "other images": embedding[:1],
        "channels beyond": embedding,
    }
    if change in kept:
        arrays["factor_embedding"] = kept[change]
    np.savez(version.file("golden.npz"), **arrays)
    runtime = ModelRuntime.load(version, threads=1, verify=False)
    with pytest.raises((CorruptModel, GoldenMismatch), match=r"factor|channels|out of bounds"):
        runtime.check_golden()


def test_a_mapper_that_answers_nothing_finite_is_told(tmp_path: Path) -> None:
    version = make_tiny_model(tmp_path)
    graph = onnx.load(version.file("factor.onnx"))
    for tensor in graph.graph.initializer:
        if tensor.name == "first_bias":
            poisoned = np.full((1, 2, 1, 6), np.nan, np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(poisoned, tensor.name))
    onnx.save(graph, version.file("factor.onnx"))
    runtime = ModelRuntime.load(version, threads=1, verify=False)
    with pytest.raises(BadEmbedding):
        runtime.look(tiny_canvases(1)[0], _directions(1), ["*"])[1]
