"""What a model's image tower says of a set of canvases: once, and from disk from then on.

Cached by the digest of image.onnx and of each canvas's own bytes, so a new calibration, another
selection of images or another order costs nothing, and a pass that was killed goes on where it was.
Feature maps are not kept (B5: 11 MB an image); their mean over the positions is.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_store.arrays import F32, U8
from model_store.graphs import EMBEDDING, FEATURES
from model_store.runtime import ModelRuntime
from model_store.store import ModelVersion, sha256_of
from training.data.canvas_set import CanvasSet
from training.whole_file import whole_file

SHARD = 64  # canvases that a killed pass may have to do again
Progress = Callable[[int, int], None]
"""Called with (done, all)."""


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """Rows in the order of the canvases: `embeddings` (N, D) of length 1, `pooled` (N, C)."""

    embeddings: F32
    pooled: F32

    def rows(self, chosen: NDArray[np.intp]) -> "Embedded":
        """Those of some canvases."""
        return Embedded(self.embeddings[chosen], self.pooled[chosen])


def embed_canvases(
    runtime: ModelRuntime, canvases: CanvasSet, *, cache: Path, progress: Progress
) -> Embedded:
    """Embeddings and mean features of every canvas, in order; what is in `cache` is not done again.

    ValueError where a canvas is not of the recipe's size, BadEmbedding where one is not finite.
    """
    folder = cache / graph_digest(runtime.version)[:16]
    folder.mkdir(parents=True, exist_ok=True)
    known = _read_shards(folder)
    keys = [canvas_digest(canvases.canvas(record)) for record in canvases.records]
    missing = list(dict.fromkeys(key for key in keys if key not in known))
    record_of = dict(zip(keys, canvases.records, strict=True))
    for start in range(0, len(missing), SHARD):
        chosen = missing[start : start + SHARD]
        made = _embed(runtime, [canvases.canvas(record_of[key]) for key in chosen])
        _write_shard(folder, chosen, made)
        known.update(zip(chosen, zip(made.embeddings, made.pooled, strict=True), strict=True))
        progress(len(keys) - len(missing) + start + len(chosen), len(keys))
    return Embedded(
        np.stack([known[key][0] for key in keys]), np.stack([known[key][1] for key in keys])
    )


def canvas_digest(canvas: U8) -> str:
    """32 hex digits of a canvas's size and grey levels."""
    digest = hashlib.blake2b(str(canvas.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(canvas).data)
    return digest.hexdigest()


def graph_digest(version: ModelVersion) -> str:
    """sha256 of image.onnx as it lies on disk; a draft's manifest has no digests yet."""
    return sha256_of(version.file("image.onnx"))


def _embed(runtime: ModelRuntime, canvases: Sequence[U8]) -> Embedded:
    embeddings, pooled = [], []
    for piece in _pieces(canvases, runtime.preferred_batch):
        out = runtime.run_images(np.stack(piece), outputs=(EMBEDDING, FEATURES))
        embeddings.append(out[EMBEDDING])
        pooled.append(out[FEATURES].mean(axis=(2, 3)))
    return Embedded(np.concatenate(embeddings), np.concatenate(pooled))


def _pieces(canvases: Sequence[U8], size: int) -> Iterator[Sequence[U8]]:
    for start in range(0, len(canvases), size):
        yield canvases[start : start + size]


def _read_shards(folder: Path) -> dict[str, tuple[F32, F32]]:
    """(embedding, pooled) by the canvas's digest."""
    known: dict[str, tuple[F32, F32]] = {}
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as shard:
            rows = zip(shard["embeddings"], shard["pooled"], strict=True)
            known.update(zip(shard["canvases"].tolist(), rows, strict=True))
    return known


def _write_shard(folder: Path, keys: Sequence[str], made: Embedded) -> None:
    """Named by its first canvas, so that two passes at once do not write one file."""
    with whole_file(folder / f"{keys[0]}-{len(keys)}.npz") as file:
        np.savez(file, canvases=np.array(keys), embeddings=made.embeddings, pooled=made.pooled)
