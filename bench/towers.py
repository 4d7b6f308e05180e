"""Images a second of a large tower at 1520 x 912, and how far each way is from torch's answer.

`python -m bench towers:b2`, `towers:b5` (what `towers` alone runs), and batch sizes alone, on the
provider named: `towers:b5-cpu`, on a GPU `towers:b5-cuda` or `towers:b5-tensorrt`. Weights are
drawn, BatchNorm's statistics are those of phantoms: speed is that of a trained tower, 1 - cosine is
larger than one's.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.rows import Row
from model_store.arrays import F32, U8
from model_store.cores import usable_cores
from model_store.manifest import Licence, Recipe
from model_store.prompts import read_prompt_set
from model_store.providers import FIXED_SIZES, Provider
from model_store.runtime import ModelRuntime
from model_store.store import ModelStore, ModelVersion
from training.config import ModelConfig
from training.data.phantom.rules import STANDARD
from training.data.phantom_canvases import Series, make_views
from training.manifests import draft, seal
from training.models.clip import Clip, pretrained
from training.models.image_encoder import ImageEncoder
from training.variants.graphs import image_to_int8
from training.version_files import write_files

SHAPE = (1520, 912)
SEED, SERIES = 5, 7
ROUNDS = 3
CPU_BATCHES = (1, 2, 4, 8)
OVER_EAGER, OVER_COMPILED = ">= 3.5", ">= 1.4"
EAGER, LAST, COMPILED = "torch eager", "torch eager, channels last", "torch.compile"
ORT, INT8 = "ONNX Runtime", "ONNX Runtime int8"
Forward = Callable[[U8], F32]
"""(1, H, W) uint8 -> (D,) float32."""


@dataclass(frozen=True)
class Way:
    """One way of running the tower; `rate` in images a second, `off` is 1 - cosine."""

    name: str
    rate: float
    off: float


@dataclass(frozen=True)
class Bench:
    """What is measured: the tower in torch, the version made of it, phantoms (n, H, W)."""

    tower: ImageEncoder
    version: ModelVersion
    canvases: U8
    threads: int


def run(argument: str = "b5") -> list[Row]:
    """On the CPU every way in turn, and batch sizes; on a named provider batch sizes alone."""
    name, _, provider = argument.partition("-")
    with TemporaryDirectory() as folder:
        bench = prepared(name, Path(folder))
        if provider:
            sizes = CPU_BATCHES if provider == Provider.CPU else FIXED_SIZES
            return _batches(bench, name, Provider(provider), sizes)
        batches = _batches(bench, name, Provider.CPU, CPU_BATCHES)  # before torch heats the machine
        return [*_ways(bench, name, Path(folder)), *batches]


def prepared(name: str, folder: Path) -> Bench:
    """A tower of drawn weights, the version made of it in `folder`, and four phantoms."""
    threads = usable_cores()
    torch.set_num_threads(threads)
    torch.manual_seed(SEED)
    recipe = Recipe(height_px=SHAPE[0], width_px=SHAPE[1])
    records = make_views(Series(SERIES, STANDARD, recipe), 0, folder=folder)
    canvases = np.stack([np.load(folder / record.file) for record in records])
    model = pretrained(
        ModelConfig(
            image=name,
            image_weights="none",
            pooling="mean",
            frozen_statistics=False,
            embedding_size=512,
            text_layers=1,
        )
    )
    _measure_statistics(model.image, canvases[:2])
    return Bench(model.image, _published(model, name, recipe, folder), canvases, threads)


@torch.no_grad()
def _measure_statistics(tower: ImageEncoder, canvases: U8) -> None:
    """BatchNorm of the canvases themselves: without, activations of drawn weights fade away."""
    for module in tower.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    tower.train()
    tower(torch.from_numpy(canvases))
    tower.eval()


def _published(model: Clip, name: str, recipe: Recipe, folder: Path) -> ModelVersion:
    staging = folder / "staging"
    staging.mkdir()
    prompts = read_prompt_set("mammography")
    write_files(model, staging, recipe=recipe, prompts=prompts)
    manifest = draft(
        model,
        name=name,
        version="1",
        description="Drawn weights.",
        licence=Licence(name="Apache-2.0", terms="For a benchmark."),
        recipe=recipe,
        prompts=prompts,
    )
    seal(staging, manifest, card="# Drawn weights\n")
    return ModelStore(folder / "store").publish(staging)


def _ways(bench: Bench, name: str, folder: Path) -> Iterator[Row]:
    """All ways are warmed up first, then take turns: a neighbour slows them alike."""
    forwards = dict(_forwards(bench, folder))
    first = bench.canvases[:1]
    answers = {}
    for way, forward in forwards.items():
        answers[way] = forward(first)
        _say(f"{name}: {way} has answered")
    spent: dict[str, list[float]] = {way: [] for way in forwards}
    for turn in range(ROUNDS):
        canvas = bench.canvases[turn % len(bench.canvases)][None]
        for way, forward in forwards.items():
            began = time.perf_counter()
            forward(canvas)
            spent[way].append(time.perf_counter() - began)
            _say(f"{name}: {way}: {spent[way][-1]:.3f} s")
    expected = answers[EAGER]
    ways = [
        Way(way, 1 / median(times), 1 - cosine(answers[way], expected))
        for way, times in spent.items()
    ]
    yield from _rows(ways, name, bench.threads)
    if find_spec("openvino") is None:
        yield Row(f"{name}, OpenVINO", float("nan"), "images/s", "", "openvino is not installed")


def _rows(ways: list[Way], name: str, threads: int) -> Iterator[Row]:
    rates = {way.name: way.rate for way in ways}
    for way in ways:
        over = f"{way.rate / rates[EAGER]:.2f} x eager, {way.rate / rates[COMPILED]:.2f} x compile"
        note = f"{over}; 1 - cosine {way.off:.1e}"
        yield Row(f"{name}, {way.name}, {threads} threads", way.rate, "images/s", "", note)
    yield Row(f"{name}, {ORT} over {EAGER}", rates[ORT] / rates[EAGER], "x", OVER_EAGER)
    yield Row(f"{name}, {ORT} over {COMPILED}", rates[ORT] / rates[COMPILED], "x", OVER_COMPILED)


def _forwards(bench: Bench, folder: Path) -> Iterator[tuple[str, Forward]]:
    yield EAGER, _torch_forward(_copy(bench.tower))
    yield LAST, _torch_forward(_copy(bench.tower).to(memory_format=torch.channels_last))
    yield COMPILED, _compiled(_copy(bench.tower).to(memory_format=torch.channels_last))
    yield ORT, _embedder(ModelRuntime.load(bench.version, threads=bench.threads, verify=False))
    if find_spec("openvino") is not None:
        for precision in ("f32", "bf16"):
            yield f"OpenVINO {precision}", _openvino(bench, precision)
    yield INT8, _int8(bench, folder)


def _copy(tower: ImageEncoder) -> ImageEncoder:
    copied = ImageEncoder(tower.name, embedding_size=512, pooling=tower.pooling)
    copied.load_state_dict(tower.state_dict())
    return copied.eval().to(memory_format=torch.contiguous_format)


def _torch_forward(tower: Callable[..., Any]) -> Forward:
    @torch.inference_mode()
    def forward(canvas: U8) -> F32:
        embedding: F32 = tower(torch.from_numpy(canvas)).embedding.numpy()[0]
        return embedding

    return forward


def _compiled(tower: ImageEncoder) -> Forward:  # weights frozen into the graph: the best there is
    compiled = torch.compile(tower, dynamic=False)

    @torch.no_grad()
    def forward(canvas: U8) -> F32:
        with _freezing():
            embedding: F32 = compiled(torch.from_numpy(canvas)).embedding.numpy()[0]
        return embedding

    return forward


@contextmanager
def _freezing() -> Iterator[None]:
    from torch._inductor import config

    with config.patch(freezing=True):
        yield


def _embedder(runtime: ModelRuntime) -> Forward:
    def forward(canvas: U8) -> F32:
        embedding: F32 = runtime.embed_images(canvas)[0]
        return embedding

    return forward


def _openvino(bench: Bench, precision: str) -> Forward:
    import openvino

    model = openvino.Core().read_model(bench.version.file("image.onnx"))
    model.reshape([1, *SHAPE])
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": bench.threads}
    compiled = openvino.Core().compile_model(model, "CPU", settings)

    def forward(canvas: U8) -> F32:
        return np.array(compiled(canvas)["embedding"][0])

    return forward


def _int8(bench: Bench, folder: Path) -> Forward:
    """As `mammoserve-train variant --kind int8` makes it, ranges from the phantoms."""
    import onnxruntime

    path = folder / "int8.onnx"
    image_to_int8(bench.version.file("image.onnx"), path, bench.canvases, scratch=folder)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = bench.threads, 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def forward(canvas: U8) -> F32:
        embedding: F32 = session.run(["embedding"], {"image": canvas})[0][0]
        return embedding

    return forward


def _batches(bench: Bench, name: str, provider: Provider, sizes: tuple[int, ...]) -> list[Row]:
    """Each size in a fresh process; its memory holds a small text tower too."""
    store = bench.version.path.parents[1]
    np.save(store / "canvases.npy", bench.canvases)
    expected = _torch_forward(bench.tower)(bench.canvases[:1])
    rows = []
    for size in sizes:
        command = [sys.executable, "-m", "bench.tower_child", str(store), bench.version.key]
        command += [str(store / "canvases.npy"), str(size), provider.value, str(bench.threads)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        answer = json.loads(done.stdout.splitlines()[-1])
        off = 1 - cosine(np.array(answer["embedding"]), expected)
        peaks = f"peak {answer['peak_bytes'] / 1e9:.2f} GB"
        peaks += f", device {answer['device_bytes'] / 1e9:.2f} GB" * bool(answer["device_bytes"])
        note = f"{peaks}; {answer['provider']}; 1 - cosine {off:.1e}"
        rows.append(Row(f"{name}, batch {size}", answer["images_per_s"], "images/s", "", note))
        _say(f"{name}: batch {size}: {answer['images_per_s']:.3g} images/s, {note}")
    return rows


def _say(line: str) -> None:
    """What is done so far: a large tower takes minutes."""
    print(time.strftime("%H:%M:%S"), line, file=sys.stderr, flush=True)


def cosine(got: F32, expected: F32) -> float:
    """Of two vectors, in double precision."""
    a, b = got.astype(np.float64), expected.astype(np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))
