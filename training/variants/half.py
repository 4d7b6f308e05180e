"""A graph whose products are computed in float16, and what is sensitive in float32.

onnxruntime's converter leaves what is named to it in float32, but casts every value between two
such nodes to float16 and back, and casts a value once for each that reads it, under one name. Both
are mended here. Knows nothing of versions, towers or files.
"""

from collections.abc import Iterable, Iterator, Sequence

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

PRECISE = (
    "Cast",  # a 16-bit pixel may be larger than a half's 65504
    "Div",
    "Exp",
    "LayerNormalization",
    "LpNormalization",
    "Pow",
    "ReduceL2",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceSum",
    "Softmax",
    "Sqrt",
)
"""Operators that stay in float32, and so does what follows, up to the next product."""
PRODUCTS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""What a GPU computes faster in float16."""
MADE_HALF = "_cast_to_fp16_node"
"""Names that the converter gives to casts behind a node that stays in float32 end so."""


def halved(model: ModelProto) -> ModelProto:
    """Inputs and outputs keep their types. Every node needs a name of its own."""
    kept = [*DEFAULT_OP_BLOCK_LIST, *PRECISE, "Constant"]  # a constant is rounded where it is read
    converted = convert_float_to_float16(
        model,
        keep_io_types=True,
        op_block_list=kept,
        node_block_list=_after_precise(model.graph.node),
    )
    assert isinstance(converted, ModelProto)
    _tidy_casts(converted)
    return converted


def _after_precise(nodes: Iterable[NodeProto]) -> list[str]:
    """Names of nodes that are precise or read a precise value; nodes come in topological order."""
    precise: set[str] = set()
    names = []
    for node in nodes:
        if node.op_type in PRODUCTS:
            continue
        if node.op_type in PRECISE or precise.intersection(node.input):
            precise.update(node.output)
            names.append(node.name)
    return names


def _tidy_casts(model: ModelProto) -> None:
    """One Cast for each value, and none where it was float32 before it was made a half."""
    graph = model.graph
    whole = {node.output[0]: node.input[0] for node in graph.node if node.name.endswith(MADE_HALF)}
    nodes: dict[str, NodeProto] = {}
    for node in graph.node:
        if _is_cast(node, TensorProto.FLOAT) and node.input[0] in whole:
            node.CopyFrom(
                helper.make_node("Identity", [whole[node.input[0]]], node.output, node.name)
            )
        nodes.setdefault(node.output[0], node)
    read = {name for node in nodes.values() for name in node.input}
    kept = [n for n in nodes.values() if n.output[0] not in whole or n.output[0] in read]
    ordered = list(_in_order(kept, _given(graph)))
    del graph.node[:]
    graph.node.extend(ordered)


def _given(graph: GraphProto) -> set[str]:
    """What is there before any node is computed; "" is an input that is left out."""
    return {"", *(one.name for one in (*graph.input, *graph.initializer))}


def _in_order(nodes: Sequence[NodeProto], known: set[str]) -> Iterator[NodeProto]:
    """Each behind those that it reads, as ONNX demands; the converter puts its casts last."""
    waiting = list(nodes)
    while waiting:
        late = []
        for node in waiting:
            if known.issuperset(node.input):
                known.update(node.output)
                yield node
            else:
                late.append(node)
        if len(late) == len(waiting):
            raise ValueError(f"{late[0].name} reads what no node computes")
        waiting = late


def _is_cast(node: NodeProto, kind: int) -> bool:
    return node.op_type == "Cast" and node.attribute[0].i == kind
