"""The API's side of the queue: admit a job, wait for its results, look into the cache.

Knows nothing of HTTP, DICOM or models.
"""

import asyncio
import contextlib
import json
import logging
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import OutOfMemoryError, RedisError

from service.queue import keys
from service.queue.keys import (
    DeadlinePassed,
    HeatItem,
    Item,
    ItemFailed,
    Kind,
    QueueDown,
    QueueFull,
    QueueStorageFull,
    TextItem,
)

logger = logging.getLogger(__name__)

POLL_S = 1.0
"""A waiter looks for itself this often, should a publication get lost."""
OUTAGE_S = 5.0
"""A waiter sits out a Redis restart of this length; the job survives it in the append-only file."""
RETRY_AFTER_S = (1.0, 60.0)
UNMEASURED_RETRY_AFTER_S = 5.0


class QueueClient:
    """Use as `async with QueueClient(url, max_items=256)`; one for each event loop."""

    def __init__(
        self, url: str, *, max_items: int, result_ttl_s: float = 600, connect_timeout_s: float = 2
    ) -> None:
        self._max_items = max_items
        self._result_ttl_ms = int(result_ttl_s * 1000)
        self._redis: Any = redis.asyncio.Redis.from_url(  # its stubs know only decoded text
            url,
            protocol=2,
            socket_connect_timeout=connect_timeout_s,
            socket_timeout=10,
            retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.2), 2),
        )
        self._admit = self._redis.register_script(keys.script("admit"))
        self._forget = self._redis.register_script(keys.script("forget"))
        self._waiting: dict[str, asyncio.Event] = {}
        self._listener: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._listener = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop listening and close the connections."""
        if self._listener is not None:
            # Again and again: redis-py sends under asyncio.wait_for, which before Python 3.12 can
            # swallow a cancellation that comes while the write is done (bpo-37658).
            while not self._listener.done():
                self._listener.cancel()
                await asyncio.wait([self._listener], timeout=0.1)
        await self._redis.aclose()

    async def submit(
        self, model_key: str, model_digest: str, items: Sequence[Item], *, deadline_ms: int
    ) -> str:
        """Admit all items or none; gives the job's id.

        Raises QueueFull, QueueStorageFull or QueueDown.
        """
        if not items:
            raise ValueError("a job needs at least one item")
        job = uuid.uuid4().hex
        ttl_ms = max(deadline_ms - keys.now_ms(), 0) + self._result_ttl_ms
        blobs = [keys.blob_key(job, index) for index in range(len(items))]
        arguments: list[Any] = [self._max_items, deadline_ms, ttl_ms, model_digest, job]
        for item in items:
            arguments += [keys.kind_of(item), item.ref, *_payload(item)]
        stream = keys.stream_key(model_key)
        async with _faults():
            state, depth = await self._admit(
                keys=[stream, keys.job_key(job), *blobs], args=arguments
            )
        if state == b"full":
            raise QueueFull(depth, await self._retry_after_s(model_key, depth))
        return job

    async def wait(self, job: str, n: int, *, deadline_s: float) -> list[bytes | ItemFailed]:
        """The results of a job's `n` items, in their order: bytes, or why there are none.

        `deadline_s` is counted from now. Raises DeadlinePassed, or QueueDown when Redis stays
        away for OUTAGE_S or no longer knows the job.
        """
        event = self._waiting.setdefault(job, asyncio.Event())
        try:
            async with asyncio.timeout(deadline_s):
                return await self._results(job, n, event, deadline_s=deadline_s)
        except TimeoutError:
            raise DeadlinePassed(f"no answer within {deadline_s:.1f} s") from None
        finally:
            self._waiting.pop(job, None)

    async def _results(
        self, job: str, n: int, event: asyncio.Event, *, deadline_s: float
    ) -> list[bytes | ItemFailed]:
        loop = asyncio.get_running_loop()
        last_seen = loop.time()
        until = last_seen + deadline_s  # looked at too: a cancellation can get lost, see close()
        while loop.time() < until:
            try:
                async with _faults():
                    stored = await self._redis.hgetall(keys.job_key(job))
            except QueueDown:
                if loop.time() - last_seen > OUTAGE_S:
                    raise
            else:
                last_seen = loop.time()
                if not stored:
                    raise QueueDown("the queue has lost the job; send the request again")
                if int(stored[b"remaining"]) <= 0:
                    return [keys.decode_result(stored[b"r:%d" % index]) for index in range(n)]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await event.wait()
                event.clear()
        raise TimeoutError

    async def cached(self, model_digest: str, kind: Kind, refs: Sequence[str]) -> dict[str, bytes]:
        """The answers that are known already, by ref: float32 bytes, or heat as queue.heat says."""
        if not refs:
            return {}
        async with _faults():
            found = await self._redis.mget([keys.cache_key(model_digest, kind, r) for r in refs])
        return {ref: value for ref, value in zip(refs, found, strict=True) if value is not None}

    async def workers(self) -> list[dict[str, Any]]:
        """What each living worker says of itself: id, models with key and digest, rates."""
        async with _faults():
            ids = sorted(id_.decode() for id_ in await self._redis.smembers(keys.WORKERS))
            if not ids:
                return []
            beats = await self._redis.mget([keys.worker_key(id_) for id_ in ids])
            gone = [id_ for id_, beat in zip(ids, beats, strict=True) if beat is None]
            if gone:
                await self._redis.srem(keys.WORKERS, *gone)
        return [json.loads(beat) for beat in beats if beat is not None]

    async def depth(self, model_key: str) -> int:
        """Items of this model that wait or run."""
        async with _faults():
            return int(await self._redis.xlen(keys.stream_key(model_key)))

    async def ping(self) -> None:
        """Return when Redis answers; raises QueueDown."""
        async with _faults():
            await self._redis.ping()

    async def forget(self, job: str) -> None:
        """The caller has left: nobody will ask for this job's results."""
        async with _faults():
            await self._forget(keys=[keys.job_key(job)], args=[keys.blob_prefix(job)])

    async def _retry_after_s(self, model_key: str, depth: int) -> float:
        """Depth over what the workers measured; a guess as long as they measured nothing."""
        rate: float = sum(
            worker["items_per_s"].get(model_key, 0.0) for worker in await self.workers()
        )
        if rate <= 0:
            return UNMEASURED_RETRY_AFTER_S
        low, high = RETRY_AFTER_S
        return min(max(depth / rate, low), high)

    async def _listen(self) -> None:
        """Wake waiters on publications; reconnect for ever. Waiters poll meanwhile."""
        while True:
            try:
                async with self._redis.pubsub() as pubsub:
                    await pubsub.subscribe(keys.DONE_CHANNEL)
                    while True:
                        message = await pubsub.get_message(
                            ignore_subscribe_messages=True, timeout=5.0
                        )
                        if message is not None:
                            self._wake(message["data"].decode())
            except (RedisError, OSError) as error:
                logger.warning("lost the queue's publications: %s", type(error).__name__)
                await asyncio.sleep(0.5)

    def _wake(self, job: str) -> None:
        event = self._waiting.get(job)
        if event is not None:
            event.set()


def _payload(item: Item) -> list[Any]:
    """Shape and canvas for its blob, and what stands in the entry itself; '' where it has none."""
    if isinstance(item, TextItem):
        return ["", "", item.text.encode()]
    shape = f"{item.shape[0]}x{item.shape[1]}"
    return [shape, item.canvas, item.ask if isinstance(item, HeatItem) else ""]


@contextlib.asynccontextmanager
async def _faults() -> AsyncIterator[None]:
    """Redis' errors in the queue's words."""
    try:
        yield
    except OutOfMemoryError:
        raise QueueStorageFull("the queue's memory is full") from None
    except (RedisError, OSError) as error:
        raise keys.down(error) from None
