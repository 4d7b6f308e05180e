"""Real children, really killed. The awkward ones run the real child with a reader that misbehaves
for files that begin with a word."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from model_store.dicom_input import Laterality, Limits, View, read_mammogram
from model_store.manifest import Recipe
from model_store.refusals import RefusalCode, Refused
from model_store.render import render
from service.decode_pool import DecodedImage, DecodePool, DecodePoolError
from tests.dicom_factory import dicom_bytes, mammogram_dataset
from tests.service.queue_helpers import eventually

RECIPE = Recipe(height_px=128, width_px=96)
LIMITS = Limits()
AWKWARD = """
import os, pathlib, sys, time
import service.decode_child as child
real, made = child.read_mammogram, child._rendered
twice = []
child._rendered = lambda *told: made(*told) * (1 + len(twice[:1] and [twice.pop()]))
def awkward(source, *, limits):
    word = bytes(source[:8]).rstrip(b".")
    if word == b"SLEEP": time.sleep(60)
    if word == b"ABORT": os.abort()
    if word == b"BOMB": return bytearray(4 << 30)
    if word == b"BUG": raise ZeroDivisionError("Doe^Jane")
    if word == b"LIE": os.write(int(sys.argv[-1]), b"\\x7f" + b"x" * 100)
    if word == b"JSON": os.write(int(sys.argv[-1]), b"\\0\\0\\0\\2[]")
    if word == b"PICKLE": os.write(int(sys.argv[-1]), b"\\0\\0\\0\\x10cos\\nsystem\\n(S''\\ntR")
    if word == b"TWICE":
        twice.append(True)
        source = memoryview(source)[8:]
    if word == b"SLOW":
        time.sleep(1.0)
        source = memoryview(source)[8:]
    if word == b"ONCE":
        mark = pathlib.Path(os.environ["ONCE_MARK"])
        if not mark.exists():
            mark.touch()
            os.abort()
        source = memoryview(source)[8:]
    return real(source, limits=limits)
child.read_mammogram = awkward
child.main()
"""
AWKWARD_CHILD = (sys.executable, "-c", AWKWARD)


@contextlib.asynccontextmanager
async def awkward_pool(
    processes: int = 1, *, timeout_s: float = 20, memory_mb: int = 2048
) -> AsyncIterator[DecodePool]:
    async with DecodePool(processes, memory_mb, timeout_s, command=AWKWARD_CHILD) as pool:
        yield pool


def write(path: Path, *, word: bytes = b"", seed: int = 0, **keywords: Any) -> Path:
    content = dicom_bytes(mammogram_dataset(seed=seed, rows=320, columns=256, **keywords))
    path.write_bytes(word.ljust(8, b".") + content if word else content)
    return path


def expected(path: Path) -> bytes:
    return render(read_mammogram(path.read_bytes()), RECIPE).canvas.tobytes()


async def outcome(pool: DecodePool, path: Path) -> DecodedImage | RefusalCode:
    try:
        return await pool.render(path, RECIPE, LIMITS)
    except Refused as refused:
        return refused.code


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_a_file_comes_back_as_the_canvas_that_render_makes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", laterality="R", view="MLO")

    async def check() -> None:
        async with DecodePool(1, 2048, 20) as pool:
            image = await pool.render(path, RECIPE, LIMITS)
        mammogram = read_mammogram(path.read_bytes())
        assert image.canvas == expected(path)
        assert image.shape == (128, 96)
        assert image.placement == render(mammogram, RECIPE).placement
        assert (image.laterality, image.view) == (Laterality.RIGHT, View.MLO)
        assert image.sop_instance_uid == mammogram.sop_instance_uid
        assert image.study_instance_uid == mammogram.study_instance_uid
        assert image.spacing_mm == mammogram.spacing_mm
        assert image.warnings == mammogram.warnings

    run(check)


def test_many_files_at_once_each_get_their_own_canvas(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{seed}.dcm", seed=seed) for seed in range(9)]

    async def check() -> None:
        async with DecodePool(2, 2048, 20) as pool:
            images = await asyncio.gather(*(pool.render(p, RECIPE, LIMITS) for p in paths))
        assert [image.canvas for image in images] == [expected(path) for path in paths]

    run(check)


def test_refusals_and_limits_cross_with_their_code_and_words(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"this is no DICOM file at all" * 20)
    (tmp_path / "empty").touch()
    good = write(tmp_path / "good.dcm")

    async def check() -> None:
        async with DecodePool(1, 2048, 20) as pool:
            with pytest.raises(Refused) as refused:
                await pool.render(tmp_path / "text", RECIPE, LIMITS)
            assert refused.value.code is RefusalCode.NOT_DICOM
            assert refused.value.detail
            assert await outcome(pool, tmp_path / "empty") is RefusalCode.EMPTY
            with pytest.raises(Refused) as refused:
                await pool.render(good, RECIPE, Limits(max_pixels=1000))
            assert refused.value.code is RefusalCode.TOO_LARGE
            pids = pool.pids
            await pool.render(good, RECIPE, LIMITS)
            assert pool.pids == pids  # a refusal costs no child

    run(check)


@pytest.mark.parametrize("word", [b"ABORT", b"BOMB", b"BUG", b"LIE", b"JSON", b"PICKLE"])
def test_a_crash_refuses_that_image_after_one_more_try_and_no_other(
    tmp_path: Path, word: bytes
) -> None:
    good = [write(tmp_path / f"{seed}.dcm", seed=seed) for seed in range(3)]
    bad = write(tmp_path / "bad.dcm", word=word)

    async def check() -> None:
        async with awkward_pool(2) as pool:
            found = await asyncio.gather(
                *(outcome(pool, path) for path in (good[0], bad, good[1], good[2]))
            )
            assert found.pop(1) is RefusalCode.DECODE_CRASHED
            assert [image.canvas for image in found if isinstance(image, DecodedImage)] == [
                expected(path) for path in good
            ]

    run(check)


def test_what_a_child_says_too_much_is_never_the_answer_to_another_image(tmp_path: Path) -> None:
    talker = write(tmp_path / "talker.dcm", word=b"TWICE", seed=1, laterality="L")
    plain = write(tmp_path / "plain.dcm", seed=1, laterality="L")
    victim = write(tmp_path / "victim.dcm", seed=2, laterality="R")

    async def check() -> None:
        async with awkward_pool() as pool:
            assert (await pool.render(talker, RECIPE, LIMITS)).canvas == expected(plain)
            for _ in range(2):
                image = await pool.render(victim, RECIPE, LIMITS)
                assert (image.canvas, image.laterality) == (expected(victim), Laterality.RIGHT)

    run(check)


def test_a_crash_that_does_not_come_again_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONCE_MARK", str(tmp_path / "mark"))
    plain = write(tmp_path / "plain.dcm")
    path = write(tmp_path / "once.dcm", word=b"ONCE")

    async def check() -> None:
        async with awkward_pool() as pool:
            image = await pool.render(path, RECIPE, LIMITS)
        assert image.canvas == expected(plain)
        assert (tmp_path / "mark").exists()

    run(check)


def test_a_child_killed_in_the_middle_costs_at_most_its_own_image(tmp_path: Path) -> None:
    plain = [write(tmp_path / f"plain{seed}.dcm", seed=seed) for seed in range(4)]
    slow = [write(tmp_path / f"{seed}.dcm", seed=seed, word=b"SLOW") for seed in range(4)]

    async def check() -> None:
        async with awkward_pool(2) as pool:
            tasks = [asyncio.create_task(outcome(pool, path)) for path in slow]
            await asyncio.sleep(0.5)
            os.kill(pool.pids[0], signal.SIGKILL)
            found = await asyncio.gather(*tasks)
        assert [image.canvas for image in found if isinstance(image, DecodedImage)] == [
            expected(path) for path in plain
        ]

    run(check)


def test_children_killed_while_idle_cost_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm")

    async def check() -> None:
        async with DecodePool(2, 2048, 20) as pool:
            dead = pool.pids
            for pid in dead:
                os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.2)
            for _ in range(3):
                assert isinstance(await outcome(pool, path), DecodedImage)
            assert not set(dead) & set(pool.pids)

    run(check)


def test_who_waits_for_a_pool_that_stops_is_refused_and_does_not_hang(tmp_path: Path) -> None:
    slow = write(tmp_path / "slow.dcm", word=b"SLEEP")

    async def check() -> None:
        async with awkward_pool() as pool:
            tasks = [asyncio.create_task(outcome(pool, slow)) for _ in range(3)]
            await asyncio.sleep(0.3)
        async with asyncio.timeout(5):
            assert await asyncio.gather(*tasks) == [RefusalCode.DECODE_CRASHED] * 3

    run(check)


def test_an_image_that_takes_too_long_is_refused_and_its_child_replaced(tmp_path: Path) -> None:
    slow, good = write(tmp_path / "slow.dcm", word=b"SLEEP"), write(tmp_path / "good.dcm")

    async def check() -> None:
        async with awkward_pool(timeout_s=0.5) as pool:
            (first,) = pool.pids
            began = time.monotonic()
            assert await outcome(pool, slow) is RefusalCode.DECODE_TIMEOUT
            assert time.monotonic() - began < 5
            assert isinstance(await outcome(pool, good), DecodedImage)
            assert pool.pids != [first]
            assert gone(first)

    run(check)


def test_a_caller_that_leaves_frees_its_child_for_the_next(tmp_path: Path) -> None:
    slow, good = write(tmp_path / "slow.dcm", word=b"SLEEP"), write(tmp_path / "good.dcm")

    async def check() -> None:
        async with awkward_pool() as pool:
            leaving = asyncio.create_task(pool.render(slow, RECIPE, LIMITS))
            queued = asyncio.create_task(pool.render(slow, RECIPE, LIMITS))
            await asyncio.sleep(0.3)
            queued.cancel()
            leaving.cancel()
            async with asyncio.timeout(15):
                assert isinstance(await outcome(pool, good), DecodedImage)
            await asyncio.gather(leaving, queued, return_exceptions=True)

    run(check)


def test_the_loop_stays_free_while_children_decode(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{seed}.dcm", seed=seed) for seed in range(6)]

    async def check() -> None:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0.001)
                turns += 1

        async with awkward_pool() as pool:
            counting = asyncio.create_task(count())
            await asyncio.gather(*(pool.render(path, RECIPE, LIMITS) for path in paths))
            counting.cancel()
        assert turns > 5

    run(check)


def test_children_are_limited_and_low_in_priority_and_private(tmp_path: Path) -> None:
    async def check() -> None:
        async with DecodePool(1, 1536, 20) as pool:
            child = psutil.Process(pool.pids[0])
            assert child.rlimit(psutil.RLIMIT_AS) == (1536 << 20, 1536 << 20)
            assert child.rlimit(psutil.RLIMIT_CORE) == (0, 0)
            assert child.nice() == psutil.Process().nice() + 5
            assert umask(child.pid) == "0077"
            assert len(child.net_connections("all")) == 1  # the socket to its parent

    run(check)


def test_no_child_is_left_behind(tmp_path: Path) -> None:
    slow = write(tmp_path / "slow.dcm", word=b"SLEEP")
    pids: list[int] = []

    async def check() -> None:
        async with awkward_pool(2) as pool:
            busy = asyncio.create_task(outcome(pool, slow))
            await asyncio.sleep(0.3)
            pids.extend(pool.pids)
            busy.cancel()
            await asyncio.gather(busy, return_exceptions=True)

    run(check)
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)


@pytest.mark.system
def test_children_die_with_a_parent_that_is_killed() -> None:
    import subprocess

    code = (
        "import asyncio\n"
        "from service.decode_pool import DecodePool\n"
        "async def main():\n"
        "    pool = DecodePool(2, 2048, 20)\n"
        "    await pool.start()\n"
        "    print(*pool.pids, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()
    assert len(pids) == 2
    eventually(lambda: all(gone(pid) for pid in pids))


def test_a_pool_that_cannot_start_says_what_may_be_wrong() -> None:
    async def check() -> None:
        pool = DecodePool(2, 2048, 20, command=(sys.executable, "-c", "raise SystemExit(1)"))
        with pytest.raises(DecodePoolError, match="decode_memory_mb"):
            await pool.start()

    run(check)


def test_a_canvas_is_bytes_of_the_recipes_size_whatever_the_image(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm")

    async def check() -> None:
        async with DecodePool(1, 2048, 20) as pool:
            for size in ((64, 48), (1520, 912)):
                recipe = Recipe(height_px=size[0], width_px=size[1])
                image = await pool.render(path, recipe, LIMITS)
                canvas = np.frombuffer(image.canvas, np.uint8).reshape(size)
                assert canvas.max() > 100

    run(check)


def umask(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text().split("Umask:\t")[1][:4]


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
