"""What /metrics shows. Labels are closed sets and model keys: never a UID, a name or a path.

One registry an application, so that two in one process (tests) do not mix.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
UNMATCHED = "unmatched"


class Metrics:
    """Counters and histograms of one API process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        seconds = partial(Histogram, buckets=SECONDS, registry=self.registry)
        self.requests = counter("mammo_http_requests", "Requests", ("method", "route", "status"))
        self.duration = seconds(
            "mammo_http_request_duration_seconds", "From first byte to last", ("route",)
        )
        self.in_flight = gauge("mammo_http_requests_in_flight", "Requests now")
        self.uploaded = counter("mammo_upload_bytes", "Bytes of uploaded files")
        self.images = counter("mammo_images", "Images by their fate", ("outcome", "code"))
        self.decode = seconds(
            "mammo_decode_duration_seconds", "From file to canvas, the wait for a child included"
        )
        self.cache = counter(
            "mammo_cache_requests",
            "Embeddings and heat maps looked up in the cache",
            ("kind", "result"),
        )
        self.queue_wait = seconds(
            "mammo_queue_duration_seconds", "From admission to the last result", ("model",)
        )
        self.refused = counter("mammo_admission_rejected", "Jobs not admitted", ("reason",))
        self.expired = counter("mammo_deadline_expired", "Deadlines passed")
        self.depth = gauge("mammo_queue_depth", "Items that wait or run", ("model",))
        self.workers = gauge("mammo_workers", "Living workers", ("model",))
        self.rate = gauge(
            "mammo_worker_items_per_second", "Sum of what workers measure", ("model",)
        )
        self.passes = gauge(
            "mammo_worker_batches", "Batches of images that living workers ran", ("model",)
        )
        self.batched = gauge("mammo_worker_batched_images", "Images in these batches", ("model",))
        self.heats = gauge(
            "mammo_worker_heat_images", "Images that living workers made heat maps of", ("model",)
        )

    @contextmanager
    def timed(self, histogram: Histogram) -> Iterator[None]:
        """Observe how long the block takes, also where it raises."""
        began = time.perf_counter()
        try:
            yield
        finally:
            histogram.observe(time.perf_counter() - began)

    def request(self, *, method: str, route: str | None, status: int, seconds: float) -> None:
        """One answered request."""
        shown = method if method in METHODS else "other"
        self.requests.labels(shown, route or UNMATCHED, str(status)).inc()
        self.duration.labels(route or UNMATCHED).observe(seconds)

    def image(self, outcome: str, code: str | None) -> None:
        """One image's fate: analyzed, rejected or failed, and its code."""
        self.images.labels(outcome, code or "").inc()

    def looked_up(self, kind: str, *, hits: int, misses: int) -> None:
        """A look into the embedding cache."""
        self.cache.labels(kind, "hit").inc(hits)
        self.cache.labels(kind, "miss").inc(misses)

    def text(self) -> bytes:
        """The exposition of all of it."""
        return generate_latest(self.registry)
