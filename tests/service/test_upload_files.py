"""Names for show, and threads that outlast their caller."""

import asyncio
import threading

import pytest

from service.upload_files import display_name, in_thread

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_a_name_is_shown_on_one_line_and_bounded() -> None:
    assert display_name("a\r\nb\0c") == "a\ufffd\ufffdb\ufffdc"
    assert len(display_name("x" * 9999)) == 255
    assert display_name("") == "unnamed"


async def test_a_cancelled_caller_waits_for_its_thread() -> None:
    began, done = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        assert not done.wait(0.2)
        done.set()

    task = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(began.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()
