"""Heat items share the queue with images and sentences, and fail as they do: each alone."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import redis

from model_store.arrays import U8
from service.queue import keys
from service.queue.streams import HeatItem, Item, ItemFailed, QueueClient, WorkerQueue, heat_ref
from service.queue.worker import Worker, serve
from tests.service.queue_helpers import (
    DIGEST,
    MODEL,
    POISON,
    GreyModel,
    eventually,
    grey,
    image,
    in_ms,
    served,
    text,
)

FAILED = ItemFailed("inference_failed")


def heat(value: int, asked: bytes = b"\xff where?") -> HeatItem:
    known = image(value)
    ref = heat_ref(known.ref, asked)
    return HeatItem(canvas=known.canvas, shape=known.shape, ask=asked, ref=ref)


class Looker:
    """Answers with the canvas' grey and the question; raises for a canvas of POISON."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, canvas: U8, asked: bytes) -> bytes:
        self.seen.append(int(canvas[0, 0]))
        if POISON in canvas:
            raise RuntimeError("the model does not like this one")
        return bytes([canvas[0, 0]]) + asked


@contextmanager
def working(url: str, look: Looker | None, *, lease_s: float = 5) -> Iterator[Worker]:
    queue = WorkerQueue(url, worker="w", model_keys=[MODEL], lease_s=lease_s, cache_ttl_s=60)
    model = replace(served(GreyModel()), look=look)
    worker = Worker(queue, [model], max_batch=8, batch_wait_s=0.05, lease_s=lease_s)
    stop = threading.Event()
    thread = threading.Thread(target=serve, args=(worker, stop))
    thread.start()
    try:
        yield worker
    finally:
        stop.set()
        thread.join()


def put(url: str, items: Sequence[Item], *, deadline_s: float = 20) -> str:
    async def run() -> str:
        async with QueueClient(url, max_items=100) as client:
            return await client.submit(MODEL, DIGEST, items, deadline_ms=in_ms(deadline_s))

    return asyncio.run(run())


def get(url: str, job: str, n: int) -> list[bytes | ItemFailed]:
    async def run() -> list[bytes | ItemFailed]:
        async with QueueClient(url, max_items=100) as client:
            return await client.wait(job, n, deadline_s=20)

    return asyncio.run(run())


def ask(url: str, items: Sequence[Item]) -> list[bytes | ItemFailed]:
    return get(url, put(url, items), len(items))


def test_the_three_kinds_of_one_job_come_back_in_their_order(queue_server: str) -> None:
    items = [heat(3), text("mass"), image(4), heat(5, b"another")]
    with working(queue_server, Looker()):
        found = ask(queue_server, items)
    sentence = np.array([4, 2], dtype=np.float32).tobytes()
    assert found == [b"\x03\xff where?", sentence, grey(4), b"\x05another"]


def test_one_poisoned_heat_item_of_eight_fails_alone(queue_server: str) -> None:
    values = [1, 2, 3, POISON, 5, 6, 7, 8]
    with working(queue_server, Looker()):
        found = ask(queue_server, [heat(value) for value in values])
    expected = [bytes([value]) + b"\xff where?" for value in values]
    assert found == [*expected[:3], FAILED, *expected[4:]]


def test_a_model_without_heat_maps_fails_the_item_and_answers_the_image(queue_server: str) -> None:
    with working(queue_server, None):
        assert ask(queue_server, [heat(1), image(1)]) == [FAILED, grey(1)]


def test_a_canvas_of_the_wrong_size_fails_alone(queue_server: str) -> None:
    turned = image(2, shape=(3, 4))
    wrong = HeatItem(canvas=turned.canvas, shape=turned.shape, ask=b"?", ref="r" * 64)
    with working(queue_server, Looker()):
        assert ask(queue_server, [wrong, heat(1, b"!")]) == [FAILED, b"\x01!"]


def test_completion_frees_the_canvas_and_keeps_the_answer_for_the_same_question(
    queue_server: str,
) -> None:
    look = Looker()
    with working(queue_server, look):
        assert ask(queue_server, [heat(1)]) == ask(queue_server, [heat(1)])
        ask(queue_server, [heat(1, b"another")])
    assert look.seen == [1, 1]
    with redis.Redis.from_url(queue_server, protocol=2) as connection:
        assert connection.keys("mammo:blob:*") == []
        assert connection.xlen(keys.stream_key(MODEL)) == 0
        kept = list(connection.keys("mammo:emb:*"))
        assert len(kept) == 2
        for key in kept:
            assert b":heat:" in key
            assert connection.ttl(key) > 0


def test_a_heat_item_whose_deadline_passed_is_never_run(queue_server: str) -> None:
    look = Looker()
    job = put(queue_server, [heat(1)], deadline_s=-1)
    with working(queue_server, look):
        assert get(queue_server, job, 1) == [ItemFailed("deadline")]
    assert look.seen == []


def test_no_heat_is_made_for_a_caller_that_left(queue_server: str) -> None:
    look = Looker()
    job = put(queue_server, [heat(1), heat(2)])

    async def leave() -> None:
        async with QueueClient(queue_server, max_items=9) as client:
            await client.forget(job)

    asyncio.run(leave())
    with (
        redis.Redis.from_url(queue_server, protocol=2) as connection,
        working(queue_server, look),
    ):
        assert connection.keys("mammo:blob:*") == []
        eventually(lambda: connection.xlen(keys.stream_key(MODEL)) == 0)
    assert look.seen == []


def test_a_heat_item_that_no_worker_survives_is_quarantined(queue_server: str) -> None:
    job = put(queue_server, [heat(1), heat(2)])
    for name in ("first", "heir", "heir of the heir"):  # each dies with the first item in hand
        dead = WorkerQueue(
            queue_server, worker=name, model_keys=[MODEL], lease_s=0.01, cache_ttl_s=60
        )
        dead.open()
        assert dead.read(8, wait_s=0.1) if name == "first" else dead.claim()
        time.sleep(0.05)
    look = Looker()
    with working(queue_server, look, lease_s=0.01):
        found = get(queue_server, job, 2)
    assert found == [ItemFailed("quarantined"), b"\x02\xff where?"]
    assert look.seen == [2]
