"""What a converter must keep, on graphs of a few nodes whose answers are known."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from training.variants.graphs import holds_int8, text_to_fp16, text_to_int8

WIDTH = 16
FLOAT, UINT16 = TensorProto.FLOAT, TensorProto.UINT16


def saved(path: Path, nodes: list[onnx.NodeProto], kind: int, **weights: NDArray[Any]) -> Path:
    """A graph from `x` (n, WIDTH) to `y`, ONNX operators of set 20."""
    made = helper.make_graph(
        nodes,
        "few",
        [helper.make_tensor_value_info("x", kind, ["n", WIDTH])],
        [helper.make_tensor_value_info("y", FLOAT, ["n", "m"])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opset = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(made, opset_imports=opset, ir_version=10), path)
    return path


def answer(path: Path, x: NDArray[Any]) -> NDArray[np.float32]:
    """Node by node as the graph says: ONNX Runtime on a CPU leaves casts to float16 out."""
    onnx.checker.check_model(path)
    values = np.asarray(ReferenceEvaluator(onnx.load(path)).run(["y"], {"x": x})[0])
    assert values.dtype == np.float32
    return values


def matrix(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)


def unit_graph(path: Path) -> Path:
    """Rows of length 1; the product is read by two nodes that stay in float32."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["v"]),
        helper.make_node("ReduceL2", ["v", "last"], ["length"]),
        helper.make_node("Div", ["v", "length"], ["y"]),
    ]
    return saved(path, nodes, FLOAT, w=matrix(WIDTH, WIDTH), last=np.array([1], np.int64))


def test_rows_of_length_one_keep_it_in_float16(tmp_path: Path) -> None:
    source = unit_graph(tmp_path / "source.onnx")
    text_to_fp16(source, tmp_path / "half.onnx")
    x = matrix(50, WIDTH)
    got, expected = answer(tmp_path / "half.onnx", x), answer(source, x)
    assert (got != expected).any()
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(got, expected, atol=5e-3)


def test_a_sum_beyond_what_a_half_holds_stays_finite(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["v"]),
        helper.make_node("ReduceSum", ["v", "last"], ["sum"]),
        helper.make_node("Mul", ["sum", "small"], ["y"]),
    ]
    weights = {"w": np.eye(WIDTH, dtype=np.float32), "small": np.float32([1e-3])}
    path = saved(tmp_path / "s.onnx", nodes, FLOAT, last=np.array([1], np.int64), **weights)
    text_to_fp16(path, tmp_path / "half.onnx")
    x = np.full((1, WIDTH), 60_000, np.float32)  # their sum is 960,000
    assert answer(tmp_path / "half.onnx", x) == pytest.approx(960, rel=1e-3)


def test_a_pixel_beyond_what_a_half_holds_stays_finite(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["wide"], to=FLOAT),
        helper.make_node("Mul", ["wide", "small"], ["scaled"]),
        helper.make_node("MatMul", ["scaled", "w"], ["y"]),
    ]
    weights = {"w": np.eye(WIDTH, dtype=np.float32), "small": np.float32([1e-4])}
    path = saved(tmp_path / "s.onnx", nodes, UINT16, **weights)
    text_to_fp16(path, tmp_path / "half.onnx")
    x = np.full((1, WIDTH), 65_535, np.uint16)
    assert answer(tmp_path / "half.onnx", x) == pytest.approx(6.5535, rel=1e-3)


def test_matrices_that_are_8_bit_already_are_left_alone_and_others_become_so(
    tmp_path: Path,
) -> None:
    levels = (matrix(WIDTH, WIDTH) * 40).clip(-127, 127).astype(np.int8)
    nodes = [
        helper.make_node("Cast", ["levels"], ["wide"], to=FLOAT),
        helper.make_node("MatMul", ["x", "wide"], ["y"]),
    ]
    already = saved(tmp_path / "already.onnx", nodes, FLOAT, levels=levels)
    text_to_int8(already, tmp_path / "copy.onnx", scratch=tmp_path)
    assert (tmp_path / "copy.onnx").read_bytes() == already.read_bytes()
    plain = unit_graph(tmp_path / "plain.onnx")
    assert not holds_int8(plain)
    text_to_int8(plain, tmp_path / "made.onnx", scratch=tmp_path)
    assert holds_int8(tmp_path / "made.onnx")
