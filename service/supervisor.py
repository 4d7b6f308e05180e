"""Keeps N worker processes running: restarts them, stops them, lets none outlive this process.

Knows nothing of what a worker does.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from service import parent_death

logger = logging.getLogger(__name__)

WORKER = (sys.executable, "-m", "service.queue.worker")
WATCH_S = 0.1
BACKOFF_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Wait before the n-th restart in a row; the first is at once."""
STEADY_S = 10.0
"""A process that lived this long is not failing at its start: the count begins anew."""
WRONG_SETTINGS = 2
"""Exit code of a worker that no restart can help: it has said why."""
GRACE_S = 20.0
"""From SIGTERM to SIGKILL: time to finish the batch in hand."""


@dataclass(eq=False)
class _Slot:
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restart_at: float = 0.0
    failures: int = 0


class Supervisor:
    """Use as a context manager, or start() and stop()."""

    def __init__(
        self,
        *,
        workers: int,
        environment: Mapping[str, str],
        command: Sequence[str] = WORKER,
        grace_s: float = GRACE_S,
    ) -> None:
        self._command = list(command)
        self._environment = dict(environment)
        self._grace_s = grace_s
        self._slots = [_Slot() for _ in range(workers)]
        self._stop = threading.Event()
        self._gave_up = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that run now."""
        processes = [slot.process for slot in self._slots]
        return [it.pid for it in processes if it is not None and it.poll() is None]

    @property
    def gave_up(self) -> bool:
        """Whether a worker ended for its settings; none runs any more."""
        return self._gave_up.is_set()

    def start(self) -> None:
        """Start the workers; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for what is still there after `grace_s`."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        """In one thread from start to end: a child dies with the thread that began it."""
        while not self._stop.is_set() and not self.gave_up:
            for slot in self._slots:
                if not self.gave_up:
                    self._tend(slot)
            self._stop.wait(WATCH_S)
        self._end()

    def _tend(self, slot: _Slot) -> None:
        now = time.monotonic()
        if slot.process is not None:
            code = slot.process.poll()
            if code is None:
                return
            slot.process = None
            if code == WRONG_SETTINGS:
                logger.error("a worker ended with %d, wrong settings: no restart", code)
                self._gave_up.set()
                return
            slot.failures = 0 if now - slot.started_at > STEADY_S else slot.failures
            wait_s = BACKOFF_S[min(slot.failures, len(BACKOFF_S) - 1)]
            slot.failures += 1
            slot.restart_at = now + wait_s
            logger.error("a worker ended with %d: restart in %.1f s", code, wait_s)
        if now < slot.restart_at:
            return
        try:
            slot.process = self._launch()
        except OSError as error:  # no memory or no process left: it may come back
            logger.error("a worker could not be started: %s", error.strerror)
            slot.restart_at = now + BACKOFF_S[-1]
        slot.started_at = now

    def _launch(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - our own module
            parent_death.command(self._command),
            stdin=subprocess.DEVNULL,
            env={**os.environ, **self._environment},
            start_new_session=True,  # Ctrl-C is for the service, which then stops these
        )

    def _end(self) -> None:
        running = [slot.process for slot in self._slots if slot.process is not None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        until = time.monotonic() + self._grace_s
        for process in running:
            try:
                process.wait(max(until - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                logger.error("a worker did not end in %.0f s: killed", self._grace_s)
                process.kill()
                process.wait()
