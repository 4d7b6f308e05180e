"""Images per second through `POST /classify` over a bare ONNX Runtime loop of the same model.

`python -m bench throughput:cuda` measures one worker on that provider, and its batches.
"""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from bench.images import distinct
from bench.rows import Row
from bench.server import Server, running
from model_store.cores import usable_cores
from model_store.dicom_input import read_mammogram
from model_store.providers import Execution, Provider
from model_store.render import render
from model_store.runtime import ModelRuntime
from model_store.store import ModelStore
from service.settings import Settings

IMAGES, CONCURRENCY = 96, 8
CALLERS_ON_DEVICE = (1, 8, 32)
TOLD = ("mammo_worker_batches", "mammo_worker_batched_images")
HEARTBEATS_S = 4.0


def run(argument: str = "") -> list[Row]:
    """The service over the bare loop, both with the same threads in the same arrangement.

    One worker with all threads answers one image soonest. As many workers of one thread each do
    more images a second, since no thread waits for another that decoding has pushed aside.
    """
    files = distinct(IMAGES)
    if argument:
        return on_device(files, Provider(argument))
    cores = usable_cores()
    arrangements = dict.fromkeys([(1, cores), (cores, 1)])
    return [row for workers, threads in arrangements for row in compared(files, workers, threads)]


def compared(files: list[bytes], workers: int, threads: int) -> list[Row]:
    """Bare loop, service, bare loop again: the mean of the two bare figures is the baseline."""
    before = bare(files[:32], workers, threads)
    rate, alone = serve(files, workers=workers, threads=threads)
    after = bare(files[32:64], workers, threads)
    baseline = (before + after) / 2
    how = f"{workers} x {threads} thread(s)"
    note = f"concurrency {CONCURRENCY}, {IMAGES} distinct 2294 x 1914 images"
    bare_note = f"{before:.2f} before, {after:.2f} after"
    return [
        Row(f"{how}: bare ONNX Runtime loop", baseline, "images/s", note=bare_note),
        Row(f"{how}: POST /classify", rate, "images/s", note=note),
        Row(f"{how}: service over bare loop", rate / baseline, "ratio", ">= 0.85"),
        Row(f"{how}: one image alone", alone * 1000, "ms", note="whole request, after warm-up"),
    ]


def on_device(files: list[bytes], provider: Provider) -> list[Row]:
    """One worker on a provider by callers, and the model alone by images a pass."""
    each = len(files) // len(CALLERS_ON_DEVICE)
    rows = list(bare_by_batch(files[:16], provider))
    with running(workers="1", provider=provider.value) as server:
        for number, callers in enumerate(CALLERS_ON_DEVICE):
            before = batches(server)
            rate = through_service(server, files[number * each :][:each], callers=callers)
            passes, images = (now - then for now, then in zip(batches(server), before, strict=True))
            note = f"{images:.0f} images in {passes:.0f} passes"
            rows.append(Row(f"POST /classify, {callers} callers", rate, "images/s", "", note))
        alone = single(server, distinct(1, rows=2290))
        rows.append(Row("one image alone", alone * 1000, "ms", note="whole request, warmed up"))
    return rows


def bare_by_batch(files: list[bytes], provider: Provider) -> Iterator[Row]:
    """The model alone on a provider: canvases ready, so many of them a call."""
    version = ModelStore(Settings().models).find(None)
    canvases = np.stack([render(read_mammogram(f), version.manifest.recipe).canvas for f in files])
    runtime = ModelRuntime.load(version, threads=0, execution=Execution(provider=provider))
    for size in runtime.batch_sizes:
        runtime.embed_images(canvases[:size])
        start = time.perf_counter()
        for _ in range(CONCURRENCY):
            runtime.embed_images(canvases[:size])
        rate = CONCURRENCY * size / (time.perf_counter() - start)
        yield Row(f"model alone, {size} a pass", rate, "images/s", "", runtime.providers[0])


def batches(server: Server) -> tuple[float, float]:
    """(passes, images in them) that the worker has told of; it does so once a second or so."""
    time.sleep(HEARTBEATS_S)
    text = server.get("/metrics")[1].decode()
    told = (re.findall(rf"^{name}{{.*}} (\S+)$", text, re.MULTILINE) for name in TOLD)
    passes, images = (sum(map(float, values)) for values in told)
    return passes, images


def serve(files: list[bytes], *, workers: int, threads: int) -> tuple[float, float]:
    """(images per second with eight callers, seconds of one request alone)."""
    with running(workers=str(workers), worker_threads=str(threads)) as server:
        return through_service(server, files), single(server, distinct(1, rows=2290))


def bare(files: list[bytes], workers: int, threads: int) -> float:
    """Images per second of the model alone: `workers` sessions side by side, canvases ready."""
    version = ModelStore(Settings().models).find(None)
    canvases = [render(read_mammogram(file), version.manifest.recipe).canvas for file in files]
    sessions = [ModelRuntime.load(version, threads=threads, verify=False) for _ in range(workers)]

    def loop(number: int) -> None:
        for canvas in canvases[number::workers]:
            sessions[number].embed_images(canvas[np.newaxis])

    for session in sessions:
        session.embed_images(canvases[0][np.newaxis])
    start = time.perf_counter()
    with ThreadPoolExecutor(workers) as callers:
        list(callers.map(loop, range(workers)))
    return len(canvases) / (time.perf_counter() - start)


def through_service(server: Server, files: list[bytes], *, callers: int = CONCURRENCY) -> float:
    """Images per second with that many callers, each with one image a request."""
    _classify(server, distinct(1, rows=2300)[0])
    start = time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(lambda file: _classify(server, file), files))
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
