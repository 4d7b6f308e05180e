"""The worker's loop in a thread against real servers, and as real processes that are killed."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import redis

from model_store.runtime import ModelRuntime
from service.queue import keys
from service.queue.embedded import EmbeddedServer
from service.queue.loading import load_models
from service.queue.streams import (
    ImageItem,
    Item,
    ItemFailed,
    QueueClient,
    WorkerQueue,
    image_ref,
)
from service.queue.worker import Served, Worker, serve
from service.settings import Settings
from service.supervisor import Supervisor
from tests.service.conftest import server_binary
from tests.service.queue_helpers import (
    DIGEST,
    KILLER,
    MODEL,
    POISON,
    SHAPE,
    GreyModel,
    eventually,
    grey,
    image,
    in_ms,
    served,
    text,
)
from tests.tiny_model import make_tiny_model, tiny_canvases

FAILED = ItemFailed("inference_failed")


@contextmanager
def working(
    url: str,
    model: GreyModel,
    *,
    name: str = "w1",
    max_batch: int = 8,
    lease_s: float = 5.0,
    wait_s: float = 0.05,
) -> Iterator[Worker]:
    """A worker's loop in a thread."""
    queue = WorkerQueue(url, worker=name, model_keys=[MODEL], lease_s=lease_s, cache_ttl_s=60)
    worker = Worker(
        queue, [served(model)], max_batch=max_batch, batch_wait_s=wait_s, lease_s=lease_s
    )
    stop = threading.Event()
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(serve(worker, stop)))
    thread.start()
    try:
        yield worker
    finally:
        stop.set()
        thread.join()
    assert codes == [0]


def ask(
    url: str,
    items: Sequence[Item],
    *,
    deadline_s: float = 20,
    model_key: str = MODEL,
    digest: str = DIGEST,
) -> list[bytes | ItemFailed]:
    async def run() -> list[bytes | ItemFailed]:
        async with QueueClient(url, max_items=100) as client:
            job = await client.submit(model_key, digest, items, deadline_ms=in_ms(deadline_s))
            return await client.wait(job, len(items), deadline_s=deadline_s)

    return asyncio.run(run())


def put(url: str, items: Sequence[Item], *, deadline_s: float = 20, model_key: str = MODEL) -> str:
    async def run() -> str:
        async with QueueClient(url, max_items=100) as client:
            return await client.submit(model_key, DIGEST, items, deadline_ms=in_ms(deadline_s))

    return asyncio.run(run())


def get(url: str, job: str, n: int, *, deadline_s: float = 10) -> list[bytes | ItemFailed]:
    async def run() -> list[bytes | ItemFailed]:
        async with QueueClient(url, max_items=100) as client:
            return await client.wait(job, n, deadline_s=deadline_s)

    return asyncio.run(run())


def depth(url: str) -> int:
    with redis.Redis.from_url(url, protocol=2) as connection:
        return int(connection.xlen(keys.stream_key(MODEL)))


def test_images_and_sentences_of_one_request_come_back_in_order(queue_server: str) -> None:
    with working(queue_server, GreyModel()):
        found = ask(queue_server, [image(3), text("mass"), image(250)])
    assert found == [grey(3), np.array([4, 2], dtype=np.float32).tobytes(), grey(250)]


def test_one_poisoned_image_of_eight_gives_seven_answers_and_one_failure(
    queue_server: str,
) -> None:
    values = [1, 2, 3, 4, POISON, 6, 7, 8]
    with working(queue_server, GreyModel()):
        found = ask(queue_server, [image(value) for value in values])
    assert found == [FAILED if value == POISON else grey(value) for value in values]
    assert depth(queue_server) == 0


def test_what_several_callers_queued_runs_in_one_batch(queue_server: str) -> None:
    model = GreyModel()
    jobs = [put(queue_server, [image(value)]) for value in (1, 2, 3)]
    with working(queue_server, model):
        assert [get(queue_server, job, 1) for job in jobs] == [[grey(1)], [grey(2)], [grey(3)]]
    assert model.batches == [3]


def test_a_batch_waits_a_moment_for_those_that_come_late(queue_server: str) -> None:
    model = GreyModel()
    with working(queue_server, model, wait_s=1.5, max_batch=2):
        time.sleep(0.2)
        jobs = [put(queue_server, [image(1)]), put(queue_server, [image(2)])]
        for job in jobs:
            get(queue_server, job, 1)
    assert model.batches == [2]


def test_a_model_that_prefers_small_batches_gets_them(queue_server: str) -> None:
    model = GreyModel(preferred_batch=3)
    put_before = put(queue_server, [image(value) for value in range(1, 9)])
    with working(queue_server, model):
        assert get(queue_server, put_before, 8) == [grey(value) for value in range(1, 9)]
    assert model.batches == [3, 3, 2]


def test_an_image_that_is_known_by_now_is_not_run_again(queue_server: str) -> None:
    model = GreyModel()
    with working(queue_server, model):
        assert ask(queue_server, [image(5)]) == ask(queue_server, [image(5)])
    assert model.batches == [1]


def test_a_canvas_of_the_wrong_size_fails_alone(queue_server: str) -> None:
    turned = image(2, shape=(SHAPE[1], SHAPE[0]))
    with working(queue_server, GreyModel()):
        found = ask(queue_server, [image(1), turned, image(2, shape=(2, 2)), image(3)])
    assert found == [grey(1), FAILED, FAILED, grey(3)]


def test_a_canvas_that_redis_lost_fails_alone(queue_server: str) -> None:
    job = put(queue_server, [image(1), image(2)])
    with redis.Redis.from_url(queue_server, protocol=2) as connection:
        connection.delete(keys.blob_key(job, 0))
    with working(queue_server, GreyModel()):
        assert get(queue_server, job, 2) == [FAILED, grey(2)]


def test_an_item_for_other_files_of_the_same_version_is_not_answered_wrongly(
    queue_server: str,
) -> None:
    with working(queue_server, GreyModel()):
        assert ask(queue_server, [image(1)], digest="e" * 64) == [FAILED]


def test_an_item_whose_deadline_passed_is_never_run(queue_server: str) -> None:
    model = GreyModel()
    job = put(queue_server, [image(1)], deadline_s=0.1)
    time.sleep(0.2)
    with working(queue_server, model):
        assert get(queue_server, job, 1) == [ItemFailed("deadline")]
    assert model.batches == []


def test_a_deadline_that_passes_while_others_run_is_seen_before_the_run(queue_server: str) -> None:
    model = GreyModel(preferred_batch=1)
    model.pause_s = 0.5
    job = put(queue_server, [image(1), image(2), image(3)], deadline_s=0.7)
    with working(queue_server, model):
        found = get(queue_server, job, 3)
    assert found[0] == grey(1)
    assert found[2] == ItemFailed("deadline")


def test_nothing_is_run_for_a_caller_that_left(queue_server: str) -> None:
    model = GreyModel()
    job = put(queue_server, [image(1), image(2)])

    async def leave() -> None:
        async with QueueClient(queue_server, max_items=9) as client:
            await client.forget(job)

    asyncio.run(leave())
    with working(queue_server, model):
        eventually(lambda: depth(queue_server) == 0)
    assert model.batches == []


def test_a_run_longer_than_the_lease_keeps_its_items(queue_server: str) -> None:
    slow, keen = GreyModel(), GreyModel()
    slow.pause_s = 1.5
    with working(queue_server, slow, name="slow", lease_s=0.5):
        job = put(queue_server, [image(1)])
        eventually(lambda: slow.batches)
        with working(queue_server, keen, name="keen", lease_s=0.5):
            assert get(queue_server, job, 1) == [grey(1)]
    assert keen.batches == []


def test_redelivered_items_run_one_by_one_and_are_quarantined_after_the_third_time(
    queue_server: str,
) -> None:
    job = put(queue_server, [image(1), image(2), image(3)])
    dead = WorkerQueue(queue_server, worker="dead", model_keys=[MODEL], lease_s=0.1, cache_ttl_s=60)
    dead.open()
    first, *_ = dead.read(8, wait_s=1)
    for name in ("heir", "heir of the heir"):  # each dies with the first item in hand
        time.sleep(0.15)
        heir = WorkerQueue(
            queue_server, worker=name, model_keys=[MODEL], lease_s=0.1, cache_ttl_s=60
        )
        again = heir.claim()
        assert again is not None
        assert again.entry == first.entry
        heir.close()
    model = GreyModel()
    time.sleep(0.15)
    with working(queue_server, model, lease_s=0.1):
        assert get(queue_server, job, 3) == [ItemFailed("quarantined"), grey(2), grey(3)]
    assert model.batches == [1, 1]
    dead.close()


def test_a_broken_model_ends_the_worker_and_leaves_the_items_for_another(
    queue_server: str,
) -> None:
    broken = GreyModel()
    broken.broken = True
    queue = WorkerQueue(
        queue_server, worker="broken", model_keys=[MODEL], lease_s=0.2, cache_ttl_s=60
    )
    worker = Worker(queue, [served(broken)], max_batch=8, batch_wait_s=0, lease_s=0.2)
    job = put(queue_server, [image(1)])
    assert serve(worker, threading.Event()) == 1
    with working(queue_server, GreyModel(), lease_s=0.2):
        assert get(queue_server, job, 1) == [grey(1)]


def test_a_worker_says_what_it_serves_and_how_fast(queue_server: str) -> None:
    async def seen() -> dict[str, object]:
        async with QueueClient(queue_server, max_items=9) as client:
            (worker,) = await client.workers()
            return worker

    with working(queue_server, GreyModel()):
        ask(queue_server, [image(1)])
        eventually(lambda: asyncio.run(seen())["items_per_s"])
        about = asyncio.run(seen())
    assert about["models"] == [{"key": MODEL, "digest": DIGEST}]
    assert about["pid"] == os.getpid()
    assert about["items_per_s"][MODEL] > 0  # type: ignore[index]


def test_a_worker_survives_a_queue_that_forgets_everything(queue_server: str) -> None:
    with working(queue_server, GreyModel()):
        ask(queue_server, [image(1)])
        with redis.Redis.from_url(queue_server, protocol=2) as connection:
            connection.flushall()
        assert ask(queue_server, [image(2)]) == [grey(2)]


def test_several_models_share_one_worker(queue_server: str) -> None:
    second = "tiny/2"
    models = [
        served(GreyModel()),
        Served(key=second, digest="e" * 64, shape=(2, 2), executor=GreyModel()),
    ]
    queue = WorkerQueue(
        queue_server, worker="w", model_keys=[MODEL, second], lease_s=5, cache_ttl_s=60
    )
    worker = Worker(queue, models, max_batch=8, batch_wait_s=0, lease_s=5)
    stop = threading.Event()
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    try:
        assert ask(queue_server, [image(1)]) == [grey(1)]
        other = ask(queue_server, [image(2, shape=(2, 2))], model_key=second, digest="e" * 64)
        assert other == [grey(2)]
    finally:
        stop.set()
        thread.join()


@pytest.mark.system
@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_a_worker_sits_out_a_restart_of_the_server(tmp_path: Path, kind: str) -> None:
    server = EmbeddedServer(tmp_path, binary=server_binary(kind))
    with server as url, working(url, GreyModel()):
        assert ask(url, [image(1)]) == [grey(1)]
        first = server.pid
        os.kill(first, signal.SIGKILL)
        eventually(lambda: server.pid != first)
        time.sleep(0.5)
        assert ask(url, [image(2)]) == [grey(2)]


def test_the_newest_of_every_model_is_served_and_a_corrupt_one_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, version in (("a", "1"), ("a", "2"), ("b", "1"), ("c", "1")):
        broken = make_tiny_model(tmp_path, name=name, version=version)
    (broken.path / "MODEL_CARD.md").write_text("changed")
    assert [it.key for it in load_models(Settings(models=tmp_path))] == ["a/2", "b/1"]
    assert "c/1: MODEL_CARD.md" in caplog.text
    older = Settings(models=tmp_path, model="a/1", worker_threads=1)
    assert [it.key for it in load_models(older)] == ["a/2", "b/1", "a/1"]
    unknown = Settings(models=tmp_path, model="nothing", worker_threads=1)
    assert [it.key for it in load_models(unknown)] == ["a/2", "b/1"]


# real processes


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    make_tiny_model(root)
    return root


def environment(url: str, models: Path, **more: str) -> dict[str, str]:
    return {
        "MAMMO_REDIS_URL": url,
        "MAMMO_MODELS": str(models),
        "MAMMO_WORKER_THREADS": "1",
        "MAMMO_LEASE_S": "2",
        **more,
    }


def tiny_items(models: Path, n: int) -> tuple[ModelRuntime, list[ImageItem]]:
    from model_store.store import ModelStore

    version = ModelStore(models).find("tiny")
    runtime = ModelRuntime.load(version, threads=1)
    recipe = version.manifest.recipe
    return runtime, [
        ImageItem(
            canvas=canvas.tobytes(),
            shape=(recipe.height_px, recipe.width_px),
            ref=image_ref(canvas.tobytes(), recipe.digest),
        )
        for canvas in tiny_canvases(n, height=recipe.height_px, width=recipe.width_px, seed=7)
    ]


@pytest.mark.system
def test_a_worker_process_answers_as_the_runtime_does_and_ends_with_0_on_sigterm(
    queue_server: str, models: Path
) -> None:
    runtime, items = tiny_items(models, 4)
    with subprocess.Popen(
        [sys.executable, "-m", "service.queue.worker"],
        env={**os.environ, **environment(queue_server, models)},
    ) as process:
        try:
            found = ask(queue_server, items, digest=runtime.version.digest, deadline_s=60)
        finally:
            process.terminate()
        assert process.wait(10) == 0
    canvases = tiny_canvases(4, seed=7)
    expected = runtime.embed_images(canvases)
    got = np.stack([np.frombuffer(one, np.float32) for one in found if isinstance(one, bytes)])
    np.testing.assert_allclose(got, expected, atol=1e-6)


KILLABLE = """
import os, signal, sys, threading, time
import numpy as np
from service.queue.streams import WorkerQueue
from service.queue.worker import Worker, serve, stop_on_signals, worker_id
from tests.service.queue_helpers import KILLER, GreyModel, served

class Deadly(GreyModel):
    "Kills its process for a canvas of KILLER; says when it begins, then takes its time."
    def embed_images(self, canvases):
        if KILLER in canvases.reshape(len(canvases), -1).mean(axis=1):
            os.kill(os.getpid(), signal.SIGKILL)
        open(sys.argv[2], "a").write(f"{os.getpid()}\\n")
        return super().embed_images(canvases)

model = Deadly()
model.pause_s = float(sys.argv[3])
queue = WorkerQueue(
    sys.argv[1], worker=worker_id(), model_keys=["tiny/1"], lease_s=1, cache_ttl_s=60
)
worker = Worker(
    queue, [served(model)], max_batch=8, batch_wait_s=0.05, lease_s=1, stall_s=float(sys.argv[4])
)
sys.exit(serve(worker, stop_on_signals()))
"""


@contextmanager
def deadly_workers(
    url: str, log: Path, *, pause_s: float, stall_s: float = 60
) -> Iterator[Supervisor]:
    command = [sys.executable, "-c", KILLABLE, url, str(log), str(pause_s), str(stall_s)]
    log.touch()
    with Supervisor(workers=1, environment={}, command=command) as supervisor:
        yield supervisor


@pytest.mark.system
def test_a_request_succeeds_although_its_worker_is_killed_in_the_middle(
    queue_server: str, tmp_path: Path
) -> None:
    log = tmp_path / "began"
    with deadly_workers(queue_server, log, pause_s=1.0) as supervisor:
        job = put(queue_server, [image(1), image(2), image(3)], deadline_s=30)
        eventually(log.read_text, within_s=20)
        first = int(log.read_text().split()[0])
        began = time.monotonic()
        os.kill(first, signal.SIGKILL)
        found = get(queue_server, job, 3, deadline_s=30)
        logging.getLogger(__name__).info("answered %.1f s after", time.monotonic() - began)
        assert found == [grey(1), grey(2), grey(3)]
        assert first not in supervisor.pids
    assert depth(queue_server) == 0


@pytest.mark.system
def test_an_image_that_kills_every_worker_is_quarantined_and_its_mates_are_answered(
    queue_server: str, tmp_path: Path
) -> None:
    with deadly_workers(queue_server, tmp_path / "began", pause_s=0):
        items = [image(1), image(KILLER), image(2), image(3)]
        found = ask(queue_server, items, deadline_s=60)
    assert found == [grey(1), ItemFailed("quarantined"), grey(2), grey(3)]


@pytest.mark.system
def test_a_model_that_hangs_ends_its_worker_and_costs_its_item_not_the_queue(
    queue_server: str, tmp_path: Path
) -> None:
    log = tmp_path / "began"
    with deadly_workers(queue_server, log, pause_s=60, stall_s=0.5) as supervisor:
        found = ask(queue_server, [image(1)], deadline_s=60)
        assert found == [ItemFailed("quarantined")]
        assert len(set(log.read_text().split())) == 3  # one process for each delivery
        for pid in supervisor.pids:
            os.kill(pid, signal.SIGKILL)


@pytest.mark.system
def test_sigterm_in_the_middle_of_a_batch_finishes_it(queue_server: str, tmp_path: Path) -> None:
    log = tmp_path / "began"
    with deadly_workers(queue_server, log, pause_s=1.0) as supervisor:
        job = put(queue_server, [image(1), image(2)])
        eventually(log.read_text, within_s=20)
        supervisor.stop()
        assert get(queue_server, job, 2, deadline_s=1) == [grey(1), grey(2)]
        supervisor.stop()  # a second time does no harm


def test_a_worker_without_a_queue_or_without_a_model_says_so_and_ends(
    queue_server: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from service.queue.worker import run_worker

    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    try:
        assert run_worker(Settings(models=tmp_path)) == 2
        assert "MAMMO_REDIS_URL" in caplog.text
        assert run_worker(Settings(models=tmp_path, redis_url=queue_server)) == 1
        assert "no model" in caplog.text
    finally:
        for number, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
            signal.signal(number, handler)
