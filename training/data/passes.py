"""Batches by number, drawn ahead by processes of their own.

Apart from `run`, so that those processes, which are spawned, import little. Knows nothing of
Lightning, losses or towers.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from training.data.pairs import PairBatch, PairItem, collate_pairs

Fetch = Callable[[int], Any]
"""Number of a pass of this process -> its batch."""


@dataclass(frozen=True, slots=True)
class PairFetch:
    """Pass n of process `rank`: pairs that no other process and no other pass of an epoch sees."""

    pairs: Dataset[PairItem]
    batch: int
    rank: int = 0
    world: int = 1

    def __call__(self, number: int) -> PairBatch:
        """`batch` pairs, numbered on over the passes and processes."""
        first = (number * self.world + self.rank) * self.batch
        return collate_pairs([self.pairs[index] for index in range(first, first + self.batch)])


class _Passes(IterableDataset[Any]):
    """Passes from number `first` on; worker w of n draws every n-th, and they come in order."""

    def __init__(self, fetch: Fetch, *, first: int, last: int) -> None:
        self._fetch, self._first, self._last = fetch, first, last

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        ahead, step = (worker.id, worker.num_workers) if worker else (0, 1)
        for number in range(self._first + ahead, self._last, step):
            yield self._fetch(number)


def pass_loader(fetch: Fetch, *, first: int, last: int, workers: int) -> DataLoader[Any]:
    """Batches of the passes first to last, in order, by `workers` processes or in this one.

    Processes are spawned: a fork of one that has threads (OpenCV's, OpenMP's) may hang. So what
    fetches must be picklable, unless there are no workers.
    """
    return DataLoader(
        _Passes(fetch, first=first, last=last),
        batch_size=None,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
        worker_init_fn=_one_thread,
        pin_memory=torch.cuda.is_available(),
    )


def _one_thread(worker: int) -> None:
    del worker
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
