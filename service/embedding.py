"""Canvases and sentences -> vectors, by cache and queue. Knows nothing of files or HTTP."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from model_store.arrays import F32
from model_store.store import ModelVersion
from service.errors import (
    DeadlineExceeded,
    NoWorker,
    QueueIsFull,
    QueueUnreachable,
    StorageFull,
)
from service.metrics import Metrics
from service.queue.batching import INFERENCE_FAILED
from service.queue.heat import ImageHeat, decode_heat
from service.queue.streams import (
    DEADLINE,
    DeadlinePassed,
    HeatItem,
    ImageItem,
    Item,
    ItemFailed,
    Kind,
    QueueClient,
    QueueDown,
    QueueFull,
    QueueStorageFull,
    TextItem,
    kind_of,
    now_ms,
    text_ref,
)

logger = logging.getLogger(__name__)

NO_WORKER_RETRY_S = 3.0
DOWN_RETRY_S = 2.0
STORAGE_RETRY_S = 10.0
FORGET_S = 2.0
Vector = F32 | ItemFailed
Heat = ImageHeat | ItemFailed
Answers = dict[tuple[Kind, str], bytes | ItemFailed]
"""What the queue gave, by kind and ref."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """(D,) float32 each, or why there is none: images by their ref, sentences by their text."""

    images: Mapping[str, Vector]
    texts: Mapping[str, Vector]


class Embedder:
    """What is known comes from the cache; the rest goes through the queue as one job.

    More than `largest_job` items go as several, one after the other: a request that asks more
    than the queue may hold would be turned away for ever.
    """

    def __init__(self, queue: QueueClient, metrics: Metrics, *, largest_job: int) -> None:
        self._queue = queue
        self._metrics = metrics
        self._largest_job = largest_job

    async def embed(
        self,
        version: ModelVersion,
        *,
        images: Sequence[ImageItem] = (),
        texts: Sequence[str] = (),
        until: float,
    ) -> Vectors:
        """Vectors of all of them; `until` is a time.monotonic().

        Raises QueueIsFull, NoWorker, QueueUnreachable, StorageFull or DeadlineExceeded.
        """
        by_ref: dict[str, Item] = {image.ref: image for image in images}
        refs = {text: text_ref(text) for text in texts}
        sentences: dict[str, Item] = {ref: TextItem(text, ref) for text, ref in refs.items()}
        async with self._faults(version, until=until):
            found_images = await self._cached(version, "image", list(by_ref))
            found_texts = await self._cached(version, "text", list(sentences))
            wanted = [item for ref, item in by_ref.items() if ref not in found_images]
            wanted += [item for ref, item in sentences.items() if ref not in found_texts]
            fresh = await self._run_all(version, wanted, until=until)
        fresh |= {("image", ref): known for ref, known in found_images.items()}
        fresh |= {("text", ref): known for ref, known in found_texts.items()}
        return Vectors(
            images={ref: _vector(fresh["image", ref]) for ref in by_ref},
            texts={text: _vector(fresh["text", ref]) for text, ref in refs.items()},
        )

    async def heat(
        self, version: ModelVersion, items: Sequence[HeatItem], *, until: float
    ) -> dict[str, Heat]:
        """Heat of images by their items' ref. Raises as `embed`."""
        by_ref: dict[str, Item] = {item.ref: item for item in items}
        async with self._faults(version, until=until):
            found = await self._cached(version, "heat", list(by_ref))
            wanted = [item for ref, item in by_ref.items() if ref not in found]
            fresh = await self._run_all(version, wanted, until=until)
        fresh |= {("heat", ref): known for ref, known in found.items()}
        return {ref: _heat(fresh["heat", ref]) for ref in by_ref}

    async def serving(self, version: ModelVersion) -> list[dict[str, Any]]:
        """The living workers that have exactly this version. Raises QueueDown."""
        return [
            worker
            for worker in await self._queue.workers()
            if any(
                model["key"] == version.key and model["digest"] == version.digest
                for model in worker["models"]
            )
        ]

    async def _cached(
        self, version: ModelVersion, kind: Kind, refs: list[str]
    ) -> Mapping[str, bytes]:
        found = await self._queue.cached(version.digest, kind, refs)
        self._metrics.looked_up(kind, hits=len(found), misses=len(refs) - len(found))
        return found

    async def _run_all(
        self, version: ModelVersion, items: Sequence[Item], *, until: float
    ) -> Answers:
        """One job after the other, none larger than `largest_job`."""
        answers: Answers = {}
        for start in range(0, len(items), self._largest_job):
            job = items[start : start + self._largest_job]
            answers |= await self._run(version, job, until=until)
        return answers

    async def _run(self, version: ModelVersion, items: Sequence[Item], *, until: float) -> Answers:
        if not await self.serving(version):
            raise _no_worker()
        left_s = until - time.monotonic()
        deadline_ms = now_ms() + int(left_s * 1000)
        began = time.perf_counter()
        job = await self._queue.submit(version.key, version.digest, items, deadline_ms=deadline_ms)
        try:
            results = await self._queue.wait(job, len(items), deadline_s=left_s)
        except (DeadlinePassed, asyncio.CancelledError):
            await self._forget(job)
            raise
        self._metrics.queue_wait.labels(version.key).observe(time.perf_counter() - began)
        if ItemFailed(DEADLINE) in results:
            raise DeadlinePassed("an item was not run in time")
        return {
            (kind_of(item), item.ref): result for item, result in zip(items, results, strict=True)
        }

    async def _forget(self, job: str) -> None:
        """The caller has left or waited long enough: workers need not run its items."""
        with contextlib.suppress(QueueDown, TimeoutError):
            async with asyncio.timeout(FORGET_S):
                await self._queue.forget(job)

    @contextlib.asynccontextmanager
    async def _faults(self, version: ModelVersion, *, until: float) -> AsyncIterator[None]:
        """The queue's faults in the caller's words."""
        try:
            async with asyncio.timeout(max(until - time.monotonic(), 0)):
                yield
        except QueueFull as error:
            self._metrics.refused.labels("queue_full").inc()
            raise QueueIsFull(
                "Too many images wait already.", retry_after_s=error.retry_after_s
            ) from None
        except QueueStorageFull:
            self._metrics.refused.labels("storage_full").inc()
            raise StorageFull(
                "The queue has no memory left.", retry_after_s=STORAGE_RETRY_S
            ) from None
        except QueueDown as error:
            logger.warning("queue: %s", error)
            raise QueueUnreachable(
                "The queue does not answer.", retry_after_s=DOWN_RETRY_S
            ) from None
        except (DeadlinePassed, TimeoutError):
            await self._late(version)

    async def _late(self, version: ModelVersion) -> NoReturn:
        """Too late: is it for want of a worker?"""
        self._metrics.expired.inc()
        with contextlib.suppress(QueueDown, TimeoutError):
            async with asyncio.timeout(FORGET_S):
                if not await self.serving(version):
                    raise _no_worker() from None
        raise DeadlineExceeded("The answer did not come before the deadline.") from None


def _no_worker() -> NoWorker:
    return NoWorker("No living worker serves this model.", retry_after_s=NO_WORKER_RETRY_S)


def _vector(answer: bytes | ItemFailed) -> Vector:
    return answer if isinstance(answer, ItemFailed) else np.frombuffer(answer, dtype="<f4")


def _heat(answer: bytes | ItemFailed) -> Heat:
    """A worker of another release may answer in another form: then it has failed."""
    if isinstance(answer, ItemFailed):
        return answer
    try:
        return decode_heat(answer)
    except ValueError:
        logger.error("a worker's heat maps cannot be read: is it of another release?")
        return INFERENCE_FAILED
