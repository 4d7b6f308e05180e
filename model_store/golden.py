"""golden.npz: a few inputs and the embeddings they gave where the version was made.

Knows nothing of how embeddings are made.
"""

import zipfile
import zlib
from dataclasses import dataclass

import numpy as np

from model_store.arrays import F32, U8
from model_store.errors import CorruptModel, GoldenMismatch
from model_store.store import ModelVersion

MIN_COSINE = 0.9999
MAX_DIFFERENCE = 1e-3
"""An embedding is reproduced when both hold. Wider than what separates two CPUs (float32 sums in
another order), narrower than any change of weights or of the input."""
_UNREADABLE = (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error)
KEYS = ("image", "image_embedding", "sentences", "text_embedding")


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """Inputs (n, H, W) uint8 and m sentences, with the embeddings (n, D) and (m, D) expected."""

    images: U8
    image_embedding: F32
    sentences: tuple[str, ...]
    text_embedding: F32


def read_golden(version: ModelVersion) -> Golden:
    """Read golden.npz; CorruptModel where it does not hold what it must."""
    path = version.file("golden.npz")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            image, image_embedding, sentences, text_embedding = (stored[key] for key in KEYS)
    except _UNREADABLE as error:
        raise CorruptModel(
            version.key, path.name, expected=f"arrays {', '.join(KEYS)}", got=str(error)
        ) from error
    if not (image.size and image.ndim == 3 and sentences.size and sentences.ndim == 1):
        raise CorruptModel(version.key, path.name, expected="images and sentences", got="none")
    if not {image_embedding.dtype, text_embedding.dtype} <= {np.dtype(np.float32)}:
        raise CorruptModel(version.key, path.name, expected="float32 embeddings", got="others")
    return Golden(
        images=image,
        image_embedding=image_embedding,
        sentences=tuple(str(sentence) for sentence in sentences),
        text_embedding=text_embedding,
    )


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
