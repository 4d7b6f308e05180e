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

import numpy as np

from model_store.arrays import F32, U8
from model_store.refusals import RefusalCode
from service import logs
from service.queue.batching import (
    INFERENCE_FAILED,
    ExecutorBroken,
    Served,
    pieces,
    run_isolated,
)
from service.queue.heartbeat import Heartbeat
from service.queue.keys import DEADLINE, ItemFailed, QueueDown, now_ms
from service.queue.loading import load_models
from service.queue.worker_queue import Contents, Delivery, WorkerQueue
from service.settings import Settings

logger = logging.getLogger("service.queue.worker")  # it is __main__ where a service starts it

IDLE_S = 0.5
"""How long an idle worker waits for an entry; also how soon it notices SIGTERM."""
CLAIM_S = 0.5
"""How often it looks for entries whose lease has run out."""
TOP_UP_STEP_S = 0.002
"""Between looks for late-comers. No short BLOCK: an idle server ends it up to 100 ms late."""
MOST_DELIVERIES = 3
"""From the second delivery on an item runs alone; beyond this many it is quarantined."""
STALL_S = 120.0
"""A pass of the model that takes longer than this is a hang."""
RATE_MEMORY = 0.8
LEFT = ItemFailed("left")


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
        self._images = {served.key: 0 for served in models}
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
        """Complete every delivery of one model, each with an embedding or a failure."""
        began = time.monotonic()
        served = self._models[key]
        images: list[tuple[Delivery, U8]] = []
        texts: list[tuple[Delivery, str]] = []
        with self._heartbeat.holding(deliveries):
            for it, has in zip(deliveries, self._queue.contents(deliveries), strict=True):
                settled = settle(it, has, served)
                if settled is not None:
                    self._complete(it, settled)
                elif has.canvas is not None:
                    canvas = np.frombuffer(has.canvas, dtype=np.uint8).reshape(served.shape)
                    images.append((it, canvas))
                else:
                    texts.append((it, it.text))
            self._run_texts(served, texts)
            self._run_images(served, images)
        rate = len(deliveries) / max(time.monotonic() - began, 1e-6)
        known = self._rates.get(key, rate)
        self._rates[key] = RATE_MEMORY * known + (1 - RATE_MEMORY) * rate

    def _run_texts(self, served: Served, texts: Sequence[tuple[Delivery, str]]) -> None:
        executor = served.executor
        wanted = [pair for pair in texts if not self._expired(pair[0])]
        found = run_isolated(
            executor.embed_texts, [text for _, text in wanted], check=executor.check_golden
        ) if wanted else []  # fmt: skip
        for (it, _), result in zip(wanted, found, strict=True):
            self._complete(it, result)

    def _run_images(self, served: Served, images: Sequence[tuple[Delivery, U8]]) -> None:
        """In pieces of what the model takes at once: first answers leave before the last run."""
        executor = served.executor

        def run(canvases: Sequence[U8]) -> F32:
            return executor.embed_images(np.stack(canvases))

        for piece in pieces(images, max(1, executor.preferred_batch)):
            wanted = [pair for pair in piece if not self._expired(pair[0])]
            if not wanted:
                continue
            self._passes[served.key] += 1
            self._images[served.key] += len(wanted)
            found = run_isolated(run, [canvas for _, canvas in wanted], check=executor.check_golden)
            for (it, _), result in zip(wanted, found, strict=True):
                self._complete(it, result)

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
        }


def settle(it: Delivery, has: Contents, served: Served) -> bytes | ItemFailed | None:
    """What is known of an item before it is run; None = run it."""
    if not has.wanted:
        return LEFT
    if it.model_digest == served.digest and has.cached is not None:
        return has.cached
    if it.times > MOST_DELIVERIES:
        logger.error("an item was delivered %d times and never completed", it.times)
        return ItemFailed(RefusalCode.QUARANTINED.value)
    if now_ms() >= it.deadline_ms:
        return ItemFailed(DEADLINE)
    if it.model_digest != served.digest:
        logger.error("%s: API and worker have different files of this version", served.key)
        return INFERENCE_FAILED
    if it.kind == "image" and not _fits(it, has.canvas, served.shape):
        logger.error("%s: a canvas is missing or not of the model's size", served.key)
        return INFERENCE_FAILED
    return None


def _fits(it: Delivery, canvas: bytes | None, shape: tuple[int, int]) -> bool:
    return canvas is not None and it.shape == shape and len(canvas) == shape[0] * shape[1]


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
    models = load_models(settings)
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
