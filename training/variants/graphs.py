"""Graphs of a version in fewer bits. Knows nothing of versions, scores or data.

- `fp16`: weights and sums in float16, for a GPU; a CPU computes them in float32 and gains the size
  alone. Means over an image and norms stay in float32: their sums run beyond float16's 65504.
- `int8`: convolutions of the image tower as 8-bit integers, scales by channel, ranges from the
  calibration canvases; matrices of the text tower likewise, ranges found at run time.
"""

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
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

from model_store.arrays import U8
from model_store.graphs import IMAGE
from training.onnx_graph import widen

PRECISE = (
    "ReduceMean",
    "ReduceSum",
    "ReduceMin",
    "ReduceMax",
    "ReduceL2",
    "LpNormalization",
    "LayerNormalization",
    "Softmax",
    "Sqrt",
    "Pow",
    "Div",
    "Exp",
)
"""Operators that keep float32 in an fp16 graph."""


def to_fp16(source: Path, target: Path) -> None:
    """Inputs and outputs keep their types."""
    model = _plain(source)
    converted = convert_float_to_float16(
        model, keep_io_types=True, op_block_list=[*DEFAULT_OP_BLOCK_LIST, *PRECISE]
    )
    onnx.save(converted, target)


def image_to_int8(source: Path, target: Path, canvases: U8, *, scratch: Path) -> None:
    """Static quantisation of the convolutions; canvases (n, H, W) set the ranges."""
    plain, prepared = scratch / "plain.onnx", scratch / "prepared.onnx"
    onnx.save(_plain(source), plain)
    quant_pre_process(plain, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        target,
        _Canvases(canvases),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv"],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )


def text_to_int8(source: Path, target: Path, *, scratch: Path) -> None:
    """Dynamic quantisation of the matrix products."""
    plain, prepared = scratch / "plain-text.onnx", scratch / "prepared-text.onnx"
    onnx.save(_plain(source), plain)
    quant_pre_process(plain, prepared, skip_symbolic_shape=True)
    quantize_dynamic(prepared, target, weight_type=QuantType.QInt8, per_channel=True)


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
