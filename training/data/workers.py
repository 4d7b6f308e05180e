"""Child processes that make canvases: one thread each, and no life beyond their parent's."""

import ctypes
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

import cv2

PR_SET_PDEATHSIG = 1  # prctl(2)
Task = TypeVar("Task")
Done = TypeVar("Done")


def in_order(
    work: Callable[[Task], Done], tasks: Sequence[Task], *, processes: int
) -> Iterator[Done]:
    """What `work` makes of each task, in the tasks' order; with one process, in this one."""
    number = min(processes, len(tasks))
    if number <= 1:
        yield from map(work, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(number, mp_context=context, initializer=start_child) as pool:
        yield from pool.map(work, tasks)


def start_child() -> None:
    """One OpenCV thread, since there is a process a core; killed with its parent (Linux)."""
    cv2.setNumThreads(1)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
