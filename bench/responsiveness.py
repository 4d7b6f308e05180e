"""`/livez` while JPEG 2000 decodes, and the API's memory while studies are uploaded."""

import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil

from bench.images import distinct, form
from bench.rows import Row
from bench.server import Server, running
from tests.dicom_factory import dicom_bytes, mammogram_dataset

J2K_LOSSLESS = "1.2.840.10008.1.2.4.90"
ROWS, COLUMNS = 4096, 3328
UPLOADS = 16


def run() -> list[Row]:
    """Acceptance line 7 of the spine."""
    with running() as server:
        return [*livez_while_decoding(server), *memory_during_uploads(server)]


def livez_while_decoding(server: Server) -> list[Row]:
    """Latency of `/livez` while a study of four 13.6-megapixel J2K views is sent and answered."""
    study = {
        f"{n}.dcm": dicom_bytes(
            mammogram_dataset(rows=ROWS, columns=COLUMNS, seed=n), transfer_syntax=J2K_LOSSLESS
        )
        for n in range(4)
    }
    body, content_type = form(study)
    waits: list[float] = []
    stop = threading.Event()

    def probe() -> None:
        while not stop.is_set():
            start = time.perf_counter()
            status, _ = server.get("/livez")
            waits.append((time.perf_counter() - start) * 1000)
            assert status == 200
            time.sleep(0.005)

    prober = threading.Thread(target=probe)
    prober.start()
    for _ in range(3):
        status, answer = server.post("/classify", body, content_type)
        if status != 200:
            raise RuntimeError(f"expected 200, got {status}: {answer[:300]!r}")
    stop.set()
    prober.join()
    p99 = statistics.quantiles(waits, n=100)[98]
    note = f"{len(waits)} probes, longest {max(waits):.1f} ms"
    return [Row("/livez p99 while 4 J2K views decode", p99, "ms", "< 50", note)]


def memory_during_uploads(server: Server) -> list[Row]:
    """Peak resident memory of the API process alone, 16 studies of 4 x 27 MB at once."""
    views = distinct(4, rows=ROWS, columns=COLUMNS)
    body, content_type = form({f"{n}.dcm": view for n, view in enumerate(views)})
    peak, before, statuses = 0, server.process.memory_info().rss, []
    with ThreadPoolExecutor(UPLOADS) as callers:
        answers = [
            callers.submit(server.post, "/classify?deadline=250", body, content_type)
            for _ in range(UPLOADS)
        ]
        while not all(answer.done() for answer in answers):
            peak = max(peak, server.process.memory_info().rss)
            time.sleep(0.01)
        statuses = [answer.result()[0] for answer in answers]
    note = (
        f"{len(body) >> 20} MiB each, before {before >> 20} MiB, statuses {sorted(set(statuses))}"
    )
    children = sum(child.memory_info().rss for child in _alive(server.process))
    return [
        Row("API memory, 16 uploads at once", peak / 2**20, "MiB", "< 500", note),
        Row("all its children together", children / 2**20, "MiB", note="decode, worker, Valkey"),
    ]


def _alive(process: psutil.Process) -> list[psutil.Process]:
    return [child for child in process.children(recursive=True) if child.is_running()]
