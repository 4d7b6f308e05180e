"""How ONNX Runtime runs a version: providers with their options, batch sizes, binding. Chosen here.

Data and rules alone. graphs.py, the only file that imports onnxruntime, says what this host offers
and passes on what is decided here.
"""

import ctypes
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from model_store.store import ModelVersion

MAX_BATCH = 16
FIXED_SIZES = (1, 2, 4, 8, 16)
"""Images a pass on a GPU. cuDNN looks for an algorithm, and TensorRT for tactics, once a shape."""
IMAGE_GRAPH = "image.onnx"
PRECISION, HALF = "precision", "fp16"
"""`made_by` of a version whose graphs are in half precision: `mammoserve-train variant`."""
ENVIRONMENT = {"NVIDIA_TF32_OVERRIDE": "0"}
"""TF32 has 10 bits of mantissa: a golden check could not tell it from a fault. TensorRT's provider
has no option for it (onnxruntime issue 26029), NVIDIA's libraries read this variable."""


class Provider(StrEnum):
    """What the operator may ask for. `auto`: CUDA where it is installed and has a device."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    TENSORRT = "tensorrt"


ORT_NAMES = {
    Provider.CPU: "CPUExecutionProvider",
    Provider.CUDA: "CUDAExecutionProvider",
    Provider.TENSORRT: "TensorrtExecutionProvider",
}
ON_GPU = (Provider.CUDA, Provider.TENSORRT)
CUDA_OPTIONS = {
    "use_tf32": "0",
    # Of B5 on an H100, EXHAUSTIVE: 1.02 times the speed in float32, 0.64 in fp16; DEFAULT: 0.07.
    "cudnn_conv_algo_search": "HEURISTIC",
    # Sizes are fixed and warmed up: the arena need not grow in powers of two.
    "arena_extend_strategy": "kSameAsRequested",
}
INSTALL = "install requirements/gpu.lock: onnxruntime-gpu instead of onnxruntime, never both"
NO_DEVICE = "no CUDA device is visible; look at nvidia-smi, the driver and CUDA_VISIBLE_DEVICES"
NOT_STARTED = (
    "ONNX Runtime could not start it and fell back; its own lines above name the library that is "
    "missing (CUDA, cuDNN 9, for tensorrt TensorRT 10 too)"
)


class ProviderUnavailable(Exception):
    """The provider that was asked for does not run here: what does, and what to do."""

    def __init__(self, asked: Provider, *, usable: tuple[Provider, ...], reason: str) -> None:
        there = ", ".join((Provider.AUTO, *usable))
        super().__init__(
            f"provider {asked.value!r} is not available, there are {there}: {reason} (docs/gpu.md)"
        )
        self.asked = asked
        self.usable = usable


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What every session is given, whatever its provider."""

    inter_op_threads: int = 1
    cpu_arena: bool = True
    """Off: 1.22 times slower, peak memory 0.96 instead of 1.31 GB (B5, 2 cores)."""
    log_severity: int = 3
    """Errors alone."""


@dataclass(frozen=True, slots=True)
class Execution:
    """What is asked of ONNX Runtime; the default is what a worker does unasked.

    `max_batch`: most images a pass on a GPU. `batch_sizes`: these sizes and no others, on whatever
    provider; None = those of the provider. `bound`: through IO binding; None = as the provider
    does. `engines`: folder of TensorRT's engines.
    """

    provider: Provider = Provider.AUTO
    max_batch: int = MAX_BATCH
    batch_sizes: tuple[int, ...] | None = None
    bound: bool | None = None
    engines: Path | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """`offered`: ONNX Runtime's names of what is compiled in; `devices`: CUDA devices."""

    offered: tuple[str, ...]
    devices: int

    def lacks(self, provider: Provider) -> str:
        """Why it cannot run here, in words; empty where nothing speaks against it."""
        if ORT_NAMES[provider] not in self.offered:
            return INSTALL
        return NO_DEVICE if provider in ON_GPU and self.devices == 0 else ""

    @property
    def usable(self) -> tuple[Provider, ...]:
        """Providers that nothing speaks against."""
        return tuple(provider for provider in ORT_NAMES if not self.lacks(provider))


@dataclass(frozen=True, slots=True)
class Plan:
    """How one version runs. `provider` is never `auto`; `sizes` ascending, () = as they come."""

    provider: Provider
    batch: int
    sizes: tuple[int, ...]
    bound: bool
    engines: Path | None = None

    @property
    def session_a_size(self) -> bool:
        """Whether each size needs a session of its own: CUDA plans anew at each change of shape."""
        return self.provider is Provider.CUDA and len(self.sizes) > 1


def plan_for(execution: Execution, host: Host) -> Plan:
    """Decide. ProviderUnavailable for one that was asked for by name and cannot run here.

    A CPU takes one image a pass: EfficientNet-B5 at 1520 x 912 on 2 cores took 0.92 s an image
    alone and 1.04 s in eights, at 1.2 GB each. ValueError for batch sizes below 1.
    """
    provider = _resolved(execution.provider, host)
    on_gpu = provider in ON_GPU
    sizes = execution.batch_sizes
    if sizes is None:
        sizes = sizes_up_to(execution.max_batch) if on_gpu else ()
    sizes = tuple(sorted(set(sizes)))
    if sizes and sizes[0] < 1:
        raise ValueError(f"batch sizes are 1 or more, got {sizes}")
    if provider is Provider.TENSORRT and execution.engines is None:
        raise ValueError("TensorRT needs a folder for its engines: building one takes minutes")
    return Plan(
        provider=provider,
        batch=sizes[-1] if sizes else 1,
        sizes=sizes,
        bound=on_gpu if execution.bound is None else execution.bound,
        engines=execution.engines,
    )


def sizes_up_to(most: int) -> tuple[int, ...]:
    """The fixed sizes below `most`, and `most` itself where it is not above the largest."""
    largest = min(most, FIXED_SIZES[-1])
    return (*(size for size in FIXED_SIZES if size < largest), largest)


def provider_list(
    plan: Plan, graph: str, version: ModelVersion
) -> list[str | tuple[str, dict[str, str]]]:
    """Providers of one graph with their options, as onnxruntime takes them, best first.

    TensorRT gets the image graph alone: sentences have too many shapes for it.
    """
    found: list[str | tuple[str, dict[str, str]]] = []
    if plan.provider is Provider.TENSORRT and graph == IMAGE_GRAPH:
        found.append((ORT_NAMES[Provider.TENSORRT], _tensorrt_options(plan, version)))
    if plan.provider in ON_GPU:
        found.append((ORT_NAMES[Provider.CUDA], dict(CUDA_OPTIONS)))
    return [*found, ORT_NAMES[Provider.CPU]]


def engine_folder(engines: Path, version: ModelVersion) -> Path:
    """Where TensorRT keeps the engines of one version: by digest, for names can be used again."""
    return engines / version.digest


def cuda_devices() -> int:
    """CUDA devices that this process may use; 0 without a driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def _resolved(asked: Provider, host: Host) -> Provider:
    if asked is Provider.AUTO:
        return Provider.CPU if host.lacks(Provider.CUDA) else Provider.CUDA
    reason = host.lacks(asked)
    if reason:
        raise ProviderUnavailable(asked, usable=host.usable, reason=reason)
    return asked


def _tensorrt_options(plan: Plan, version: ModelVersion) -> dict[str, str]:
    """One engine for 1 to the largest size, best at the largest; onnxruntime wants True and False.

    fp16 only for a version that was made and measured so.
    """
    assert plan.engines is not None  # plan_for
    folder = str(engine_folder(plan.engines, version))
    recipe = version.manifest.recipe
    half = version.manifest.made_by.get(PRECISION) == HALF

    def shape(images: int) -> str:
        name = version.manifest.image_input.name
        return f"{name}:{images}x{recipe.height_px}x{recipe.width_px}"

    return {
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": folder,
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": folder,
        "trt_profile_min_shapes": shape(1),
        "trt_profile_opt_shapes": shape(plan.batch),
        "trt_profile_max_shapes": shape(plan.batch),
        "trt_fp16_enable": str(half),
    }
