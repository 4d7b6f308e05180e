"""factor.onnx of the tiny model: two linear maps a head over a channel's cells. No torch."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from model_store.arrays import F32
from model_store.manifest import Factor, TensorSpec


def factor_spec(heads: Sequence[str], *, features: TensorSpec, size: int) -> Factor:
    """The manifest's description of a factor.onnx for such features."""
    shape = ("n", len(heads), features.shape[1], size)
    return Factor(
        input=features,
        output=TensorSpec(name="channel_embeddings", dtype="float32", shape=shape),
        heads=tuple(heads),
    )


def factor_graph(
    features: tuple[int, int, int], heads: int, size: int, rng: np.random.Generator
) -> onnx.GraphProto:
    """features (n, C, h, w) -> channel_embeddings (n, heads, C, size), by random weights."""
    channels, rows, columns = features
    cells, hidden = rows * columns, 6
    weights = {
        "flat": np.array([0, 1, channels, cells], dtype=np.int64),
        "first": _normal(rng, 1, heads, cells, hidden),
        "first_bias": _normal(rng, 1, heads, 1, hidden),
        "second": _normal(rng, 1, heads, hidden, size),
        "second_bias": _normal(rng, 1, heads, 1, size),
        "last": np.array([3], dtype=np.int64),
        "tiniest": np.array(1e-12, dtype=np.float32),
    }
    nodes = [
        helper.make_node("Reshape", ["features", "flat"], ["maps"]),
        helper.make_node("MatMul", ["maps", "first"], ["product"]),
        helper.make_node("Add", ["product", "first_bias"], ["lifted"]),
        helper.make_node("Relu", ["lifted"], ["hidden"]),
        helper.make_node("MatMul", ["hidden", "second"], ["narrow"]),
        helper.make_node("Add", ["narrow", "second_bias"], ["vectors"]),
        helper.make_node("ReduceL2", ["vectors", "last"], ["norm"]),
        helper.make_node("Max", ["norm", "tiniest"], ["safe_norm"]),
        helper.make_node("Div", ["vectors", "safe_norm"], ["channel_embeddings"]),
    ]
    given, made = ["n", channels, rows, columns], ["n", heads, channels, size]
    return helper.make_graph(
        nodes,
        "tiny-factor",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, given)],
        [helper.make_tensor_value_info("channel_embeddings", TensorProto.FLOAT, made)],
        [numpy_helper.from_array(value, key) for key, value in weights.items()],
    )


def _normal(rng: np.random.Generator, *shape: int) -> F32:
    return rng.standard_normal(shape).astype(np.float32)
