"""The two towers of the tiny model: image.onnx and text.onnx with random weights. No torch."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from model_store.arrays import F32

EMBEDDING_SIZE = 16
CHANNELS = 8
STRIDE = 16  # pixels of the canvas for one cell of `features`
MEAN, STD = 0.3089279, 0.25053555  # any two numbers would do
TINIEST = 1e-12


def image_graph(height: int, width: int, rng: np.random.Generator) -> onnx.GraphProto:
    rows, columns = height // STRIDE, width // STRIDE
    weights = {
        "both": np.array([1, 2], dtype=np.int64),
        "channel": np.array([1], dtype=np.int64),
        "one": np.array(1, dtype=np.float32),
        "mean": np.array(MEAN, dtype=np.float32),
        "std": np.array(STD, dtype=np.float32),
        "kernel": _normal(rng, CHANNELS, 1, 4, 4),
        "bias": _normal(rng, CHANNELS),
        "flat": np.array([0, CHANNELS * rows * columns], dtype=np.int64),
        "projection": _normal(rng, CHANNELS * rows * columns, EMBEDDING_SIZE),
    }
    return helper.make_graph(
        _image_nodes(weights),
        "tiny-image",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", height, width])],
        [
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", EMBEDDING_SIZE]),
            helper.make_tensor_value_info(
                "features", TensorProto.FLOAT, ["n", CHANNELS, rows, columns]
            ),
        ],
        [numpy_helper.from_array(value, key) for key, value in weights.items()],
    )


def _image_nodes(weights: dict[str, np.ndarray]) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Cast", ["image"], ["grey"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMin", ["grey", "both"], ["low"]),
        helper.make_node("ReduceMax", ["grey", "both"], ["high"]),
        helper.make_node("Sub", ["high", "low"], ["range"]),
        helper.make_node("Max", ["range", "one"], ["guarded"]),  # a flat canvas becomes 0
        helper.make_node("Sub", ["grey", "low"], ["lifted"]),
        helper.make_node("Div", ["lifted", "guarded"], ["unit"]),
        helper.make_node("Sub", ["unit", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "std"], ["normalised"]),
        helper.make_node("Unsqueeze", ["normalised", "channel"], ["planes"]),
        helper.make_node("Conv", ["planes", "kernel", "bias"], ["edges"], strides=[4, 4]),
        helper.make_node("Relu", ["edges"], ["rectified"]),
        helper.make_node(
            "AveragePool", ["rectified"], ["features"], kernel_shape=[4, 4], strides=[4, 4]
        ),
        helper.make_node("Reshape", ["features", "flat"], ["row"]),
        helper.make_node("MatMul", ["row", "projection"], ["projected"]),
        *_normalise("projected", "embedding", weights),
    ]


def text_graph(vocabulary: int, rng: np.random.Generator) -> onnx.GraphProto:
    weights = {
        "table": _normal(rng, vocabulary, EMBEDDING_SIZE),
        "projection": _normal(rng, EMBEDDING_SIZE, EMBEDDING_SIZE),
        "last": np.array([2], dtype=np.int64),
        "tokens": np.array([1], dtype=np.int64),
        "one": np.array(1, dtype=np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["vectors"]),
        helper.make_node("Cast", ["attention_mask"], ["weight"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["weight", "last"], ["column"]),
        helper.make_node("Mul", ["vectors", "column"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "tokens"], ["total"], keepdims=0),
        helper.make_node("ReduceSum", ["weight", "tokens"], ["length"]),
        helper.make_node("Max", ["length", "one"], ["guarded"]),
        helper.make_node("Div", ["total", "guarded"], ["average"]),
        helper.make_node("MatMul", ["average", "projection"], ["projected"]),
        *_normalise("projected", "text_embedding", weights),
    ]
    return helper.make_graph(
        nodes,
        "tiny-text",
        [
            helper.make_tensor_value_info(key, TensorProto.INT64, ["n", "l"])
            for key in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("text_embedding", TensorProto.FLOAT, ["n", EMBEDDING_SIZE])],
        [numpy_helper.from_array(value, key) for key, value in weights.items()],
    )


def _normalise(source: str, target: str, weights: dict[str, np.ndarray]) -> list[onnx.NodeProto]:
    """Nodes of an L2 normalisation along axis 1."""
    weights["axis"] = np.array([1], dtype=np.int64)
    weights["tiniest"] = np.array(TINIEST, dtype=np.float32)
    return [
        helper.make_node("ReduceL2", [source, "axis"], ["norm"]),
        helper.make_node("Max", ["norm", "tiniest"], ["safe_norm"]),
        helper.make_node("Div", [source, "safe_norm"], [target]),
    ]


def _normal(rng: np.random.Generator, *shape: int) -> F32:
    return rng.standard_normal(shape).astype(np.float32)
