"""What is decided for a host, asked of hosts written down, of this one, and of real sessions."""

from pathlib import Path

import onnxruntime
import pytest

from model_store import graphs
from model_store.graphs import open_session, plan_here
from model_store.providers import (
    CUDA_OPTIONS,
    FIXED_SIZES,
    HALF,
    PRECISION,
    Execution,
    Host,
    Plan,
    Provider,
    ProviderUnavailable,
    cuda_devices,
    plan_for,
    provider_list,
    sizes_up_to,
)
from model_store.runtime import ModelRuntime
from model_store.store import ModelVersion
from tests.tiny_model import make_tiny_model

CPU_ONLY = Host(offered=("AzureExecutionProvider", "CPUExecutionProvider"), devices=0)
GPU = Host(
    offered=("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"),
    devices=1,
)
NO_DEVICE = Host(offered=GPU.offered, devices=0)
ENGINES = Path("engines")


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    return make_tiny_model(tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize(
    ("host", "expected"),
    [(CPU_ONLY, Provider.CPU), (NO_DEVICE, Provider.CPU), (GPU, Provider.CUDA)],
    ids=["cpu build", "gpu build without a device", "gpu"],
)
def test_unasked_it_is_cuda_where_it_is_installed_and_has_a_device(
    host: Host, expected: Provider
) -> None:
    assert plan_for(Execution(), host).provider is expected


@pytest.mark.parametrize("asked", [Provider.CUDA, Provider.TENSORRT])
def test_a_provider_that_is_not_installed_is_an_error_that_says_what_is_and_what_to_install(
    asked: Provider,
) -> None:
    with pytest.raises(ProviderUnavailable) as caught:
        plan_for(Execution(provider=asked, engines=ENGINES), CPU_ONLY)
    assert caught.value.asked is asked
    assert caught.value.usable == (Provider.CPU,)
    assert f"provider '{asked}' is not available, there are auto, cpu: install" in str(caught.value)
    assert "requirements/gpu.lock" in str(caught.value)


def test_without_a_device_the_error_says_where_to_look() -> None:
    with pytest.raises(ProviderUnavailable, match="no CUDA device is visible; look at nvidia-smi"):
        plan_for(Execution(provider=Provider.CUDA), NO_DEVICE)


def test_a_cpu_takes_images_one_by_one_unpadded_and_unbound() -> None:
    plan = plan_for(Execution(provider=Provider.CPU, max_batch=8), GPU)
    assert plan == Plan(provider=Provider.CPU, batch=1, sizes=(), bound=False)


def test_a_gpu_takes_fixed_sizes_bound() -> None:
    plan = plan_for(Execution(), GPU)
    assert plan == Plan(provider=Provider.CUDA, batch=16, sizes=FIXED_SIZES, bound=True)


def test_only_cuda_needs_a_session_a_size() -> None:
    plans = [
        plan_for(Execution(provider=one, batch_sizes=(1, 8), engines=ENGINES), GPU)
        for one in (Provider.CPU, Provider.CUDA, Provider.TENSORRT)
    ]
    assert [plan.session_a_size for plan in plans] == [False, True, False]
    assert not plan_for(Execution(provider=Provider.CUDA, max_batch=1), GPU).session_a_size


@pytest.mark.parametrize(
    ("most", "sizes"),
    [
        (1, (1,)),
        (3, (1, 2, 3)),
        (8, (1, 2, 4, 8)),
        (12, (1, 2, 4, 8, 12)),
        (16, FIXED_SIZES),
        (64, FIXED_SIZES),
    ],
)
def test_no_pass_is_larger_than_the_operator_allows(most: int, sizes: tuple[int, ...]) -> None:
    assert sizes_up_to(most) == sizes
    plan = plan_for(Execution(max_batch=most), GPU)
    assert (plan.sizes, plan.batch) == (sizes, sizes[-1])


def test_sizes_and_binding_may_be_asked_for_on_any_provider() -> None:
    plan = plan_for(Execution(batch_sizes=(4, 2, 4), bound=True), CPU_ONLY)
    assert plan == Plan(provider=Provider.CPU, batch=4, sizes=(2, 4), bound=True)
    assert not plan_for(Execution(bound=False), GPU).bound


def test_a_batch_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="batch sizes are 1 or more"):
        plan_for(Execution(batch_sizes=(0, 2)), CPU_ONLY)


def test_tensorrt_without_a_folder_for_its_engines_is_refused() -> None:
    with pytest.raises(ValueError, match="TensorRT needs a folder for its engines"):
        plan_for(Execution(provider=Provider.TENSORRT), GPU)


def test_cuda_computes_without_tf32_and_falls_back_to_the_cpu(version: ModelVersion) -> None:
    plan = plan_for(Execution(), GPU)
    cuda, cpu = provider_list(plan, "image.onnx", version)
    assert cuda == ("CUDAExecutionProvider", CUDA_OPTIONS)
    assert CUDA_OPTIONS["use_tf32"] == "0"
    assert cpu == "CPUExecutionProvider"


def test_tensorrt_has_the_image_graph_and_keeps_its_engines_by_digest(
    version: ModelVersion,
) -> None:
    plan = plan_for(Execution(provider=Provider.TENSORRT, max_batch=8, engines=ENGINES), GPU)
    tensorrt, *others = provider_list(plan, "image.onnx", version)
    assert others == provider_list(plan, "text.onnx", version)
    assert [name for name, *_ in (others[0], (others[1],))] == [
        "CUDAExecutionProvider",
        "CPUExecutionProvider",
    ]
    folder = str(ENGINES / version.digest)
    assert tensorrt == (
        "TensorrtExecutionProvider",
        {
            "trt_engine_cache_enable": "True",
            "trt_engine_cache_path": folder,
            "trt_timing_cache_enable": "True",
            "trt_timing_cache_path": folder,
            "trt_profile_min_shapes": "image:1x64x48",
            "trt_profile_opt_shapes": "image:8x64x48",
            "trt_profile_max_shapes": "image:8x64x48",
            "trt_fp16_enable": "False",
        },
    )


def test_half_precision_is_for_versions_that_were_made_so(version: ModelVersion) -> None:
    made_by = {**version.manifest.made_by, PRECISION: HALF}
    half = ModelVersion(version.path, version.manifest.model_copy(update={"made_by": made_by}))
    plan = plan_for(Execution(provider=Provider.TENSORRT, engines=ENGINES), GPU)
    first = provider_list(plan, "image.onnx", half)[0]
    assert not isinstance(first, str)
    assert first[1]["trt_fp16_enable"] == "True"


# on this machine


def test_a_session_has_the_settings_that_are_written_down(version: ModelVersion) -> None:
    session = open_session(version, "image.onnx", threads=2, plan=plan_for(Execution(), CPU_ONLY))
    assert isinstance(session, onnxruntime.InferenceSession)
    options = session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)
    assert options.enable_cpu_mem_arena
    assert session.get_providers() == ["CPUExecutionProvider"]


@pytest.mark.skipif(cuda_devices() > 0, reason="there is a CUDA device")
def test_a_machine_without_a_device_plans_for_the_cpu() -> None:
    assert plan_here(Execution()).provider is Provider.CPU


@pytest.mark.skipif(cuda_devices() > 0, reason="there is a CUDA device")
@pytest.mark.parametrize("asked", [Provider.CUDA, Provider.TENSORRT])
def test_a_model_does_not_load_on_another_provider_than_the_one_that_was_named(
    version: ModelVersion, asked: Provider, tmp_path: Path
) -> None:
    with pytest.raises(ProviderUnavailable, match=f"provider '{asked}' is not available"):
        ModelRuntime.load(version, threads=1, execution=Execution(provider=asked, engines=tmp_path))


@pytest.mark.skipif(cuda_devices() > 0, reason="there is a CUDA device")
@pytest.mark.filterwarnings("ignore:Specified provider:UserWarning")
def test_a_session_that_fell_back_to_the_cpu_in_silence_is_refused(
    version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")  # it would stay set after the test
    plan = plan_for(Execution(), GPU)
    with pytest.raises(ProviderUnavailable, match="fell back; its own lines above name"):
        open_session(version, "image.onnx", threads=1, plan=plan)


@pytest.mark.skipif(cuda_devices() > 0, reason="there is a CUDA device")
@pytest.mark.filterwarnings("ignore:Specified provider:UserWarning")
def test_where_cuda_is_there_but_does_not_start_auto_is_the_cpu_and_says_so(
    version: ModelVersion, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    monkeypatch.setattr(graphs, "cuda_devices", lambda: 1)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(GPU.offered))
    runtime = ModelRuntime.load(version, threads=1)
    assert runtime.providers == ["CPUExecutionProvider"]
    assert (runtime.preferred_batch, runtime.batch_sizes) == (1, ())
    assert "tiny/1 runs on the CPU: provider 'cuda' is not available" in caplog.text
    with pytest.raises(ProviderUnavailable, match="fell back"):
        ModelRuntime.load(version, threads=1, execution=Execution(provider=Provider.CUDA))
