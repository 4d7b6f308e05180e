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
    """Bare loop, service, bare loop again: the mean of the two bare figures is the baseline."""
    files = distinct(IMAGES)
    threads = usable_cores()
    before = bare(files[:24], threads)
    with running(worker_threads=str(threads)) as server:
        service = through_service(server, files)
        alone = single(server, distinct(1, rows=2290))
    after = bare(files[24:48], threads)
    baseline = (before + after) / 2
    note = f"concurrency {CONCURRENCY}, {IMAGES} distinct 2294 x 1914 images, {threads} threads"
    return [
        Row("bare ONNX Runtime loop", baseline, "images/s", note=f"{before:.2f}, {after:.2f}"),
        Row("POST /classify", service, "images/s", note=note),
        Row("service over bare loop", service / baseline, "ratio", ">= 0.85"),
        Row("one image alone, whole request", alone * 1000, "ms", note="after warm-up"),
    ]


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
