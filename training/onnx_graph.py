"""A torch module as an ONNX file whose weights keep the module's names.

The exporter's own optimisation folds BatchNorm into convolutions and gives weights names of its
own; then nobody could rebuild the module from the file. ONNX Runtime folds the same at load, so it
is left out here: graph and speed at run time are the same (LOG.md). Knows nothing of towers.
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx_ir.passes.common import InlinePass
from onnxscript import optimizer
from torch import Tensor, nn

OPSET = 20
HALF_FROM = 1024
"""Weights of two and more axes and this many values are held in half precision; others are not:
what would be saved is little, and a variance may be smaller than a half can be."""
WIDENED = "_as_float32"


def export_graph(
    module: nn.Module,
    example: tuple[Tensor, ...],
    path: Path,
    *,
    names: tuple[list[str], list[str]],
    dynamic: Sequence[Mapping[int, object]],
    half_weights: bool = False,
) -> None:
    """Write `path`: inputs and outputs by `names`, initializers under the names of `module`.

    `half_weights`: first rounds the module's large weights to float16, in place, so that torch and
    graph still compute the same; the file holds them as float16 and widens them when it is loaded.
    """
    if half_weights:
        round_to_half(module)
    module.eval().to(memory_format=torch.contiguous_format)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations; parity is checked after
        program = torch.onnx.export(
            module,
            example,
            input_names=names[0],
            output_names=names[1],
            dynamic_shapes=tuple(dynamic),
            opset_version=OPSET,
            dynamo=True,
            optimize=False,
            verbose=False,
        )
    assert program is not None
    weights = set(module.state_dict())
    _tidy(program.model, weights)
    graph = program.model_proto
    _drop_traces(graph)
    if half_weights:
        _halve(graph, weights)
    onnx.save(graph, path)


def round_to_half(module: nn.Module) -> None:
    """Large float32 weights to the nearest float16, in place; ValueError where one is too large."""
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if _is_large(tensor.dtype == torch.float32, tuple(tensor.shape)):
                rounded = tensor.half().float()
                if not torch.isfinite(rounded).all():
                    raise ValueError(f"{name} holds a value beyond float16's 65504")
                tensor.copy_(rounded)


def read_weights(path: Path) -> dict[str, NDArray[Any]]:
    """Every initializer of the file by name; float16 ones widened to float32."""
    graph = onnx.load(path).graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    return {
        name: array.astype(np.float32) if array.dtype == np.float16 else array
        for name, array in arrays.items()
    }


def widen(model: onnx.ModelProto) -> None:
    """Undo `half_weights`, in place: float16 initializers and their Casts become float32 ones."""
    graph = model.graph
    casts = {node.input[0]: node for node in graph.node if node.output[0].endswith(WIDENED)}
    for tensor in graph.initializer:
        if tensor.name not in casts:
            continue
        wide = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(wide, casts[tensor.name].output[0]))
    kept = [node for node in graph.node if not node.output[0].endswith(WIDENED)]
    del graph.node[:]
    graph.node.extend(kept)


def _tidy(model: Any, weights: set[str]) -> None:
    """Inline the exporter's functions and fold what is constant, but nothing that is a weight."""

    def should_fold(node: Any) -> bool | None:
        named = (value is not None and value.name in weights for value in node.inputs)
        return False if any(named) else None

    InlinePass()(model)
    optimizer.fold_constants(model, should_fold=should_fold)
    optimizer.remove_unused_nodes(model)


def _drop_traces(model: onnx.ModelProto) -> None:
    """Drop what the exporter notes of its machine: stack traces with file paths, at every node."""
    graph = model.graph
    for holder in (*graph.node, *graph.value_info, *graph.initializer):
        holder.ClearField("metadata_props")
        holder.ClearField("doc_string")
    graph.ClearField("metadata_props")
    model.ClearField("metadata_props")


def _halve(model: onnx.ModelProto, weights: set[str]) -> None:
    """Large weights become float16 initializers with a Cast behind each."""
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        is_float = tensor.data_type == TensorProto.FLOAT
        if tensor.name not in weights or not _is_large(is_float, tuple(tensor.dims)):
            continue
        half = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))
        wide = tensor.name + WIDENED
        casts.append(helper.make_node("Cast", [tensor.name], [wide], to=TensorProto.FLOAT))
        for node in graph.node:
            for place, name in enumerate(node.input):
                if name == tensor.name:
                    node.input[place] = wide
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _is_large(is_float: bool, shape: tuple[int, ...]) -> bool:
    return is_float and len(shape) >= 2 and int(np.prod(shape)) >= HALF_FROM
