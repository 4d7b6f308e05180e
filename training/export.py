"""Trained towers -> the files of a model version, checked against torch while they are made.

Output names are part of the contract. "embedding" is free for the image graph, but in a text graph
it collides with a name inside the exporter, so that tower says text_embedding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from model_store.arrays import F32, I64, U8
from model_store.manifest import Recipe, TensorSpec
from model_store.text import Tokenizer
from training.models.clip import Clip
from training.onnx_graph import export_graph

PARITY = 1e-4
"""Largest difference allowed between an embedding of torch and of the exported graph."""


class ParityError(Exception):
    """The exported graph does not compute what torch does."""

    def __init__(self, graph: str, difference: float) -> None:
        super().__init__(
            f"{graph}: differs from torch by {difference:.2g}, allowed {PARITY}; "
            "look for a reduction over two axes or a folded constant"
        )
        self.difference = difference


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """Inputs on which towers are compared, now and at every load of the version."""

    canvases: U8  # (n, H, W)
    sentences: tuple[str, ...]


def export_towers(model: Clip, folder: Path, *, recipe: Recipe, half_weights: bool = False) -> None:
    """Write image.onnx, text.onnx and tokenizer.json.

    `half_weights` rounds the model's large weights to float16, in place, and halves both files.
    """
    batch = torch.export.Dim("N")
    canvases = torch.zeros(2, recipe.height_px, recipe.width_px, dtype=torch.uint8)
    export_graph(
        model.image,
        (canvases,),
        folder / "image.onnx",
        names=(["image"], ["embedding", "features"]),
        dynamic=({0: batch},),
        half_weights=half_weights,
    )
    sentence = {0: batch, 1: torch.export.Dim("L", max=model.text.base.max_tokens)}
    ids = torch.ones(2, 7, dtype=torch.int64)
    export_graph(
        model.text,
        (ids, ids.clone()),  # one tensor twice would make one input of the two
        folder / "text.onnx",
        names=(["input_ids", "attention_mask"], ["text_embedding"]),
        dynamic=(sentence, sentence),
        half_weights=half_weights,
    )
    tokenizer = model.text.base.tokenizer_json()
    (folder / "tokenizer.json").write_text(tokenizer, encoding="utf-8")


def check_parity(model: Clip, folder: Path, *, golden: Golden, max_tokens: int) -> float:
    """Largest difference of an embedding from torch, both towers; ParityError above 1e-4."""
    ids, mask = Tokenizer.from_file(folder / "tokenizer.json", max_tokens=max_tokens).encode(
        golden.sentences
    )
    image, text = run_image(folder, golden.canvases), run_text(folder, ids=ids, mask=mask)
    with torch.inference_mode():
        model.eval()
        expected = model.image(torch.from_numpy(golden.canvases)).embedding.numpy()
        expected_text = model.text(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
    differences = {
        "image.onnx": float(np.abs(image - expected).max()),
        "text.onnx": float(np.abs(text - expected_text).max()),
    }
    for graph, difference in differences.items():
        if not difference <= PARITY:
            raise ParityError(graph, difference)
    return max(differences.values())


def write_golden(folder: Path, golden: Golden, *, max_tokens: int) -> None:
    """golden.npz: the inputs and what the exported graphs answer."""
    ids, mask = Tokenizer.from_file(folder / "tokenizer.json", max_tokens=max_tokens).encode(
        golden.sentences
    )
    np.savez_compressed(
        folder / "golden.npz",
        image=golden.canvases,
        image_embedding=run_image(folder, golden.canvases),
        sentences=np.array(golden.sentences),
        text_embedding=run_text(folder, ids=ids, mask=mask),
    )


def run_image(folder: Path, canvases: U8) -> F32:
    """(n, H, W) -> (n, D) by image.onnx."""
    session = _session(folder / "image.onnx")
    embedding: F32 = session.run(["embedding"], {"image": canvases})[0]
    return embedding


def run_text(folder: Path, *, ids: I64, mask: I64) -> F32:
    """(n, L) twice -> (n, D) by text.onnx."""
    session = _session(folder / "text.onnx")
    feed = {"input_ids": ids, "attention_mask": mask}
    embedding: F32 = session.run(["text_embedding"], feed)[0]
    return embedding


def _session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def tensor_specs(
    recipe: Recipe, *, embedding_size: int, channels: int, stride: int
) -> dict[str, TensorSpec | tuple[TensorSpec, ...]]:
    """The manifest's description of both graphs."""
    height, width = recipe.height_px, recipe.width_px
    grid: Sequence[int] = (-(-height // stride), -(-width // stride))
    return {
        "image_input": TensorSpec(name="image", dtype="uint8", shape=("N", height, width)),
        "image_outputs": (
            TensorSpec(name="embedding", dtype="float32", shape=("N", embedding_size)),
            TensorSpec(name="features", dtype="float32", shape=("N", channels, *grid)),
        ),
        "text_inputs": (
            TensorSpec(name="input_ids", dtype="int64", shape=("N", "L")),
            TensorSpec(name="attention_mask", dtype="int64", shape=("N", "L")),
        ),
        "text_outputs": (
            TensorSpec(name="text_embedding", dtype="float32", shape=("N", embedding_size)),
        ),
    }
