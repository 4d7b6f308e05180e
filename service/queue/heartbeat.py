"""A worker's second thread: keeps the leases of what is being run, and says that the worker lives.

It speaks for the loop, not for itself: once the loop has not moved for `stall_s`, the beats and
the leases end with the process, so that another worker takes over.
"""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

from service.queue.keys import QueueDown
from service.queue.worker_queue import Delivery, WorkerQueue

logger = logging.getLogger(__name__)

BEAT_S = 1.0
EXIT_STALLED = 70  # EX_SOFTWARE of sysexits.h


class Heartbeat:
    """Use as a context manager around the worker's loop."""

    def __init__(
        self,
        queue: WorkerQueue,
        *,
        about: Callable[[], Mapping[str, Any]],
        lease_s: float,
        stall_s: float,
    ) -> None:
        self._queue = queue
        self._about = about
        self._period_s = min(BEAT_S, lease_s / 3)
        self._stall_s = stall_s
        self._moved_at = time.monotonic()
        self._held: dict[bytes, Delivery] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self.moved()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def moved(self) -> None:
        """The loop has turned, or has finished a piece of a batch."""
        self._moved_at = time.monotonic()

    @contextlib.contextmanager
    def holding(self, deliveries: Sequence[Delivery]) -> Iterator[None]:
        """Keep the leases of `deliveries` meanwhile; those `done` is told of end earlier."""
        with self._lock:
            self._held.update((it.entry, it) for it in deliveries)
        try:
            yield
        finally:
            for it in deliveries:
                self.done(it)

    def done(self, delivery: Delivery) -> None:
        """This one is complete."""
        with self._lock:
            self._held.pop(delivery.entry, None)

    def _run(self) -> None:
        while not self._stop.is_set():
            stalled_s = time.monotonic() - self._moved_at
            if stalled_s > self._stall_s:
                logger.critical("the worker has not moved for %.0f s: it ends here", stalled_s)
                os._exit(EXIT_STALLED)  # the stuck call cannot be interrupted otherwise
            with self._lock:
                held = list(self._held.values())
            try:
                self._queue.beat(self._about())
                self._queue.extend(held)
            except QueueDown as error:
                logger.warning("no heartbeat: %s", error)
            self._stop.wait(self._period_s)
