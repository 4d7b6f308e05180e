"""A large tower on CUDA by option and precision: images/s, memory, distance from float32 on a CPU.

`python -m bench device:b5`, or b2, where there is a GPU. Each row is a process of its own, and
torch on the same device stands beside ONNX Runtime. Canvases go up and embeddings come down in
every pass. Weights are drawn, as in `towers`.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from bench.child import answer_of
from bench.rows import Row
from bench.towers import Bench, cosine, prepared
from model_store.arrays import F32
from model_store.providers import CUDA_OPTIONS

SIZES = (1, 8)
LIMIT_S = 150
SEARCH = "cudnn_conv_algo_search"
NHWC, TF32 = {"prefer_nhwc": "1"}, {"use_tf32": "1"}
EXHAUSTIVE, CHOSEN = {SEARCH: "EXHAUSTIVE"}, {SEARCH: "HEURISTIC"}


@dataclass(frozen=True)
class Way:
    """`kind` is that of device_child; `options` beside CUDA_OPTIONS, of ONNX Runtime alone."""

    name: str
    kind: str
    options: dict[str, str] = field(default_factory=dict)
    sizes: tuple[int, ...] = SIZES


WAYS = (
    Way("as served", "float32"),
    Way("HEURISTIC", "float32", CHOSEN),
    Way("DEFAULT", "float32", {SEARCH: "DEFAULT"}),
    Way("EXHAUSTIVE", "float32", EXHAUSTIVE),
    Way("HEURISTIC, NHWC", "float32", CHOSEN | NHWC),
    Way("EXHAUSTIVE, NHWC", "float32", EXHAUSTIVE | NHWC),
    Way("HEURISTIC, TF32", "float32", CHOSEN | TF32),
    Way("EXHAUSTIVE, TF32", "float32", EXHAUSTIVE | TF32),
    Way("EXHAUSTIVE, TF32, NHWC", "float32", EXHAUSTIVE | TF32 | NHWC),
    Way("CUDA graph of 1", "float32", EXHAUSTIVE | {"enable_cuda_graph": "1"}, (1,)),
    Way("CUDA graph of 8", "float32", EXHAUSTIVE | {"enable_cuda_graph": "1"}, (8,)),
    Way("fp16 HEURISTIC", "float16", CHOSEN),
    Way("fp16 EXHAUSTIVE", "float16", EXHAUSTIVE),
    Way("fp16 EXHAUSTIVE, NHWC", "float16", EXHAUSTIVE | NHWC),
    Way("torch eager float32", "torch-float32"),
    Way("torch eager TF32, channels last", "torch-tf32"),
    Way("torch eager bf16 autocast, channels last", "torch-bf16"),
    Way("torch eager fp16 autocast, channels last", "torch-fp16"),
    Way("torch.compile fp16 autocast, channels last", "torch-fp16-compiled"),
)


def run(argument: str = "b5") -> Iterator[Row]:
    """`argument` is a tower, and after a colon words that a way's name must hold one of."""
    name, _, wanted = argument.partition(":")
    words = [word for word in wanted.split(",") if word]
    with TemporaryDirectory() as folder:
        bench = prepared(name, Path(folder))
        torch.save(bench.tower, Path(folder) / "tower.pt")
        np.save(Path(folder) / "canvases.npy", bench.canvases)
        expected = _expected(bench)
        for way in WAYS:
            if not words or any(word in way.name for word in words):
                yield from _rows(way, f"{name}, {way.name}", bench, Path(folder), expected)


@torch.inference_mode()
def _expected(bench: Bench) -> F32:
    """(n, D): torch in float32 on the CPU."""
    rows = [bench.tower(torch.from_numpy(one[None])).embedding.numpy() for one in bench.canvases]
    answers: F32 = np.concatenate(rows)
    return answers


def _rows(way: Way, name: str, bench: Bench, folder: Path, expected: F32) -> Iterator[Row]:
    answer = _answer(way, bench, folder)
    if "failed" in answer:
        yield _said(Row(name, float("nan"), "images/s", "", answer["failed"]))
        return
    got = np.array(answer["embeddings"], np.float32)
    off = max(1 - cosine(*pair) for pair in zip(got, expected, strict=True))
    for size, found in answer["sizes"].items():
        note = (
            f"1 - cosine {off:.1e}; device {answer['device_bytes'] / 1e9:.2f} GB; "
            f"load {answer['load_s']:.1f} s, first pass {found['first_s']:.2f} s"
        )
        yield _said(Row(f"{name}, batch {size}", found["rate"], "images/s", "", note))


def _answer(way: Way, bench: Bench, folder: Path) -> dict[str, Any]:
    asked = {
        "kind": way.kind,
        "options": CUDA_OPTIONS | way.options,
        "sizes": way.sizes,
        "graph": str(bench.version.file("image.onnx")),
        "folder": str(folder),
    }
    return answer_of("bench.device_child", json.dumps(asked), limit_s=LIMIT_S)


def _said(row: Row) -> Row:
    print(f"{row.name}: {row.value:.4g} {row.unit}, {row.note}", file=sys.stderr, flush=True)
    return row
