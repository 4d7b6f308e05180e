"""A trained mapper -> factor.onnx, its golden entries and its part of the manifest."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from model_store.arrays import F32
from model_store.golden import FACTOR_KEYS, sample_channels
from model_store.graphs import CHANNEL_EMBEDDINGS, FEATURES
from model_store.manifest import FACTOR, Factor, TensorSpec
from training.export import PARITY, ParityError
from training.factor import FactorConfig
from training.models.factor import Factor as Mapper
from training.onnx_graph import export_graph

GOLDEN = "golden.npz"


def export_factor(mapper: Mapper, folder: Path, *, features: F32) -> float:
    """Write factor.onnx beside image.onnx and golden.npz, whose canvases gain the mapper's entries.

    `features` (n, C, h, w) of the golden canvases as image.onnx gives them. Weights are rounded to
    float16, in place, and widened inside the graph. Returns the largest difference from torch;
    ParityError above 1e-4.
    """
    example = torch.zeros(2, *features.shape[1:])
    export_graph(
        mapper,
        (example,),
        folder / FACTOR,
        names=([FEATURES], [CHANNEL_EMBEDDINGS]),
        dynamic=({0: torch.export.Dim("N")},),
        half_weights=True,
    )
    made = run_factor(folder, features)
    with torch.inference_mode():
        expected = mapper(torch.from_numpy(features)).numpy()
    difference = float(np.abs(made - expected).max())
    if not difference <= PARITY:
        raise ParityError(FACTOR, difference)
    _add_golden(folder / GOLDEN, made)
    return difference


def run_factor(folder: Path, features: F32) -> F32:
    """(n, C, h, w) -> (n, K, C, D) by factor.onnx."""
    session = onnxruntime.InferenceSession(folder / FACTOR, providers=["CPUExecutionProvider"])
    embeddings: F32 = session.run([CHANNEL_EMBEDDINGS], {FEATURES: features})[0]
    return embeddings


def factor_entry(
    features: TensorSpec,
    *,
    heads: Sequence[str],
    embedding_size: int,
    origin: tuple[float, float],
    config: FactorConfig,
) -> Factor:
    """The manifest's entry: tensors, heads, and how channels become heat and boxes."""
    shape = ("N", len(heads), features.shape[1], embedding_size)
    return Factor(
        input=features,
        output=TensorSpec(name=CHANNEL_EMBEDDINGS, dtype="float32", shape=shape),
        heads=tuple(heads),
        top_channels=config.top_channels,
        weighting=config.weighting,
        quantile=config.quantile,
        floor=config.floor,
        origin=origin,
    )


def _add_golden(path: Path, embeddings: F32) -> None:
    """Entries of eight channels beside what the file holds; written whole or not at all."""
    channels = sample_channels(embeddings.shape[2])
    with np.load(path) as stored:
        arrays: dict[str, Any] = dict(stored)
    values = (channels, np.ascontiguousarray(embeddings[:, :, channels]))
    arrays |= dict(zip(FACTOR_KEYS, values, strict=True))
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        np.savez_compressed(file, **arrays)
    partial.rename(path)
