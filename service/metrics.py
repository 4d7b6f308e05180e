"""What /metrics shows. Labels are closed sets and model keys: never a UID, a name or a path.

One registry an application, so that two in one process (tests) do not mix.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
UNMATCHED = "unmatched"


class Metrics:
    """Counters and histograms of one API process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        reg = self.registry
        self.requests = Counter(
            "mammo_http_requests", "Requests", ("method", "route", "status"), registry=reg
        )
        self.duration = Histogram(
            "mammo_http_request_duration_seconds",
            "Time from the first byte to the end of the answer",
            ("route",),
            buckets=SECONDS,
            registry=reg,
        )
        self.in_flight = Gauge("mammo_http_requests_in_flight", "Requests now", registry=reg)
        self.uploaded = Counter("mammo_upload_bytes", "Bytes of uploaded files", registry=reg)
        self.images = Counter(
            "mammo_images", "Images by what became of them", ("outcome", "code"), registry=reg
        )
        self.decode = Histogram(
            "mammo_decode_duration_seconds",
            "Time from file to canvas, waiting for a decode process included",
            buckets=SECONDS,
            registry=reg,
        )
        self.cache = Counter(
            "mammo_cache_requests", "Embeddings looked up", ("kind", "result"), registry=reg
        )
        self.queue_wait = Histogram(
            "mammo_queue_duration_seconds",
            "Time from admission to all results",
            ("model",),
            buckets=SECONDS,
            registry=reg,
        )
        self.refused = Counter(
            "mammo_admission_rejected", "Jobs not admitted", ("reason",), registry=reg
        )
        self.expired = Counter("mammo_deadline_expired", "Deadlines passed", registry=reg)
        self.depth = Gauge("mammo_queue_depth", "Items that wait or run", ("model",), registry=reg)
        self.workers = Gauge("mammo_workers", "Living workers", ("model",), registry=reg)
        self.rate = Gauge(
            "mammo_worker_items_per_second", "Sum of what workers measure", ("model",), registry=reg
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
