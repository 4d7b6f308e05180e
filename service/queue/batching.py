"""Run a batch so that one bad item costs only itself. Knows nothing of queues or ONNX."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from model_store.arrays import F32, U8
from model_store.refusals import RefusalCode
from service.queue.keys import ItemFailed

logger = logging.getLogger(__name__)

T = TypeVar("T")
INFERENCE_FAILED = ItemFailed(RefusalCode.INFERENCE_FAILED.value)


class Executor(Protocol):
    """What a worker needs of a model; model_store.runtime.ModelRuntime is one."""

    @property
    def preferred_batch(self) -> int:
        """Images that go through the model together."""
        ...

    def embed_images(self, canvases: U8) -> F32:
        """(N, H, W) -> (N, D) L2-normalised."""
        ...

    def embed_texts(self, sentences: Sequence[str]) -> F32:
        """N sentences -> (N, D) L2-normalised."""
        ...

    def check_golden(self) -> None:
        """Raise when known inputs no longer give their known outputs."""
        ...


@dataclass(frozen=True, slots=True)
class Served:
    """A loaded model: `shape` (H, W) of its canvases.

    `look`: a canvas and what a heat item asks of it -> its answer; None = it makes no heat maps.
    """

    key: str
    digest: str
    shape: tuple[int, int]
    executor: Executor
    look: Callable[[U8, bytes], bytes] | None = None


class ExecutorBroken(Exception):
    """The model fails on its own golden inputs too: the process must go, the items must stay."""


def pieces(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """`items` in runs of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def run_isolated(
    run: Callable[[Sequence[T]], F32], items: Sequence[T], *, check: Callable[[], None]
) -> list[bytes | ItemFailed]:
    """One float32 embedding (as bytes) or one failure for each item, in their order.

    `run` gives one row an item; else as `isolated`.
    """
    return isolated(rows_of(run), items, check=check)


def rows_of(run: Callable[[Sequence[T]], F32]) -> Callable[[Sequence[T]], list[bytes]]:
    """`run` with its rows as bytes; ValueError unless each item has one, and a finite one."""

    def rows(batch: Sequence[T]) -> list[bytes]:
        found = run(batch)
        if found.ndim != 2 or len(found) != len(batch) or not np.isfinite(found).all():
            raise ValueError(f"the model gave {found.shape} for {len(batch)} items")
        return [row.tobytes() for row in np.ascontiguousarray(found, dtype=np.float32)]

    return rows


def isolated(
    run: Callable[[Sequence[T]], list[bytes]], items: Sequence[T], *, check: Callable[[], None]
) -> list[bytes | ItemFailed]:
    """One answer or one failure for each item, in their order.

    A batch that raises is halved until the guilty items stand alone: at most 2 log2 N runs more
    for one of them. When every item fails, `check` decides whose fault it is: if it raises too,
    ExecutorBroken.
    """
    results = _bisect(run, items) if items else []
    if items and all(isinstance(result, ItemFailed) for result in results):
        try:
            check()
        except Exception as error:
            raise ExecutorBroken(f"golden check: {type(error).__name__}") from error
    return results


def _bisect(
    run: Callable[[Sequence[T]], list[bytes]], items: Sequence[T]
) -> list[bytes | ItemFailed]:
    try:
        return [*run(items)]
    except Exception as error:  # noqa: BLE001 - whatever the model raised belongs to one item
        if len(items) == 1:
            logger.warning("an item could not be run: %s", type(error).__name__)
            return [INFERENCE_FAILED]
    middle = len(items) // 2
    return _bisect(run, items[:middle]) + _bisect(run, items[middle:])
