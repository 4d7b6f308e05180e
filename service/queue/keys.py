"""The protocol between API and workers: keys, items, results, errors. Knows no connection.

Times are absolute Unix milliseconds; API and workers are expected to keep their clocks together
to well under a second. Nothing here names a file, a patient or a UID: blobs are canvases.

* QueueError
  x QueueFull            429  come back after `retry_after_s`
  x QueueDown            503  Redis cannot be reached, or has lost the job: ask again
  x QueueStorageFull     503  Redis has no memory left
  x DeadlinePassed       504  no answer in time
"""

import hashlib
import time
import unicodedata
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

GROUP = "workers"
DONE_CHANNEL = "mammo:done"
WORKERS = "mammo:workers"

DEADLINE = "deadline"
"""Code of an item whose deadline passed before it was run."""


class QueueError(Exception):
    """A fault of the queue."""


class QueueFull(QueueError):
    """Admission refused: `depth` items wait or run, `retry_after_s` is an estimate."""

    def __init__(self, depth: int, retry_after_s: float) -> None:
        super().__init__(f"{depth} items are waiting; retry after {retry_after_s:.0f} s")
        self.depth = depth
        self.retry_after_s = retry_after_s


class QueueDown(QueueError):
    """Redis cannot be reached, or no longer knows the job."""


class QueueStorageFull(QueueError):
    """Redis has no memory left for new work."""


class DeadlinePassed(QueueError):
    """The job was not complete in time."""


def down(error: Exception) -> QueueDown:
    """A fault of Redis or of the way to it, without what its message may quote."""
    said = str(error).partition(" ")[0]
    code = said if said.isupper() else ""  # the server's own code: READONLY, LOADING, ...
    return QueueDown(f"the queue cannot be used ({type(error).__name__} {code})".replace(" )", ")"))


@dataclass(frozen=True, slots=True)
class ImageItem:
    """A canvas, `shape` (H, W), one byte a pixel; `ref` from `image_ref`."""

    canvas: bytes
    shape: tuple[int, int]
    ref: str

    def __post_init__(self) -> None:
        height, width = self.shape
        if len(self.canvas) != height * width:
            raise ValueError(f"a {height} x {width} canvas has {len(self.canvas)} bytes")


@dataclass(frozen=True, slots=True)
class HeatItem:
    """A canvas as in ImageItem, and what is asked of it: queue.heat's bytes; `ref` of `heat_ref`.

    Answered with that module's bytes, not with an embedding.
    """

    canvas: bytes
    shape: tuple[int, int]
    ask: bytes
    ref: str

    def __post_init__(self) -> None:
        height, width = self.shape
        if len(self.canvas) != height * width:
            raise ValueError(f"a {height} x {width} canvas has {len(self.canvas)} bytes")


@dataclass(frozen=True, slots=True)
class TextItem:
    """A sentence; `ref` from `text_ref`."""

    text: str
    ref: str


Item = ImageItem | HeatItem | TextItem
Kind = Literal["image", "heat", "text"]


@dataclass(frozen=True, slots=True)
class ItemFailed:
    """One item has no answer: `code` is a RefusalCode's value or `deadline`."""

    code: str


def image_ref(canvas: bytes | memoryview, recipe_digest: str) -> str:
    """Cache reference of a canvas: sha256 over its bytes and the recipe's digest, 64 hex digits."""
    digest = hashlib.sha256(canvas)
    digest.update(recipe_digest.encode())
    return digest.hexdigest()


def text_ref(text: str) -> str:
    """Cache reference of a sentence: sha256 of its NFC form, 64 hex digits."""
    return hashlib.sha256(unicodedata.normalize("NFC", text).encode()).hexdigest()


def heat_ref(image: str, ask: bytes) -> str:
    """Cache reference of a heat item: sha256 over `image_ref` and what is asked, 64 hex digits."""
    return hashlib.sha256(image.encode() + ask).hexdigest()


def kind_of(item: Item) -> Kind:
    """What it is called in the queue and in cache keys."""
    if isinstance(item, ImageItem):
        return "image"
    return "heat" if isinstance(item, HeatItem) else "text"


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


def stream_key(model_key: str) -> str:
    """Stream of a model version; `model_key` is "name/version"."""
    return f"mammo:q:{model_key}"


def job_key(job: str) -> str:
    """Hash of a job."""
    return f"mammo:job:{job}"


def blob_prefix(job: str) -> str:
    """What the blob keys of a job begin with."""
    return f"mammo:blob:{job}:"


def blob_key(job: str, index: int) -> str:
    """Canvas of one item."""
    return f"{blob_prefix(job)}{index}"


def cache_key(model_digest: str, kind: str, ref: str) -> str:
    """Embedding of an image or a sentence, or heat of an image, by one model, by digest."""
    return f"mammo:emb:{model_digest}:{kind}:{ref}"


def worker_key(worker: str) -> str:
    """Heartbeat of a worker."""
    return f"mammo:worker:{worker}"


def encode_result(result: bytes | ItemFailed) -> bytes:
    """What stands in the job hash: b"ok" + the answer's bytes, or b"er" + code."""
    if isinstance(result, ItemFailed):
        return b"er" + result.code.encode()
    return b"ok" + result


def decode_result(stored: bytes) -> bytes | ItemFailed:
    """Inverse of `encode_result`."""
    if stored[:2] == b"ok":
        return stored[2:]
    return ItemFailed(stored[2:].decode())


def script(name: str) -> str:
    """Text of lua/`name`.lua."""
    return (files("service.queue") / "lua" / f"{name}.lua").read_text(encoding="utf-8")
