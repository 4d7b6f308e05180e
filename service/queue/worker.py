"""The worker: takes entries off the queue, runs them in batches, completes each once.

    MAMMO_REDIS_URL=redis://host:6379/0 python -m service.queue.worker

Ends with 0 after SIGTERM (the batch in hand is finished), with 1 when a model stops reproducing
its golden outputs, so that whoever supervises it starts a fresh one.
"""

import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any

from model_store.providers import ProviderUnavailable
from service import logs
from service.queue.batching import ExecutorBroken, Served, isolated, pieces
from service.queue.heartbeat import Heartbeat
from service.queue.keys import DEADLINE, ItemFailed, Kind, QueueDown, now_ms
from service.queue.kinds import ORDER, content_of, how, settle
from service.queue.loading import load_models
from service.queue.worker_queue import Delivery, WorkerQueue
from service.settings import Settings

logger = logging.getLogger("service.queue.worker")  # it is __main__ where a service starts it

IDLE_S = 0.5
"""How long an idle worker waits for an entry; also how soon it notices SIGTERM."""
CLAIM_S = 0.5
"""How often it looks for entries whose lease has run out."""
TOP_UP_STEP_S = 0.002
"""Between looks for late-comers. No short BLOCK: an idle server ends it up to 100 ms late."""
STALL_S = 120.0
"""A pass of the model that takes longer than this is a hang."""
RATE_MEMORY = 0.8


class Worker:
    """The loop over one queue and its models."""

    def __init__(
        self,
        queue: WorkerQueue,
        models: Sequence[Served],
        *,
        max_batch: int,
        batch_wait_s: float,
        lease_s: float,
        stall_s: float = STALL_S,
    ) -> None:
        self._queue = queue
        self._models = {served.key: served for served in models}
        self._max_batch = max_batch
        self._batch_wait_s = batch_wait_s
        self._rates: dict[str, float] = {}
        self._passes = {served.key: 0 for served in models}
        self._images = dict(self._passes)
        self._heats = dict(self._passes)
        self._claim_at = 0.0
        self._started_ms = now_ms()
        self._heartbeat = Heartbeat(queue, about=self._about, lease_s=lease_s, stall_s=stall_s)

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set; a batch in hand is finished. Raises ExecutorBroken."""
        down = 0
        opened = False
        with self._heartbeat:
            while not stop.is_set():
                self._heartbeat.moved()
                try:
                    if not opened:
                        self._queue.open()
                        opened = True
                    self._turn(stop)
                except QueueDown as error:
                    down += 1
                    logger.warning("%s; trying again", error)
                    stop.wait(min(0.1 * 2**down, 2.0) * (0.5 + secrets.randbelow(1000) / 1000))
                else:
                    down = 0
        self._queue.close()

    def _turn(self, stop: threading.Event) -> None:
        while time.monotonic() >= self._claim_at and not stop.is_set():
            found = self._queue.claim()
            if found is None:
                self._claim_at = time.monotonic() + CLAIM_S
                break
            logger.warning("took over an item: delivery %d", found.times)
            self._work(found.model_key, [found])
        most = max(self._batch(served) for served in self._models.values())
        fresh = self._queue.read(most, wait_s=IDLE_S)
        with self._heartbeat.holding(fresh):
            for key in dict.fromkeys(it.model_key for it in fresh):
                self._work(key, self._filled(key, [it for it in fresh if it.model_key == key]))

    def _filled(self, key: str, deliveries: list[Delivery]) -> list[Delivery]:
        """The batch with those that join it: images within the top-up wait, sentences at once."""
        texts = any(it.kind == "text" for it in deliveries)
        most = self._max_batch if texts else self._batch(self._models[key])
        until = time.monotonic() + (0 if texts else self._batch_wait_s)
        while len(deliveries) < most:
            deliveries += self._queue.read_more(key, most - len(deliveries))
            wait_s = until - time.monotonic()
            if wait_s <= 0:
                break
            time.sleep(min(wait_s, TOP_UP_STEP_S))
        return deliveries

    def _batch(self, served: Served) -> int:
        """No more than the model takes at once: what one worker holds, another cannot take."""
        return max(1, min(self._max_batch, served.executor.preferred_batch))

    def _work(self, key: str, deliveries: Sequence[Delivery]) -> None:
        """Complete every delivery of one model, each with an answer or a failure."""
        began = time.monotonic()
        served = self._models[key]
        todo: dict[Kind, list[tuple[Delivery, Any]]] = {kind: [] for kind in ORDER}
        with self._heartbeat.holding(deliveries):
            for it, has in zip(deliveries, self._queue.contents(deliveries), strict=True):
                settled = settle(it, has, served)
                if settled is not None:
                    self._complete(it, settled)
                else:
                    todo[it.kind].append((it, content_of(it, has, served)))
            for kind, pairs in todo.items():
                self._run(kind, pairs, served)
        rate = len(deliveries) / max(time.monotonic() - began, 1e-6)
        known = self._rates.get(key, rate)
        self._rates[key] = RATE_MEMORY * known + (1 - RATE_MEMORY) * rate

    def _run(self, kind: Kind, pairs: Sequence[tuple[Delivery, Any]], served: Served) -> None:
        """In pieces of what the model takes at once: first answers leave before the last run."""
        run, at_once = how(kind, served, max_batch=self._max_batch)
        for piece in pieces(pairs, at_once):
            wanted = [pair for pair in piece if not self._expired(pair[0])]
            if not wanted:
                continue
            self._count(kind, served.key, len(wanted))
            contents = [content for _, content in wanted]
            found = isolated(run, contents, check=served.executor.check_golden)
            for (it, _), result in zip(wanted, found, strict=True):
                self._complete(it, result)

    def _count(self, kind: Kind, key: str, items: int) -> None:
        if kind == "image":
            self._passes[key] += 1
            self._images[key] += items
        elif kind == "heat":
            self._heats[key] += items

    def _expired(self, it: Delivery) -> bool:
        """Whether the deadline passed; such an item is completed as failed."""
        if now_ms() < it.deadline_ms:
            return False
        self._complete(it, ItemFailed(DEADLINE))
        return True

    def _complete(self, it: Delivery, result: bytes | ItemFailed) -> None:
        self._queue.complete(it, result)
        self._heartbeat.done(it)
        self._heartbeat.moved()

    def _about(self) -> Mapping[str, Any]:
        return {
            "pid": os.getpid(),
            "started_ms": self._started_ms,
            "models": [
                {"key": served.key, "digest": served.digest} for served in self._models.values()
            ],
            "items_per_s": dict(self._rates),
            "passes": dict(self._passes),
            "images": dict(self._images),
            "heats": dict(self._heats),
        }


def worker_id() -> str:
    """Unique for each start: a restarted worker never inherits what its predecessor held."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


def stop_on_signals() -> threading.Event:
    """Set by SIGTERM or SIGINT."""
    stop = threading.Event()

    def handle(number: int, _: FrameType | None) -> None:
        logger.info("%s: finishing the batch in hand", signal.Signals(number).name)
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return stop


def serve(worker: Worker, stop: threading.Event) -> int:
    """Run to the end; gives the exit code of the process."""
    try:
        worker.run(stop)
    except ExecutorBroken as error:
        logger.critical("the model no longer works (%s): this process ends", error)
        return 1
    return 0


def run_worker(settings: Settings) -> int:
    """Load the models, then serve until told to stop; gives the exit code of the process."""
    if settings.redis_url is None:
        logger.error("a worker needs MAMMO_REDIS_URL: the queue it shall work for")
        return 2
    stop = stop_on_signals()
    try:
        models = load_models(settings)
    except ProviderUnavailable as error:
        logger.error("MAMMO_PROVIDER: %s", error)
        return 2
    if not models:
        logger.error("no model below %s could be loaded", settings.models)
        return 1
    queue = WorkerQueue(
        settings.redis_url,
        worker=worker_id(),
        model_keys=[served.key for served in models],
        lease_s=settings.lease_s,
        cache_ttl_s=settings.cache_ttl_s,
    )
    worker = Worker(
        queue,
        models,
        max_batch=settings.max_batch,
        batch_wait_s=settings.batch_wait_ms / 1000,
        lease_s=settings.lease_s,
    )
    logger.info("worker serves %s", ", ".join(served.key for served in models))
    return serve(worker, stop)


def main() -> int:
    """Entry of `python -m service.queue.worker`."""
    settings = Settings()
    logs.configure(settings)
    return run_worker(settings)


if __name__ == "__main__":
    sys.exit(main())
