"""What breaks while a request runs: workers, decode children, the queue, the caller."""

import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from pydicom.uid import JPEG2000Lossless

from tests.dicom_factory import dicom_bytes, mammogram_dataset
from tests.service.live import Live, files, four_views, in_hand, live, problem, stopped, view
from tests.service.queue_helpers import eventually

WORKER = "service.queue.worker"
DECODER = "service.decode_child"
BIG = {"height": 1520, "width": 912}


@pytest.fixture
def big(queue_server: str, tmp_path: Path) -> Iterator[Live]:
    """A model slow enough to be caught at work, on Valkey and on Redis."""
    with live(tmp_path, model=BIG, redis_url=queue_server) as running:
        yield running


def kill_the_worker_at_work(running: Live) -> None:
    redis_url = running.settings.redis_url
    assert redis_url is not None
    while in_hand(redis_url, "tiny/1") == 0:
        time.sleep(0.001)
    for worker in running.processes(WORKER):
        worker.send_signal(signal.SIGKILL)


def test_a_request_survives_a_worker_killed_in_the_middle(big: Live) -> None:
    study = [part for seed in range(4) for part in four_views(seed=seed * 10)]
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(big.classify, study, deadline="40")
        kill_the_worker_at_work(big)
        response = answer.result()
    assert response.status_code == 200, response.text
    assert [image["status"] for image in response.json()["images"]] == ["analyzed"] * 16


def test_heat_maps_survive_a_worker_killed_in_the_middle(big: Live) -> None:
    study = [part for seed in range(4) for part in four_views(seed=seed * 10)]
    asked = {"findings": "mass", "include": "none", "deadline": "40"}
    texts = ["there is a mass", "mass", "no mass"]  # known: nothing but heat waits for the worker
    assert big.client.post("/v1/embed", json={"texts": texts}).status_code == 200
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(big.client.post, "/v1/heatmap", files=study, data=asked)
        kill_the_worker_at_work(big)
        response = answer.result()
    assert response.status_code == 200, response.text
    images = response.json()["images"]
    assert [len(image["heat_maps"]) for image in images] == [1] * 16


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("faults"), queue_max_images=24) as service:
        yield service


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "running" in request.fixturenames:
        service: Live = request.getfixturevalue("running")
        eventually(lambda: service.files_left() == [])


def test_a_killed_decode_child_costs_at_most_its_own_image(running: Live) -> None:
    slow = mammogram_dataset(rows=3000, columns=2400)
    study = files(*[dicom_bytes(slow, JPEG2000Lossless)] * 2, view(), view("R"))
    for _ in range(3):
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(running.classify, study)
            time.sleep(0.25)
            running.processes(DECODER)[0].send_signal(signal.SIGKILL)
            response = answer.result()
        assert response.status_code == 200, response.text
        images = response.json()["images"]
        assert {image["code"] for image in images} <= {None, "decode_crashed"}
        assert sum(image["status"] == "analyzed" for image in images) >= 3


def test_a_full_queue_says_when_to_come_back(running: Live) -> None:
    with stopped(running.processes(WORKER)), ThreadPoolExecutor(8) as pool:
        waiting = [
            pool.submit(running.classify, four_views(seed=500 + i * 7), deadline="2.5")
            for i in range(7)
        ]
        answers = [one.result() for one in waiting]
    full = [answer for answer in answers if answer.status_code == 429]
    assert full
    for answer in full:
        assert problem(answer, "queue-full")["retryable"]
        assert int(answer.headers["retry-after"]) >= 1
    assert {answer.status_code for answer in answers} <= {429, 503, 504}
    assert running.metric("mammo_admission_rejected_total", reason="queue_full") == len(full)
    eventually(lambda: running.classify().status_code == 200)


def test_a_deadline_that_passes_is_told(running: Live) -> None:
    eventually(lambda: running.client.get("/readyz").status_code == 200)
    with stopped(running.processes(WORKER)):
        began = time.monotonic()
        response = running.classify(four_views(seed=900), deadline="1")
        took_s = time.monotonic() - began
    assert response.status_code == 504
    problem(response, "deadline-exceeded")
    assert took_s < 3


def test_a_deadline_counts_for_decoding_too(running: Live) -> None:
    slow = dicom_bytes(mammogram_dataset(rows=3000, columns=2400), JPEG2000Lossless)
    response = running.classify(files(*[slow] * 24), deadline="1")
    problem(response, "deadline-exceeded")
    eventually(lambda: len(running.processes(DECODER)) == 2)


def test_a_worker_that_stays_dead_is_told_apart_from_a_late_answer(running: Live) -> None:
    eventually(lambda: running.client.get("/readyz").status_code == 200)
    with stopped(running.processes(WORKER)):
        response = running.classify(four_views(seed=910), deadline="4.5")
        assert response.status_code == 503
        problem(response, "no-worker")
        ready = running.client.get("/readyz")
        assert problem(ready, "not-ready")["errors"][0]["code"] == "no_worker"
        assert running.client.get("/livez").status_code == 200
        known = running.classify()
        assert known.status_code == 200, "what is cached needs no worker"
    eventually(lambda: running.client.get("/readyz").status_code == 200)


def test_a_caller_that_leaves_stops_its_work(running: Live) -> None:
    eventually(lambda: running.client.get("/readyz").status_code == 200)
    url = httpx.URL(running.serving.url)
    request = httpx.Request("POST", url.join("/classify"), files=four_views(seed=920))
    body = request.read()
    head = f"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    head += f"Content-Type: {request.headers['content-type']}\r\n\r\n"
    with stopped(running.processes(WORKER)):
        with socket.create_connection((url.host, url.port or 80)) as connection:
            connection.sendall(head.encode() + body)
            eventually(lambda: running.files_left() != [])
        eventually(lambda: running.files_left() == [])
    left = lambda: running.metric("mammo_http_requests_total", status="499")  # noqa: E731
    eventually(lambda: left() == 1)


def test_without_a_worker_a_request_is_told_so_at_once(tmp_path: Path) -> None:
    with live(tmp_path, workers=0, ready=False) as service:
        began = time.monotonic()
        response = service.classify()
        assert time.monotonic() - began < 5
        problem(response, "no-worker")
        assert response.status_code == 503
        assert "retry-after" in response.headers


def test_without_a_queue_a_request_is_told_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    url = f"redis://127.0.0.1:{port}/0"
    with live(tmp_path, redis_url=url, workers=0, ready=False) as service:
        response = service.classify()
        assert response.status_code == 503
        problem(response, "queue-unreachable")
        ready = service.client.get("/readyz")
        assert problem(ready, "not-ready")["errors"][0]["code"] == "queue_unreachable"
        assert service.client.get("/livez").status_code == 200
        assert service.client.get("/metrics").status_code == 200
        assert service.client.get("/v1/models").json()["models"][0]["ready"] is False


def test_without_a_model_it_is_not_ready(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    with live(tmp_path, workers=0, ready=False) as service:
        ready = service.client.get("/readyz")
        assert problem(ready, "not-ready")["errors"][0]["code"] == "no_model"
        problem(service.classify(), "unknown-model")


def test_more_uploads_at_once_than_allowed_are_told_to_come_back(tmp_path: Path) -> None:
    with live(tmp_path, max_uploads=1, workers=0, ready=False) as service:
        release = threading.Event()

        def slowly() -> Iterator[bytes]:
            yield b"x"
            release.wait(20)
            yield b"y"

        with ThreadPoolExecutor(1) as pool:
            kind = {"Content-Type": "application/dicom"}
            first = pool.submit(
                httpx.post, f"{service.serving.url}/classify", content=slowly(), headers=kind
            )
            eventually(lambda: service.files_left() != [])
            second = service.classify()
            release.set()
            assert first.result().status_code == 422
        assert second.status_code == 429
        problem(second, "too-busy")


def test_an_upload_that_stalls_is_given_up(tmp_path: Path) -> None:
    with live(tmp_path, upload_idle_s=0.3, workers=0, ready=False) as service:
        url = httpx.URL(service.serving.url)
        with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
            connection.sendall(
                b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/dicom\r\n"
                b"Content-Length: 1000\r\n\r\nabc"
            )
            assert connection.recv(4096).startswith(b"HTTP/1.1 408")
        assert service.files_left() == []


def test_no_process_outlives_the_service(tmp_path: Path) -> None:
    before = set(psutil.Process().children(recursive=True))
    with live(tmp_path) as service:
        own = [*service.processes(WORKER), *service.processes(DECODER)]
        own = [process for process in own if process not in before]
        assert len(own) == 3
    _, alive = psutil.wait_procs(own, timeout=10)
    assert alive == []
