"""Graphs of a version in fewer bits. Knows nothing of versions, scores or data.

- `fp16`: weights and products in float16, for a GPU; a CPU computes them in float32 and gains the
  size alone. Means over an image, norms and what follows them stay in float32 (half.py).
- `int8`: convolutions of the image tower but the first as 8-bit integers, scales by channel, ranges
  from the calibration canvases; matrices of the text tower, unless they are 8-bit already, with
  ranges found at run time.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from model_store.arrays import U8
from model_store.graphs import IMAGE
from training.onnx_graph import widen
from training.variants.half import halved

WHOLE = 2
"""Convolutions at the input that stay in float32. Of mammo-demo/2's embeddings 1 - cosine is 0.0024
on average with 2, 0.0044 with 1, and 0.36 with none (LOG.md)."""
QUANTISED = ("Add", "Clip", "Conv", "Relu")
"""With convolutions alone, values go to float32 and back around every activation: 1.08 times as
fast as the source instead of 1.6 times (one thread)."""


def image_to_fp16(source: Path, target: Path, *, scratch: Path) -> None:
    """Inputs and outputs keep their types. BatchNorm is folded first: a half holds it badly."""
    onnx.save(halved(onnx.load(_prepared(source, scratch))), target)


def text_to_fp16(source: Path, target: Path) -> None:
    """Inputs and outputs keep their types, and weights that are 8-bit integers remain so."""
    onnx.save(halved(_plain(source)), target)


def image_to_int8(source: Path, target: Path, canvases: U8, *, scratch: Path) -> None:
    """Static quantisation from the third convolution on; canvases (n, H, W) set the ranges."""
    prepared = _prepared(source, scratch)
    names = [node.name for node in onnx.load(prepared).graph.node if node.op_type == "Conv"]
    quantize_static(
        prepared,
        target,
        _Canvases(canvases),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(QUANTISED),
        nodes_to_exclude=names[:WHOLE],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )


def text_to_int8(source: Path, target: Path, *, scratch: Path) -> None:
    """Dynamic quantisation of the matrix products; what is 8-bit integers already is copied.

    The demo's text tower is: its file would not shrink, and its sentences would move by a mean
    1 - cosine of 0.009, because values between the matrices would be rounded as well.
    """
    if holds_int8(source):
        shutil.copyfile(source, target)
        return
    quantize_dynamic(
        _prepared(source, scratch),
        target,
        op_types_to_quantize=["Gather", "Gemm", "MatMul"],
        weight_type=QuantType.QInt8,
        per_channel=True,
    )


def holds_int8(graph: Path) -> bool:
    """Whether a matrix of the graph's weights is held as 8-bit integers."""
    weights = onnx.load(graph).graph.initializer
    return any(one.data_type == onnx.TensorProto.INT8 and len(one.dims) > 1 for one in weights)


def _prepared(source: Path, scratch: Path) -> Path:
    """The graph with its shapes known, constants computed and BatchNorm in the convolutions."""
    plain, prepared = scratch / f"plain-{source.name}", scratch / f"prepared-{source.name}"
    onnx.save(_plain(source), plain)
    quant_pre_process(plain, prepared, skip_symbolic_shape=True)
    return prepared


def _plain(source: Path) -> onnx.ModelProto:
    """The graph with float32 weights and a name of its own for every node.

    Both tools name what they put in after nodes, and the exporter's names repeat.
    """
    model = onnx.load(source)
    widen(model)
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"
    return model


class _Canvases(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """One canvas a pass."""

    def __init__(self, canvases: U8) -> None:
        self._rest: Iterator[Any] = iter(np.split(canvases, len(canvases)))

    def get_next(self) -> dict[str, U8] | None:
        """The next feed, None at the end."""
        canvas = next(self._rest, None)
        return None if canvas is None else {IMAGE: canvas}
