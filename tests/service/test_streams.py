import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from service.queue import keys
from service.queue.embedded import EmbeddedServer
from service.queue.streams import (
    DeadlinePassed,
    Delivery,
    ImageItem,
    Item,
    ItemFailed,
    QueueClient,
    QueueDown,
    QueueFull,
    QueueStorageFull,
    WorkerQueue,
)
from tests.service.conftest import server_binary
from tests.service.queue_helpers import DIGEST, MODEL, eventually, grey, image, in_ms, text


@asynccontextmanager
async def client_of(url: str, max_items: int = 100) -> AsyncIterator[QueueClient]:
    async with QueueClient(url, max_items=max_items) as client:
        yield client


@contextmanager
def worker_of(
    url: str, name: str = "w1", *, lease_s: float = 5, cache_ttl_s: float = 60
) -> Iterator[WorkerQueue]:
    queue = WorkerQueue(
        url, worker=name, model_keys=[MODEL], lease_s=lease_s, cache_ttl_s=cache_ttl_s
    )
    queue.open()
    yield queue
    queue.close()


def submit(url: str, items: Sequence[Item], *, deadline_s: float = 30, max_items: int = 100) -> str:
    async def run() -> str:
        async with client_of(url, max_items) as client:
            return await client.submit(MODEL, DIGEST, items, deadline_ms=in_ms(deadline_s))

    return asyncio.run(run())


def results(url: str, job: str, n: int, *, deadline_s: float = 5) -> list[bytes | ItemFailed]:
    async def run() -> list[bytes | ItemFailed]:
        async with client_of(url) as client:
            return await client.wait(job, n, deadline_s=deadline_s)

    return asyncio.run(run())


def raw(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, protocol=2, decode_responses=False)


def test_results_come_back_in_the_order_of_the_items(queue_server: str) -> None:
    job = submit(queue_server, [image(1), text("a mass"), image(2)])
    with worker_of(queue_server) as queue:
        taken = queue.read(8, wait_s=1)
        contents = queue.contents(taken)
        assert [it.kind for it in taken] == ["image", "text", "image"]
        assert [has.canvas for has in contents] == [image(1).canvas, None, image(2).canvas]
        assert taken[1].text == "a mass"
        for it in reversed(taken):
            queue.complete(it, b"%d   " % it.index)
    assert results(queue_server, job, 3) == [b"0   ", b"1   ", b"2   "]


def test_admission_stops_at_the_bound_and_takes_a_job_whole_or_not_at_all(
    queue_server: str,
) -> None:
    submit(queue_server, [image(1)] * 3, max_items=4)
    with pytest.raises(QueueFull) as full:
        submit(queue_server, [image(1)] * 2, max_items=4)
    assert full.value.depth == 3
    assert 1 <= full.value.retry_after_s <= 60
    with raw(queue_server) as connection:
        assert connection.xlen(keys.stream_key(MODEL)) == 3
        assert len(connection.keys("mammo:blob:*")) == 3
        assert len(connection.keys("mammo:job:*")) == 1
    submit(queue_server, [image(1)], max_items=4)


def test_items_that_run_count_as_queued_until_they_are_complete(queue_server: str) -> None:
    submit(queue_server, [image(1)] * 4, max_items=4)
    with worker_of(queue_server) as queue:
        taken = queue.read(8, wait_s=1)
        with pytest.raises(QueueFull):
            submit(queue_server, [image(1)], max_items=4)
        queue.complete(taken[0], b"done")
        submit(queue_server, [image(1)], max_items=4)


def test_retry_after_follows_the_rate_that_the_workers_measured(queue_server: str) -> None:
    with worker_of(queue_server) as queue:
        queue.beat({"models": [], "items_per_s": {MODEL: 0.25}})
        submit(queue_server, [image(1)] * 4, max_items=4)
        with pytest.raises(QueueFull) as full:
            submit(queue_server, [image(1)], max_items=4)
    assert full.value.retry_after_s == pytest.approx(16)


def test_an_item_completed_twice_counts_once_and_the_first_answer_stays(queue_server: str) -> None:
    job = submit(queue_server, [image(1), image(2)])
    with worker_of(queue_server) as queue:
        first, second = queue.read(8, wait_s=1)
        assert queue.complete(first, b"good") == 1
        assert queue.complete(first, b"late") == -2
        assert queue.complete(second, b"fine") == 0
    assert results(queue_server, job, 2) == [b"good", b"fine"]


def test_completion_leaves_nothing_but_the_answer_and_the_cache(queue_server: str) -> None:
    submit(queue_server, [image(1)])
    with worker_of(queue_server) as queue:
        (it,) = queue.read(8, wait_s=1)
        queue.complete(it, grey(1))
        with raw(queue_server) as connection:
            assert connection.xlen(keys.stream_key(MODEL)) == 0
            assert connection.xpending(keys.stream_key(MODEL), keys.GROUP)["pending"] == 0
            assert connection.keys("mammo:blob:*") == []
            for key in (*connection.keys("mammo:job:*"), *connection.keys("mammo:emb:*")):
                assert connection.ttl(key) > 0


def test_what_was_computed_once_is_in_the_cache_for_the_api_and_the_worker(
    queue_server: str,
) -> None:
    submit(queue_server, [image(1), text("a")])
    with worker_of(queue_server) as queue:
        for it in queue.read(8, wait_s=1):
            queue.complete(it, it.kind.encode())
        submit(queue_server, [image(1)])
        assert queue.contents(queue.read(8, wait_s=1))[0].cached == b"image"

    async def look() -> dict[str, bytes]:
        async with client_of(queue_server) as client:
            assert await client.cached("e" * 64, "image", [image(1).ref]) == {}
            assert await client.cached(DIGEST, "text", [text("a").ref]) == {text("a").ref: b"text"}
            assert await client.cached(DIGEST, "image", []) == {}
            return await client.cached(DIGEST, "image", [image(1).ref, image(2).ref])

    assert asyncio.run(look()) == {image(1).ref: b"image"}


def test_failures_are_answers_but_never_cached(queue_server: str) -> None:
    job = submit(queue_server, [image(1)])
    with worker_of(queue_server) as queue:
        queue.complete(queue.read(8, wait_s=1)[0], ItemFailed("inference_failed"))
    assert results(queue_server, job, 1) == [ItemFailed("inference_failed")]
    with raw(queue_server) as connection:
        assert connection.keys("mammo:emb:*") == []


def test_an_entry_whose_worker_died_is_taken_over_after_the_lease_with_its_count(
    queue_server: str,
) -> None:
    submit(queue_server, [image(1), image(2)])
    with worker_of(queue_server, "dead") as dead:
        taken = dead.read(8, wait_s=1)
        with worker_of(queue_server, "heir", lease_s=0.2) as heir:
            assert heir.claim() is None
            time.sleep(0.25)
            claimed = [heir.claim(), heir.claim()]
            assert [it.entry for it in claimed if it] == [it.entry for it in taken]
            assert [it.times for it in claimed if it] == [2, 2]
            assert heir.claim() is None


def test_a_lease_that_is_kept_is_not_taken_over_and_costs_no_delivery(queue_server: str) -> None:
    submit(queue_server, [image(1)])
    with (
        worker_of(queue_server, "slow") as slow,
        worker_of(queue_server, "keen", lease_s=0.3) as keen,
    ):
        taken = slow.read(8, wait_s=1)
        for _ in range(4):
            time.sleep(0.15)
            slow.extend(taken)
            assert keen.claim() is None
        time.sleep(0.35)
        late = keen.claim()
        assert late is not None
        assert late.times == 2


def test_more_pending_entries_than_one_call_looks_at_hide_none_from_a_takeover(
    queue_server: str,
) -> None:
    submit(queue_server, [image(1)] * 40)
    with (
        worker_of(queue_server, "slow") as slow,
        worker_of(queue_server, "keen", lease_s=0.4) as keen,
    ):
        taken = slow.read(40, wait_s=1)
        time.sleep(0.45)
        slow.extend(taken[:-1])  # only the last one's lease runs out
        found: Delivery | None = None
        for _ in range(5):
            found = found or keen.claim()
        assert found is not None
        assert found.entry == taken[-1].entry


def test_the_caller_that_left_frees_its_canvases_and_gets_no_answer(queue_server: str) -> None:
    job = submit(queue_server, [image(1), image(2)])

    async def leave() -> None:
        async with client_of(queue_server) as client:
            await client.forget(job)
            await client.forget(job)  # twice does no harm
            await client.forget("unknown")

    asyncio.run(leave())
    with raw(queue_server) as connection, worker_of(queue_server) as queue:
        assert connection.keys("mammo:blob:*") == []
        assert connection.keys("mammo:job:*") == []
        taken = queue.read(8, wait_s=1)
        assert [has.wanted for has in queue.contents(taken)] == [False, False]
        assert [queue.complete(it, ItemFailed("left")) for it in taken] == [-1, -1]
        assert connection.xlen(keys.stream_key(MODEL)) == 0
        assert connection.keys("mammo:job:*") == []


def test_a_waiter_without_an_answer_stops_at_its_deadline(queue_server: str) -> None:
    job = submit(queue_server, [image(1)])
    began = time.monotonic()
    with pytest.raises(DeadlinePassed):
        results(queue_server, job, 1, deadline_s=0.4)
    assert 0.3 < time.monotonic() - began < 2


def test_a_lost_publication_does_not_hang_a_waiter(queue_server: str) -> None:
    job = submit(queue_server, [image(1)])

    async def run() -> list[bytes | ItemFailed]:
        client = QueueClient(queue_server, max_items=9)  # not entered: it hears no publications
        waiting = asyncio.create_task(client.wait(job, 1, deadline_s=5))
        await asyncio.sleep(0.1)
        await asyncio.to_thread(complete_all, queue_server)
        try:
            return await waiting
        finally:
            await client.close()

    assert asyncio.run(run()) == [b"done"]


def test_a_publication_wakes_a_waiter_before_it_polls(
    queue_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.queue.client.POLL_S", 60.0)
    job = submit(queue_server, [image(1)])

    async def run() -> list[bytes | ItemFailed]:
        async with client_of(queue_server) as client:
            waiting = asyncio.create_task(client.wait(job, 1, deadline_s=5))
            await asyncio.sleep(0.3)
            await asyncio.to_thread(complete_all, queue_server)
            return await waiting

    assert asyncio.run(run()) == [b"done"]


def complete_all(url: str) -> None:
    with worker_of(url) as queue:
        for it in queue.read(100, wait_s=1):
            queue.complete(it, b"done")


def test_workers_are_seen_while_they_beat_and_gone_when_they_leave(queue_server: str) -> None:
    async def seen() -> list[dict[str, Any]]:
        async with client_of(queue_server) as client:
            return await client.workers()

    with worker_of(queue_server) as queue:
        assert asyncio.run(seen()) == []
        queue.beat({"models": [{"key": MODEL, "digest": DIGEST}], "items_per_s": {}})
        (worker,) = asyncio.run(seen())
        assert worker["id"] == "w1"
        assert worker["models"] == [{"key": MODEL, "digest": DIGEST}]
        with raw(queue_server) as connection:
            assert 0 < connection.pttl(keys.worker_key("w1")) <= 3000
            connection.delete(keys.worker_key("w1"))  # as its TTL would
        assert asyncio.run(seen()) == []
        queue.beat({"models": [], "items_per_s": {}})
    assert asyncio.run(seen()) == []


def test_a_group_that_is_gone_is_made_again_and_misses_nothing(queue_server: str) -> None:
    with worker_of(queue_server) as queue, raw(queue_server) as connection:
        connection.flushall()
        job = submit(queue_server, [image(1)])
        assert queue.claim() is None
        connection.xgroup_destroy(keys.stream_key(MODEL), keys.GROUP)
        assert queue.read(8, wait_s=0.1) == []
        (it,) = queue.read(8, wait_s=1)
        assert it.job == job


def test_an_entry_that_is_none_of_ours_is_dropped_and_ends_no_worker(queue_server: str) -> None:
    with worker_of(queue_server) as queue, raw(queue_server) as connection:
        connection.xadd(keys.stream_key(MODEL), {"job": "a", "index": "many"})
        connection.xadd(keys.stream_key(MODEL), {b"job": b"\xff"})
        job = submit(queue_server, [image(1)])
        assert [it.job for it in queue.read(8, wait_s=1)] == [job]
        assert connection.xlen(keys.stream_key(MODEL)) == 1


def test_a_consumer_that_holds_entries_is_never_removed(queue_server: str) -> None:
    submit(queue_server, [image(1)])
    with worker_of(queue_server, "dead") as dead:
        dead.read(8, wait_s=1)
    with worker_of(queue_server, "idle"), raw(queue_server) as connection:
        consumers = connection.xinfo_consumers(keys.stream_key(MODEL), keys.GROUP)
        assert {it["name"]: it["pending"] for it in consumers}[b"dead"] == 1
    with raw(queue_server) as connection:
        consumers = connection.xinfo_consumers(keys.stream_key(MODEL), keys.GROUP)
        assert [it["name"] for it in consumers] == [b"dead"]


def fill(connection: redis.Redis) -> None:
    """Until the server's memory is full for the smallest of commands."""
    for size in (1_000_000, 10_000, 100):
        with contextlib.suppress(redis.exceptions.OutOfMemoryError):
            for n in range(10_000):
                connection.set(f"filler:{size}:{n}", b"x" * size)


def test_a_full_memory_refuses_new_work_and_still_finishes_the_old(tmp_path: Path) -> None:
    for kind in ("valkey", "redis"):
        with EmbeddedServer(tmp_path / kind, binary=server_binary(kind), memory_mb=64) as url:
            job = submit(url, [image(1)])
            with worker_of(url) as queue, raw(url) as connection:
                fill(connection)
                with pytest.raises(QueueStorageFull):
                    submit(url, [image(2)])
                assert len(connection.keys("mammo:job:*")) == 1
                queue.beat({"models": [], "items_per_s": {}})
                (it,) = queue.read(8, wait_s=1)
                assert queue.complete(it, grey(1)) == 0
                assert connection.keys("mammo:emb:*") == []  # the cache gives way to the queue
            assert results(url, job, 1) == [grey(1)]


def test_redis_that_is_not_there_is_queue_down_for_every_call(tmp_path: Path) -> None:
    nowhere = f"unix://{tmp_path}/nowhere"

    async def run() -> None:
        async with client_of(nowhere) as client:
            with pytest.raises(QueueDown):
                await client.ping()
            with pytest.raises(QueueDown):
                await client.submit(MODEL, DIGEST, [image(1)], deadline_ms=in_ms(1))
            with pytest.raises(QueueDown):
                await client.workers()
            with pytest.raises(QueueDown):
                await client.cached(DIGEST, "text", ["a"])
            with pytest.raises(QueueDown):
                await client.forget("job")

    asyncio.run(run())


@pytest.mark.system
@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_a_waiter_sits_out_a_restart_of_the_server(tmp_path: Path, kind: str) -> None:
    server = EmbeddedServer(tmp_path, binary=server_binary(kind))

    async def run(url: str) -> list[bytes | ItemFailed]:
        async with client_of(url) as client:
            job = await client.submit(MODEL, DIGEST, [image(1)], deadline_ms=in_ms(30))
            waiting = asyncio.create_task(client.wait(job, 1, deadline_s=20))
            await asyncio.sleep(1.5)  # appendfsync everysec
            first = server.pid
            os.kill(first, signal.SIGKILL)
            await asyncio.to_thread(eventually, lambda: server.pid != first)
            await asyncio.sleep(0.5)
            await asyncio.to_thread(complete_all, url)
            return await waiting

    with server as url:
        assert asyncio.run(run(url)) == [b"done"]


def test_a_job_that_redis_lost_is_queue_down_and_not_a_hang(queue_server: str) -> None:
    job = submit(queue_server, [image(1)])
    with raw(queue_server) as connection:
        connection.flushall()
    with pytest.raises(QueueDown, match="lost the job"):
        results(queue_server, job, 1, deadline_s=10)


def test_nothing_in_redis_names_anything_but_digests_and_numbers(queue_server: str) -> None:
    submit(queue_server, [image(1)])
    with raw(queue_server) as connection:
        ((_, fields),) = connection.xrange(keys.stream_key(MODEL))
        (job,) = connection.keys("mammo:job:*")
        assert set(connection.hgetall(job)) == {b"remaining", b"n", b"deadline_ms"}
    assert set(fields) == {
        b"job", b"index", b"kind", b"ref", b"shape", b"model", b"deadline_ms", b"text",
    }  # fmt: skip
    assert json.loads(fields[b"deadline_ms"]) > 0


def test_a_canvas_that_is_not_its_shape_is_refused_before_it_is_queued() -> None:
    with pytest.raises(ValueError, match="4 x 3 canvas has 11 bytes"):
        ImageItem(canvas=b"x" * 11, shape=(4, 3), ref="r")
