"""Graphs that are not what their manifest says."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from model_store.errors import GraphMismatch
from model_store.manifest import Manifest, TensorSpec
from model_store.runtime import ModelRuntime
from model_store.store import ModelVersion
from tests.tiny_model import make_tiny_model


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    return make_tiny_model(tmp_path_factory.mktemp("models"))


def _with_manifest(version: ModelVersion, **changes: object) -> ModelVersion:
    manifest = Manifest.model_validate({**version.manifest.model_dump(), **changes})
    return ModelVersion(path=version.path, manifest=manifest)


def _edit_graph(path: Path, edit: Callable[[onnx.ModelProto], None]) -> None:
    model = onnx.load(path)
    edit(model)
    onnx.save(model, path)


def test_a_graph_that_is_no_graph_is_named(tmp_path: Path) -> None:
    version = make_tiny_model(tmp_path)
    version.file("image.onnx").write_bytes(b"nonsense")
    with pytest.raises(GraphMismatch, match=r"image.onnx: expected a graph that ONNX Runtime"):
        ModelRuntime.load(version, threads=1, verify=False)


def test_a_graph_with_another_output_than_the_manifest_names_is_refused(tmp_path: Path) -> None:
    version = make_tiny_model(tmp_path)

    def drop_features(model: onnx.ModelProto) -> None:
        del model.graph.output[1]

    _edit_graph(version.file("image.onnx"), drop_features)
    with pytest.raises(
        GraphMismatch, match=r"image.onnx output: expected embedding, features, got embedding"
    ):
        ModelRuntime.load(version, threads=1, verify=False)


def test_a_graph_of_a_fixed_batch_is_refused(tmp_path: Path) -> None:
    version = make_tiny_model(tmp_path)

    def fix_batch(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1

    _edit_graph(version.file("image.onnx"), fix_batch)
    with pytest.raises(GraphMismatch, match=r"image.onnx input image: expected uint8 \('n', 64"):
        ModelRuntime.load(version, threads=1, verify=False)


@pytest.mark.parametrize(
    ("field", "value", "where"),
    [
        ("embedding_size", 17, "manifest.json embedding: expected float32 .'free', 17."),
        ("recipe", {"height_px": 80, "width_px": 48}, "manifest.json image: expected uint8"),
        (
            "image_input",
            TensorSpec(name="image", dtype="float32", shape=("n", 64, 48)),
            "manifest.json image: expected uint8 .* got float32",
        ),
        ("text_outputs", (), "manifest.json text_embedding: .* got nothing"),
    ],
)
def test_a_manifest_that_does_not_describe_the_contract_is_refused(
    version: ModelVersion, field: str, value: object, where: str
) -> None:
    with pytest.raises(GraphMismatch, match=where):
        ModelRuntime.load(_with_manifest(version, **{field: value}), threads=1, verify=False)


def test_a_manifest_of_another_size_than_the_graph_is_refused(tmp_path: Path) -> None:
    version = make_tiny_model(tmp_path, factor=False)
    shape = version.manifest.image_outputs[1].model_copy(update={"shape": ("n", 9, 4, 3)})
    changed = _with_manifest(version, image_outputs=(version.manifest.image_outputs[0], shape))
    with pytest.raises(GraphMismatch, match=r"output features: expected float32 \('n', 9, 4, 3\)"):
        ModelRuntime.load(changed, threads=1, verify=False)
