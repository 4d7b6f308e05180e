"""The worker's side of the queue: take entries under a lease, keep the lease, complete each once.

Knows nothing of models. Delivery is at least once; completion counts once (lua/complete.lua).
Raises QueueDown when Redis cannot be reached.
"""

import contextlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from service.queue import keys
from service.queue.keys import GROUP, ItemFailed, Kind, QueueDown

logger = logging.getLogger(__name__)

READ_BYTES = 1 << 20
"""A canvas in a few reads instead of dozens."""
BEAT_TTL_S = 3.0
"""A worker that has not beaten for this long counts as dead."""
GONE_S = 3600.0
"""Consumers idle for this long that hold nothing are removed."""
KINDS: dict[str, Kind] = {"image": "image", "heat": "heat", "text": "text"}
CACHE_UNTIL = 0.8
"""Above this share of Redis' memory nothing is added to the cache: it must not starve the queue."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One entry in this worker's hands. `times`: how often it was delivered, this time included.

    `text` is the sentence of a text item, `ask` what a heat item asks of its canvas.
    """

    model_key: str
    entry: bytes
    job: str
    index: int
    kind: Kind
    ref: str
    shape: tuple[int, int] | None
    model_digest: str
    deadline_ms: int
    text: str
    ask: bytes
    times: int


@dataclass(frozen=True, slots=True)
class Contents:
    """What a delivery needs to be run: is the job wanted still, the canvas, a cached answer."""

    wanted: bool
    canvas: bytes | None
    cached: bytes | None


class WorkerQueue:
    """The entries of `model_keys` for the worker called `worker`."""

    def __init__(
        self,
        url: str,
        *,
        worker: str,
        model_keys: Sequence[str],
        lease_s: float,
        cache_ttl_s: float,
    ) -> None:
        self.worker = worker
        self._streams = {keys.stream_key(key): key for key in model_keys}
        self._lease_ms = int(lease_s * 1000)
        self._cache_ttl_ms = int(cache_ttl_s * 1000)
        self._cursors = dict.fromkeys(self._streams, b"0-0")
        self._redis: Any = redis.Redis.from_url(  # its stubs know only decoded text
            url,
            protocol=2,
            socket_connect_timeout=2,
            socket_timeout=10,
            socket_read_size=READ_BYTES,
            retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), 5),
        )
        self._may_cache = True
        self._complete = self._redis.register_script(keys.script("complete"))
        self._beat = self._redis.register_script(keys.script("heartbeat"))
        self._retire = self._redis.register_script(keys.script("retire"))

    def open(self) -> None:
        """Make the consumer groups. They start at 0: what was admitted before counts too."""
        with _faults():
            for stream in self._streams:
                self._make_group(stream)

    def close(self) -> None:
        """Leave the groups if nothing is held, so that no empty consumers gather."""
        with contextlib.suppress(QueueDown), _faults():
            self._redis.delete(keys.worker_key(self.worker))
            self._redis.srem(keys.WORKERS, self.worker)
            self._retire(keys=list(self._streams), args=[GROUP, self.worker, int(GONE_S * 1000)])
        self._redis.close()

    def read(self, count: int, *, wait_s: float) -> list[Delivery]:
        """Up to `count` new entries of each model; waits for the first at most `wait_s`."""
        return self._read(list(self._streams), count, wait_s)

    def read_more(self, model_key: str, count: int) -> list[Delivery]:
        """Up to `count` more of one model that are there already, to fill its batch."""
        return self._read([keys.stream_key(model_key)], count, 0)

    def claim(self) -> Delivery | None:
        """Take over one entry whose lease has run out, from a dead worker or a stalled one.

        One at a time: were many claimed and the first killed this worker too, the delivery
        counts of the innocent would rise with the guilty one's.
        """
        with _faults():
            for stream in self._streams:
                found = self._claim(stream)
                if found is not None:
                    return found
        return None

    def contents(self, deliveries: Sequence[Delivery]) -> list[Contents]:
        """Canvases and known answers of the deliveries, in one round trip."""
        with _faults():
            pipe = self._redis.pipeline(transaction=False)
            for it in deliveries:
                pipe.exists(keys.job_key(it.job))
                pipe.get(keys.blob_key(it.job, it.index))
                pipe.get(keys.cache_key(it.model_digest, it.kind, it.ref))
            found = pipe.execute()
        return [
            Contents(wanted=bool(found[at]), canvas=found[at + 1], cached=found[at + 2])
            for at in range(0, len(found), 3)
        ]

    def extend(self, deliveries: Sequence[Delivery]) -> None:
        """Keep the leases. JUSTID: idle starts again and the delivery count stays."""
        with _faults():
            for model_key, entries in _by_model(deliveries).items():
                self._redis.xclaim(
                    keys.stream_key(model_key), GROUP, self.worker, 0, entries, justid=True
                )

    def complete(self, delivery: Delivery, result: bytes | ItemFailed) -> int:
        """Give one result: its bytes or a failure.

        Returns how many items of the job remain, -1 if its caller has left, -2 if it was
        completed before (a duplicate delivery, absorbed).
        """
        cached = result if isinstance(result, bytes) else b""
        with _faults():
            return int(
                self._complete(
                    keys=[
                        keys.stream_key(delivery.model_key),
                        keys.job_key(delivery.job),
                        keys.blob_key(delivery.job, delivery.index),
                        keys.cache_key(delivery.model_digest, delivery.kind, delivery.ref),
                    ],
                    args=[
                        GROUP, delivery.entry, delivery.index, keys.encode_result(result),
                        cached, self._cache_ttl_ms if self._may_cache else 0,
                        keys.DONE_CHANNEL, delivery.job,
                    ],
                )
            )  # fmt: skip

    def beat(self, about: Mapping[str, Any]) -> None:
        """Say that this worker lives; `about` is what others read of it."""
        with _faults():
            self._beat(
                keys=[keys.worker_key(self.worker), keys.WORKERS],
                args=[
                    json.dumps({"id": self.worker, **about}),
                    int(BEAT_TTL_S * 1000),
                    self.worker,
                ],
            )
            memory = self._redis.info("memory")
        most = int(memory["maxmemory"])
        self._may_cache = most == 0 or int(memory["used_memory"]) < CACHE_UNTIL * most

    def _read(self, streams: Sequence[str], count: int, wait_s: float) -> list[Delivery]:
        block = int(wait_s * 1000) or None  # BLOCK 0 would wait for ever
        with _faults():
            try:
                found = self._redis.xreadgroup(
                    GROUP, self.worker, dict.fromkeys(streams, ">"), count=count, block=block
                )
            except ResponseError as error:
                if not _is_gone(error):
                    raise
                logger.warning("the queue's group is gone (Redis lost its data?): made again")
                self.open()
                return []
        deliveries = [
            self._parsed(stream.decode(), entry, fields, times=1)
            for stream, entries in found or []
            for entry, fields in entries
        ]
        return [it for it in deliveries if it is not None]

    def _make_group(self, stream: str) -> None:
        try:
            self._redis.xgroup_create(stream, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    def _claim(self, stream: str) -> Delivery | None:
        try:
            cursor, entries, *_ = self._redis.xautoclaim(
                stream, GROUP, self.worker, self._lease_ms, self._cursors[stream], count=1
            )
        except ResponseError as error:
            if not _is_gone(error):
                raise
            self._make_group(stream)
            return None
        self._cursors[stream] = cursor  # a call looks at ten entries; the next goes on from there
        for entry, fields in entries:
            if not fields:  # Redis 6.2 names entries that were deleted since
                continue
            pending = self._redis.xpending_range(stream, GROUP, entry, entry, 1)
            times = int(pending[0]["times_delivered"]) if pending else 1
            return self._parsed(stream, entry, fields, times=times)
        return None

    def _parsed(
        self, stream: str, entry: bytes, fields: Mapping[bytes, bytes], *, times: int
    ) -> Delivery | None:
        """None for what is no entry of ours: dropped, or it would end every worker in turn."""
        try:
            return _delivery(self._streams[stream], entry, fields, times=times)
        except (KeyError, ValueError):
            logger.error("dropped an entry that this version cannot read")
            self._redis.xack(stream, GROUP, entry)
            self._redis.xdel(stream, entry)
            return None


def _delivery(
    model_key: str, entry: bytes, fields: Mapping[bytes, bytes], *, times: int
) -> Delivery:
    shape, kind = fields[b"shape"].decode(), KINDS[fields[b"kind"].decode()]
    height, _, width = shape.partition("x")
    return Delivery(
        model_key=model_key,
        entry=entry,
        job=fields[b"job"].decode(),
        index=int(fields[b"index"]),
        kind=kind,
        ref=fields[b"ref"].decode(),
        shape=(int(height), int(width)) if shape else None,
        model_digest=fields[b"model"].decode(),
        deadline_ms=int(fields[b"deadline_ms"]),
        text="" if kind == "heat" else fields[b"text"].decode(),
        ask=fields[b"text"] if kind == "heat" else b"",
        times=times,
    )


def _by_model(deliveries: Sequence[Delivery]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for delivery in deliveries:
        found.setdefault(delivery.model_key, []).append(delivery.entry)
    return found


def _is_gone(error: ResponseError) -> bool:
    """The stream or its group went away, before or (UNBLOCKED) while we waited on it."""
    return str(error).startswith(("NOGROUP", "UNBLOCKED"))


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    """Redis' errors in the queue's words."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise keys.down(error) from None
