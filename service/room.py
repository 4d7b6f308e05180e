"""How many images one API process holds at a time: their canvases are its memory.

A canvas of 1520 x 912 is 1.4 MB from its decoding to the answer. Without a bound the most uploads
of the most files would hold 5.7 GB.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import QueueIsFull
from service.metrics import Metrics

RETRY_AFTER_S = 5.0


class Room:
    """For `capacity` images. Lives on one event loop: no lock."""

    def __init__(self, capacity: int, metrics: Metrics) -> None:
        self._capacity = capacity
        self._held = 0
        self._metrics = metrics

    @contextmanager
    def hold(self, images: int) -> Iterator[None]:
        """Room for a request's images, all or none: two that wait for each other would hang.

        A request larger than the whole room has it to itself. Raises QueueIsFull.
        """
        if self._held and self._held + images > self._capacity:
            self._metrics.refused.labels("no_room").inc()
            raise QueueIsFull("Too many images wait already.", retry_after_s=RETRY_AFTER_S)
        self._held += images
        try:
            yield
        finally:
            self._held -= images
