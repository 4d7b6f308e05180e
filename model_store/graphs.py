"""ONNX graphs of a version: opened as sessions, and held to what the manifest says of them.

The only file of model_store that imports onnxruntime. How a session shall run is decided in
providers.py.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import onnxruntime

from model_store.arrays import F32
from model_store.cores import usable_cores
from model_store.errors import GraphMismatch
from model_store.manifest import FACTOR, Factor, Manifest, TensorSpec
from model_store.providers import (
    ENVIRONMENT,
    NOT_STARTED,
    ON_GPU,
    ORT_NAMES,
    Execution,
    Host,
    Plan,
    Provider,
    ProviderUnavailable,
    SessionSettings,
    cuda_devices,
    engine_folder,
    plan_for,
    provider_list,
)
from model_store.store import ModelVersion

IMAGE, IDS, MASK = "image", "input_ids", "attention_mask"
EMBEDDING, FEATURES, TEXT_EMBEDDING = "embedding", "features", "text_embedding"
CHANNEL_EMBEDDINGS = "channel_embeddings"
Expected = tuple[Sequence[TensorSpec], str, tuple[int | None, ...]]
"""Specs to look in, data type, and shape with None for what is free."""
_DTYPES = {
    "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16",
    "tensor(int64)": "int64",
    "tensor(float)": "float32",
}


class Session(Protocol):
    """What is used of onnxruntime.InferenceSession, which has no types of its own."""

    def run(self, output_names: list[str], input_feed: Mapping[str, Any]) -> list[F32]:
        """Values of the named outputs."""

    def io_binding(self) -> Any:
        """What a pass takes in and gives out, bound to places; for one pass."""

    def run_with_iobinding(self, iobinding: Any) -> None:
        """Compute the outputs that are bound."""

    def get_inputs(self) -> list[Any]:
        """Tensors that go in: name, type, shape."""

    def get_outputs(self) -> list[Any]:
        """Tensors that come out."""

    def get_providers(self) -> list[str]:
        """Where it runs, best first."""


def plan_here(execution: Execution) -> Plan:
    """The plan on this machine. Raises ProviderUnavailable."""
    offered = tuple(onnxruntime.get_available_providers())
    return plan_for(execution, Host(offered=offered, devices=cuda_devices()))


def open_session(version: ModelVersion, name: str, *, threads: int, plan: Plan) -> Session:
    """A session on one graph of the version; `threads` = 0 takes all usable cores.

    GraphMismatch where it cannot be loaded or its tensors are not those of the manifest,
    ProviderUnavailable where ONNX Runtime silently took a slower provider than the plan's.
    """
    _prepare(plan, version)
    providers = provider_list(plan, name, version)
    path = version.file(name)
    try:
        session: Session = onnxruntime.InferenceSession(
            path, _session_options(threads), providers=providers
        )
    except Exception as error:  # ONNX Runtime's errors share no narrower base
        reason = str(error).replace(str(path), name)
        raise GraphMismatch(
            version.key, name, expected="a graph that ONNX Runtime loads", got=reason
        ) from error
    first = providers[0] if isinstance(providers[0], str) else providers[0][0]
    if session.get_providers()[0] != first:
        left = tuple(one for one, called in ORT_NAMES.items() if called in session.get_providers())
        raise ProviderUnavailable(plan.provider, usable=left, reason=NOT_STARTED)
    _check_signature(version, name, session)
    return session


def _session_options(threads: int) -> Any:
    settings, options = SessionSettings(), onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or usable_cores()
    options.inter_op_num_threads = settings.inter_op_threads
    options.enable_cpu_mem_arena = settings.cpu_arena
    options.log_severity_level = settings.log_severity
    return options


def _prepare(plan: Plan, version: ModelVersion) -> None:
    """What NVIDIA's libraries need before a session: their files found, TF32 off, a folder."""
    if plan.provider not in ON_GPU:
        return
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    onnxruntime.preload_dlls()  # CUDA and cuDNN of pip's nvidia packages, where they are installed
    if plan.provider is Provider.TENSORRT and plan.engines is not None:
        engine_folder(plan.engines, version).mkdir(parents=True, exist_ok=True)


def check_contract(version: ModelVersion) -> None:
    """The manifest describes the tensors that every version must have; else GraphMismatch."""
    manifest = version.manifest
    size = (manifest.recipe.height_px, manifest.recipe.width_px)
    expected: dict[str, Expected] = {
        IMAGE: ([manifest.image_input], "uint8", (None, *size)),
        EMBEDDING: (manifest.image_outputs, "float32", (None, manifest.embedding_size)),
        IDS: (manifest.text_inputs, "int64", (None, None)),
        MASK: (manifest.text_inputs, "int64", (None, None)),
        TEXT_EMBEDDING: (manifest.text_outputs, "float32", (None, manifest.embedding_size)),
    }
    if manifest.factor is not None:
        expected |= _factor_contract(manifest, manifest.factor)
    for name, (specs, dtype, shape) in expected.items():
        found = [spec for spec in specs if spec.name == name]
        got = f"{found[0].dtype} {found[0].shape}" if found else "nothing"
        if not found or found[0].dtype != dtype or _free(found[0].shape) != shape:
            wanted = tuple("free" if dimension is None else dimension for dimension in shape)
            raise GraphMismatch(
                version.key, f"manifest.json {name}", expected=f"{dtype} {wanted}", got=got
            )


def _factor_contract(manifest: Manifest, factor: Factor) -> dict[str, Expected]:
    """factor.onnx takes `features` as image.onnx gives them: (N, C, h, w) -> (N, K, C, D)."""
    features = [spec for spec in manifest.image_outputs if spec.name == FEATURES]
    shape = _free(features[0].shape) if features else (None, None, None, None)
    embeddings = (None, len(factor.heads), shape[1], manifest.embedding_size)
    return {
        FEATURES: ([factor.input], "float32", (None, *shape[1:])),
        CHANNEL_EMBEDDINGS: ([factor.output], "float32", embeddings),
    }


def _check_signature(version: ModelVersion, name: str, session: Session) -> None:
    """Names, types and sizes of a graph's tensors are the manifest's; else GraphMismatch."""
    manifest = version.manifest
    described: dict[str, tuple[Sequence[TensorSpec], Sequence[TensorSpec]]] = {
        "image.onnx": ((manifest.image_input,), manifest.image_outputs),
        "text.onnx": (manifest.text_inputs, manifest.text_outputs),
    }
    if manifest.factor is not None:
        described[FACTOR] = (manifest.factor.input,), (manifest.factor.output,)
    inputs, outputs = described[name]
    _check_tensors(version.key, f"{name} input", inputs, session.get_inputs())
    _check_tensors(version.key, f"{name} output", outputs, session.get_outputs())


def _free(shape: Sequence[int | str | None]) -> tuple[int | None, ...]:
    """Free dimensions, whatever they are called, as None."""
    return tuple(dimension if isinstance(dimension, int) else None for dimension in shape)


def _check_tensors(key: str, where: str, specs: Sequence[TensorSpec], tensors: list[Any]) -> None:
    """A graph may leave a dimension free that the manifest fixes, not the other way round."""
    found = {tensor.name: tensor for tensor in tensors}
    expected = sorted(spec.name for spec in specs)
    if sorted(found) != expected:
        raise GraphMismatch(key, where, expected=", ".join(expected), got=", ".join(sorted(found)))
    for spec in specs:
        tensor = found[spec.name]
        shape, dtype = _free(tensor.shape), _DTYPES.get(tensor.type, tensor.type)
        same_rank = len(shape) == len(spec.shape)
        if (
            dtype != spec.dtype
            or not same_rank
            or any(
                dimension not in (None, wanted)
                for dimension, wanted in zip(shape, _free(spec.shape), strict=True)
            )
        ):
            raise GraphMismatch(
                key,
                f"{where} {spec.name}",
                expected=f"{spec.dtype} {spec.shape}",
                got=f"{dtype} {tuple(tensor.shape)}",
            )
