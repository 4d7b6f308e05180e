"""Ready means: the queue answers, and a living worker has the default model, golden-checked.

A default model whose licence forbids serving is never ready before the operator accepts it.

A worker's heartbeat exists only after its golden check passed, and ends with its loop.
"""

import asyncio
import contextlib
from dataclasses import dataclass

from service.catalog import Catalog, how_to_accept
from service.embedding import Embedder
from service.errors import ErrorItem, NotReady, NoWorker, UnknownModel
from service.metrics import Metrics
from service.queue.streams import QueueClient, QueueDown

RETRY_AFTER_S = 2.0
PROBE_S = 2.0
"""A queue that does not answer for this long: probes and scrapers wait no longer themselves."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Asks the queue, each time."""

    catalog: Catalog
    embedder: Embedder

    async def check(self) -> None:
        """Raises NotReady with the reason."""
        try:
            version = self.catalog.default()
        except (UnknownModel, NoWorker):
            raise _not_ready("no_model", "the store has no readable default model") from None
        if not self.catalog.may_serve(version):
            raise _not_ready("licence_not_accepted", how_to_accept(version))
        try:
            async with asyncio.timeout(PROBE_S):
                serving = await self.embedder.serving(version)
        except (QueueDown, TimeoutError):
            raise _not_ready("queue_unreachable", "the queue does not answer") from None
        if not serving:
            raise _not_ready("no_worker", f"no living worker has verified {version.key}")


def _not_ready(code: str, message: str) -> NotReady:
    return NotReady(
        f"Not ready: {message}.",
        errors=[ErrorItem(code=code, message=message)],
        retry_after_s=RETRY_AFTER_S,
    )


async def update_gauges(metrics: Metrics, queue: QueueClient, keys: list[str]) -> None:
    """Queue depth and workers for the served models; left as they were while the queue is down."""
    with contextlib.suppress(QueueDown, TimeoutError):
        async with asyncio.timeout(PROBE_S):
            await _update(metrics, queue, keys)


async def _update(metrics: Metrics, queue: QueueClient, keys: list[str]) -> None:
    workers = await queue.workers()
    for key in keys:
        serving = [w for w in workers if any(m["key"] == key for m in w["models"])]
        metrics.depth.labels(key).set(await queue.depth(key))
        metrics.workers.labels(key).set(len(serving))
        for gauge, name in (
            (metrics.rate, "items_per_s"),
            (metrics.passes, "passes"),
            (metrics.batched, "images"),
            (metrics.heats, "heats"),
        ):
            gauge.labels(key).set(sum(w.get(name, {}).get(key, 0) for w in serving))
