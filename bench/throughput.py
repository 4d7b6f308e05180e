"""Images per second through `POST /classify` over a bare ONNX Runtime loop of the same model."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from bench.images import distinct
from bench.rows import Row
from bench.server import Server, running
from model_store.cores import usable_cores
from model_store.dicom_input import read_mammogram
from model_store.render import render
from model_store.runtime import ModelRuntime
from model_store.store import ModelStore
from service.settings import Settings

IMAGES, CONCURRENCY = 96, 8


def run() -> list[Row]:
    """Bare loop, service in both arrangements of the same threads, bare loop again.

    One worker with all threads answers one image soonest. As many workers of one thread each do
    more images a second, since no thread waits for another that decoding has pushed aside.
    """
    files = distinct(IMAGES)
    threads = usable_cores()
    before = bare(files[:24], threads)
    rows = [
        (workers, each, *serve(files, workers=workers, threads=each))
        for workers, each in dict.fromkeys([(1, threads), (threads, 1)])
    ]
    after = bare(files[24:48], threads)
    baseline = (before + after) / 2
    note = f"{threads} threads; {before:.2f} before, {after:.2f} after"
    found = [Row("bare ONNX Runtime loop", baseline, "images/s", note=note)]
    for workers, each, rate, alone in rows:
        how = f"{workers} worker(s) of {each} thread(s)"
        note = f"concurrency {CONCURRENCY}, {IMAGES} distinct 2294 x 1914 images"
        found += [
            Row(f"POST /classify, {how}", rate, "images/s", note=note),
            Row(f"  over bare loop, {how}", rate / baseline, "ratio", ">= 0.85"),
            Row("  one image alone, whole request", alone * 1000, "ms", note="after warm-up"),
        ]
    return found


def serve(files: list[bytes], *, workers: int, threads: int) -> tuple[float, float]:
    """(images per second with eight callers, seconds of one request alone)."""
    with running(workers=str(workers), worker_threads=str(threads)) as server:
        return through_service(server, files), single(server, distinct(1, rows=2290))


def bare(files: list[bytes], threads: int) -> float:
    """Images per second of the model alone, canvases made beforehand."""
    version = ModelStore(Settings().models).find(None)
    runtime = ModelRuntime.load(version, threads=threads, verify=False)
    canvases = [render(read_mammogram(file), version.manifest.recipe).canvas for file in files]
    runtime.embed_images(canvases[0][np.newaxis])
    start = time.perf_counter()
    for canvas in canvases:
        runtime.embed_images(canvas[np.newaxis])
    return len(canvases) / (time.perf_counter() - start)


def through_service(server: Server, files: list[bytes]) -> float:
    """Images per second with eight callers, each with one image a request."""
    _classify(server, distinct(1, rows=2300)[0])
    start = time.perf_counter()
    with ThreadPoolExecutor(CONCURRENCY) as callers:
        list(callers.map(lambda file: _classify(server, file), files))
    return len(files) / (time.perf_counter() - start)


def single(server: Server, files: list[bytes]) -> float:
    """Seconds of one request on an idle service."""
    start = time.perf_counter()
    _classify(server, files[0])
    return time.perf_counter() - start


def _classify(server: Server, file: bytes) -> None:
    status, body = server.post("/classify", file, "application/dicom")
    if status != 200:
        raise RuntimeError(f"expected 200, got {status}: {body[:300]!r}")
