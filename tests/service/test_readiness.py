"""Probes and scrapers get their answer in time, whatever the queue does."""

import time
from pathlib import Path

import psutil

from tests.service.live import four_views, live, problem, stopped
from tests.service.queue_helpers import eventually


def test_a_stalled_queue_holds_up_neither_probe_nor_scraper(tmp_path: Path) -> None:
    with live(tmp_path) as running:
        servers = [
            child
            for child in psutil.Process().children(recursive=True)
            if child.name().startswith(("valkey", "redis"))
        ]
        assert servers
        with stopped(servers):
            began = time.monotonic()
            problem(running.client.get("/readyz"), "not-ready")
            assert running.client.get("/metrics").status_code == 200
            assert time.monotonic() - began < 8
        assert running.serving.wait_ready(20)


def test_metrics_tell_how_full_the_batches_of_the_workers_are(tmp_path: Path) -> None:
    with live(tmp_path, batch_wait_ms=200) as running:
        assert running.classify(four_views()).status_code == 200
        eventually(lambda: running.metric("mammo_worker_batched_images", model="tiny/1") == 4)
        assert 1 <= running.metric("mammo_worker_batches", model="tiny/1") <= 4
