"""On a device: `pytest -m gpu`. Those of CUDA passed on an H100; TensorRT's have not run."""

import ctypes
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from model_store.graphs import EMBEDDING, FEATURES
from model_store.providers import ORT_NAMES, Execution, Provider, cuda_devices
from model_store.runtime import ModelRuntime
from model_store.store import ModelVersion
from tests.tiny_model import make_tiny_model, tiny_canvases

OFFERED = onnxruntime.get_available_providers()


def missing(provider: Provider) -> bool:
    if cuda_devices() == 0 or ORT_NAMES[provider] not in OFFERED:
        return True
    return provider is Provider.TENSORRT and not tensorrt_is_there()


def tensorrt_is_there() -> bool:
    """onnxruntime-gpu offers its provider whether or not TensorRT itself is installed."""
    try:
        ctypes.CDLL("libnvinfer.so.10")
    except OSError:
        return False
    return True


ON_DEVICE = [
    pytest.param(
        provider,
        marks=pytest.mark.skipif(
            missing(provider),
            reason=f"needs a CUDA device, onnxruntime-gpu and all that {provider} needs",
        ),
    )
    for provider in (Provider.CUDA, Provider.TENSORRT)
]
pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    return make_tiny_model(tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize("provider", ON_DEVICE)
def test_a_device_reproduces_the_golden_file_and_the_cpu(
    version: ModelVersion, provider: Provider, tmp_path: Path
) -> None:
    execution = Execution(provider=provider, engines=tmp_path)
    on_device = ModelRuntime.load(version, threads=1, execution=execution)  # golden file and all
    assert on_device.providers[0] == ORT_NAMES[provider]
    assert on_device.batch_sizes == (1, 2, 4, 8, 16)
    canvases = tiny_canvases(21, seed=3)  # sixteen, and five in a pass of eight
    cpu = ModelRuntime.load(version, threads=1, execution=Execution(provider=Provider.CPU))
    expected = cpu.run_images(canvases, outputs=(EMBEDDING, FEATURES))
    got = on_device.run_images(canvases, outputs=(EMBEDDING, FEATURES))
    for name, values in expected.items():
        np.testing.assert_allclose(got[name], values, atol=1e-5)
    sentences = ["there is a mass", "no suspicious calcification"]
    np.testing.assert_allclose(
        on_device.embed_texts(sentences), cpu.embed_texts(sentences), atol=1e-5
    )


@pytest.mark.parametrize("provider", ON_DEVICE)
def test_binding_changes_no_bit_on_a_device(
    version: ModelVersion, provider: Provider, tmp_path: Path
) -> None:
    canvases = tiny_canvases(8, seed=4)
    plain, bound = (
        ModelRuntime.load(
            version,
            threads=1,
            execution=Execution(provider=provider, engines=tmp_path, batch_sizes=(8,), bound=asked),
        ).embed_images(canvases)
        for asked in (False, True)
    )
    np.testing.assert_array_equal(bound, plain)


@pytest.mark.parametrize("provider", ON_DEVICE[1:])
def test_tensorrt_finds_its_engines_again(
    version: ModelVersion, provider: Provider, tmp_path: Path
) -> None:
    execution = Execution(provider=provider, engines=tmp_path, max_batch=2)
    ModelRuntime.load(version, threads=1, execution=execution)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.engine")}
    assert kept
    assert {path.parent for path in kept} == {tmp_path / version.digest}
    ModelRuntime.load(version, threads=1, execution=execution)
    again = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.engine")}
    assert again == kept


@pytest.mark.parametrize("provider", ON_DEVICE[:1])
def test_unasked_a_machine_with_a_device_uses_it(version: ModelVersion, provider: Provider) -> None:
    assert ModelRuntime.load(version, threads=1).plan.provider is provider
