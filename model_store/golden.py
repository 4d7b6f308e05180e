"""golden.npz: a few inputs and the embeddings they gave where the version was made.

Knows nothing of how embeddings are made.
"""

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_store.arrays import F32, I64, U8
from model_store.errors import CorruptModel, GoldenMismatch
from model_store.store import ModelVersion

MIN_COSINE = 0.9999
MAX_DIFFERENCE = 1e-3
"""An embedding is reproduced when both hold. Wider than what separates two CPUs (float32 sums in
another order), narrower than any change of weights or of the input."""
_UNREADABLE = (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error)
KEYS = ("image", "image_embedding", "sentences", "text_embedding")
FACTOR_KEYS = ("factor_channels", "factor_embedding")
"""Beside them where the version has factor.onnx. A few channels will do: one mapper serves all."""
FACTOR_CHANNELS = 8


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """Inputs (n, H, W) uint8 and m sentences, with the embeddings (n, D) and (m, D) expected."""

    images: U8
    image_embedding: F32
    sentences: tuple[str, ...]
    text_embedding: F32
    factor: "GoldenFactor | None" = None


@dataclass(frozen=True, slots=True, eq=False)
class GoldenFactor:
    """Channels (c,) int64, and the embeddings (n, K, c, D) that factor.onnx gave of them."""

    channels: I64
    embedding: F32


def read_golden(version: ModelVersion) -> Golden:
    """Read golden.npz; CorruptModel where it does not hold what it must."""
    path = version.file("golden.npz")
    keys = (*KEYS, *FACTOR_KEYS) if version.manifest.factor else KEYS
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in keys}
    except _UNREADABLE as error:
        raise CorruptModel(
            version.key, path.name, expected=f"arrays {', '.join(keys)}", got=str(error)
        ) from error
    image, image_embedding, sentences, text_embedding = (arrays[key] for key in KEYS)
    if not (image.size and image.ndim == 3 and sentences.size and sentences.ndim == 1):
        raise CorruptModel(version.key, path.name, expected="images and sentences", got="none")
    if not {image_embedding.dtype, text_embedding.dtype} <= {np.dtype(np.float32)}:
        raise CorruptModel(version.key, path.name, expected="float32 embeddings", got="others")
    return Golden(
        images=image,
        image_embedding=image_embedding,
        sentences=tuple(str(sentence) for sentence in sentences),
        text_embedding=text_embedding,
        factor=_factor(version, arrays) if version.manifest.factor else None,
    )


def sample_channels(channels: int) -> I64:
    """Numbers of at most eight channels, evenly spread: those that a golden file speaks of."""
    return np.unique(np.linspace(0, channels - 1, FACTOR_CHANNELS).round().astype(np.int64))


def _factor(version: ModelVersion, arrays: Mapping[str, NDArray[Any]]) -> GoldenFactor:
    channels, embedding = (arrays[key] for key in FACTOR_KEYS)
    wanted = len(arrays["image"]), channels.size
    got = embedding.shape[::2] if embedding.ndim == 4 else embedding.shape
    types = channels.dtype, embedding.dtype
    if got != wanted or not embedding.size or types != (np.dtype("i8"), np.dtype("f4")):
        raise CorruptModel(
            version.key,
            "golden.npz",
            expected=f"float32 embeddings of {wanted[1]} channels for {wanted[0]} images",
            got=f"{embedding.dtype} {embedding.shape}",
        )
    return GoldenFactor(channels, embedding)


def compare(key: str, tower: str, *, got: F32, expected: F32) -> None:
    """GoldenMismatch unless every row of `got` (n, D) is its row of `expected`."""
    if got.shape != expected.shape:
        raise GoldenMismatch(
            key, f"{tower} embeddings: expected shape {expected.shape}, got {got.shape}"
        )
    norms = np.linalg.norm(got, axis=1) * np.linalg.norm(expected, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):  # a row of zeros: nan, and a mismatch
        cosine = float(np.min((got * expected).sum(axis=1) / norms))
    difference = float(np.max(np.abs(got - expected)))
    if not (cosine >= MIN_COSINE and difference <= MAX_DIFFERENCE):
        raise GoldenMismatch(
            key,
            f"{tower} embeddings: expected cosine >= {MIN_COSINE} and difference <= "
            f"{MAX_DIFFERENCE}, got cosine {cosine:.6f} and difference {difference:.2g}",
        )
