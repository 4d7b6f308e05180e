"""The runtime against plain onnxruntime, numpy twins and models that are wrong on purpose."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from model_store.arrays import F32, U8
from model_store.errors import CorruptModel, GoldenMismatch, LicenceNotAccepted
from model_store.manifest import Licence
from model_store.runtime import BadEmbedding, ModelRuntime
from model_store.store import ModelVersion
from tests.tiny_model import MEAN, STD, make_tiny_model, run_graph, tiny_canvases

SENTENCES = [f"{'no ' * (i % 3)}mass number {i}" for i in range(37)]
FORBIDDEN = Licence(name="No-Serving-1", terms="Hosting is prohibited.", serving=False)


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    return make_tiny_model(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def runtime(version: ModelVersion) -> ModelRuntime:
    return ModelRuntime.load(version, threads=1)


def _cosine(a: F32, b: F32) -> F32:
    return np.asarray((a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))


def _edit_graph(path: Path, edit: Callable[[onnx.ModelProto], None]) -> None:
    model = onnx.load(path)
    edit(model)
    onnx.save(model, path)


def test_image_embeddings_are_those_of_plain_onnxruntime(
    runtime: ModelRuntime, version: ModelVersion
) -> None:
    canvases = tiny_canvases(3, seed=5)
    expected = run_graph(version.file("image.onnx"), "embedding", image=canvases)
    got = runtime.embed_images(canvases)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("image_batch", [1, 3, 8])
def test_a_batch_of_eight_equals_eight_singles(version: ModelVersion, image_batch: int) -> None:
    runtime = ModelRuntime.load(version, threads=1, image_batch=image_batch)
    canvases = tiny_canvases(8, seed=1)
    together = runtime.embed_images(canvases)
    singles = np.concatenate([runtime.embed_images(one[np.newaxis]) for one in canvases])
    assert together.shape == (8, version.manifest.embedding_size)
    assert _cosine(together, singles).min() >= 0.999999


def test_on_a_cpu_images_go_through_one_by_one(runtime: ModelRuntime) -> None:
    assert runtime.providers == ["CPUExecutionProvider"]
    assert runtime.preferred_batch == 1


def test_sentences_together_equal_sentences_alone(runtime: ModelRuntime) -> None:
    together = runtime.embed_texts(SENTENCES)
    singles = np.concatenate([runtime.embed_texts([one]) for one in SENTENCES])
    assert together.shape[0] == len(SENTENCES) > 2 * 16  # more than two passes
    assert _cosine(together, singles).min() >= 0.999999
    assert len(np.unique(together, axis=0)) == len(SENTENCES)


def test_nothing_in_gives_nothing_out(runtime: ModelRuntime) -> None:
    size = runtime.manifest.embedding_size
    assert runtime.embed_images(tiny_canvases(0)).shape == (0, size)
    assert runtime.embed_texts([]).shape == (0, size)


def test_features_come_only_when_asked(runtime: ModelRuntime) -> None:
    canvases = tiny_canvases(2)
    assert list(runtime.run_images(canvases, outputs=("embedding",))) == ["embedding"]
    both = runtime.run_images(canvases, outputs=("features", "embedding"))
    assert both["features"].shape == (2, 8, 4, 3)
    np.testing.assert_array_equal(both["embedding"], runtime.embed_images(canvases))


def _normalised_in_graph(version: ModelVersion, path: Path, canvases: U8) -> F32:
    """The tensor after normalisation, which the graph does not give out by itself."""
    model = onnx.load(version.file("image.onnx"))
    model.graph.output.append(
        helper.make_tensor_value_info("normalised", onnx.TensorProto.FLOAT, None)
    )
    onnx.save(model, path)
    return run_graph(path, "normalised", image=canvases)


def test_normalisation_in_the_graph_equals_its_numpy_twin(
    version: ModelVersion, tmp_path: Path
) -> None:
    canvases = tiny_canvases(4, seed=2)
    canvases[1] //= 3  # does not use the whole range
    canvases[2] += 20
    got = _normalised_in_graph(version, tmp_path / "open.onnx", canvases)
    grey = canvases.astype(np.float64)
    low, high = grey.min(axis=(1, 2), keepdims=True), grey.max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(got, ((grey - low) / (high - low) - MEAN) / STD, atol=1e-6)


@pytest.mark.parametrize("value", [0, 7, 255])
def test_a_flat_canvas_is_darkest_grey_and_not_a_division_by_zero(
    version: ModelVersion, runtime: ModelRuntime, tmp_path: Path, value: int
) -> None:
    canvases = np.full((1, 64, 48), value, dtype=np.uint8)
    got = _normalised_in_graph(version, tmp_path / "open.onnx", canvases)
    np.testing.assert_allclose(got, -MEAN / STD, atol=1e-6)
    assert np.isfinite(runtime.embed_images(canvases)).all()


@pytest.mark.parametrize(
    "canvases",
    [
        np.zeros((1, 64, 48), np.float32),
        np.zeros((64, 48), np.uint8),
        np.zeros((1, 48, 64), np.uint8),
        np.zeros((1, 64, 48, 1), np.uint8),
    ],
    ids=["dtype", "rank", "turned", "channel"],
)
def test_canvases_of_another_kind_are_refused(runtime: ModelRuntime, canvases: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"takes uint8 canvases \(N, 64, 48\), got"):
        runtime.embed_images(canvases)


def test_a_view_of_canvases_that_is_not_contiguous_is_taken_as_it_looks(
    runtime: ModelRuntime,
) -> None:
    canvases = tiny_canvases(2)
    mirrored = canvases[:, :, ::-1]
    np.testing.assert_array_equal(
        runtime.embed_images(mirrored), runtime.embed_images(mirrored.copy())
    )


def test_an_embedding_that_is_not_finite_is_an_error(tmp_path: Path) -> None:
    version = make_tiny_model(tmp_path)

    def poison(model: onnx.ModelProto) -> None:
        for tensor in model.graph.initializer:
            if tensor.name == "projection":
                tensor.CopyFrom(
                    onnx.numpy_helper.from_array(
                        np.full(tensor.dims, np.nan, np.float32), "projection"
                    )
                )

    _edit_graph(version.file("image.onnx"), poison)
    runtime = ModelRuntime.load(version, threads=1, verify=False)
    with pytest.raises(BadEmbedding, match="not finite"):
        runtime.embed_images(tiny_canvases(1))
    with pytest.raises(GoldenMismatch, match="not finite"):
        runtime.check_golden()


def test_a_changed_file_is_found_before_anything_is_loaded(tmp_path: Path) -> None:
    version = make_tiny_model(tmp_path)
    path = version.file("text.onnx")
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(CorruptModel, match=r"text.onnx: expected sha256"):
        ModelRuntime.load(version, threads=1)


def test_a_licence_that_forbids_serving_is_honoured(tmp_path: Path) -> None:
    version = make_tiny_model(tmp_path, licence=FORBIDDEN)
    with pytest.raises(LicenceNotAccepted, match="Hosting is prohibited") as caught:
        ModelRuntime.load(version, threads=1, accept_licences=frozenset({"another"}))
    assert "'No-Serving-1'" in str(caught.value)
    assert "name 'tiny' among the accepted licences" in str(caught.value)


def test_the_operators_word_opens_a_model_whose_licence_forbids_serving(tmp_path: Path) -> None:
    version = make_tiny_model(tmp_path, licence=FORBIDDEN)
    runtime = ModelRuntime.load(version, threads=1, accept_licences=frozenset({"tiny"}))
    assert runtime.embed_images(tiny_canvases(1)).shape == (1, 16)


def test_a_tokenizer_that_is_none_is_named(tmp_path: Path) -> None:
    version = make_tiny_model(tmp_path)
    version.file("tokenizer.json").write_text("[]")
    with pytest.raises(CorruptModel, match=r"tokenizer.json: expected a tokenizer"):
        ModelRuntime.load(version, threads=1, verify=False)


def test_several_threads_may_call_one_runtime(runtime: ModelRuntime) -> None:
    canvases = tiny_canvases(16, seed=9)
    expected = runtime.embed_images(canvases)
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda one: runtime.embed_images(one[np.newaxis])[0], canvases))
    np.testing.assert_array_equal(np.stack(got), expected)
