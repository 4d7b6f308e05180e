"""The images that one process holds are bounded."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.errors import QueueIsFull
from service.metrics import Metrics
from service.room import Room
from tests.service.live import four_views, live, problem, stopped


def test_what_does_not_fit_is_refused_and_fits_when_others_have_gone() -> None:
    room = Room(8, Metrics())
    with room.hold(6):
        with pytest.raises(QueueIsFull), room.hold(3):
            pass
        with room.hold(2):
            pass
    with room.hold(8):
        pass


def test_a_request_larger_than_the_room_has_it_to_itself() -> None:
    room = Room(8, Metrics())
    with room.hold(20), pytest.raises(QueueIsFull), room.hold(1):
        pass
    with room.hold(1), pytest.raises(QueueIsFull), room.hold(20):
        pass


def test_room_is_given_back_where_the_work_fails() -> None:
    room = Room(1, Metrics())
    with pytest.raises(ZeroDivisionError), room.hold(1):
        _ = 1 / 0
    with room.hold(1):
        pass


def test_images_that_are_still_being_decoded_count(tmp_path: Path) -> None:
    with live(tmp_path, queue_max_images=3) as running, ThreadPoolExecutor(1) as pool:
        with stopped(running.processes("service.decode_child")):
            first = pool.submit(running.classify, four_views(), deadline="40")
            until = time.monotonic() + 20
            while not running.files_left() and time.monotonic() < until:
                threading.Event().wait(0.01)
            threading.Event().wait(0.2)
            problem(running.classify(four_views(seed=9)), "queue-full")
            assert running.metric("mammo_admission_rejected_total", reason="no_room") == 1
        assert first.result().status_code == 200
        assert running.classify(four_views(seed=9)).status_code == 200
