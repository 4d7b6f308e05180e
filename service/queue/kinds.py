"""The three kinds of item as the worker's loop sees them: what is known before a run, and the run.

Knows nothing of Redis.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from model_store.arrays import F32, U8
from model_store.refusals import RefusalCode
from service.queue.batching import INFERENCE_FAILED, Served, rows_of
from service.queue.keys import DEADLINE, ItemFailed, Kind, now_ms
from service.queue.worker_queue import Contents, Delivery

logger = logging.getLogger(__name__)

MOST_DELIVERIES = 3
"""From the second delivery on an item runs alone; beyond this many it is quarantined."""
LEFT = ItemFailed("left")
ORDER: tuple[Kind, ...] = ("text", "image", "heat")
"""Of one read: what is soonest done goes first."""

Run = Callable[[Sequence[Any]], list[bytes]]
"""Contents of some items of one kind, as `content_of` gives them -> their answers."""


def settle(it: Delivery, has: Contents, served: Served) -> bytes | ItemFailed | None:
    """What is known of an item before it is run; None = run it."""
    if not has.wanted:
        return LEFT
    if it.model_digest == served.digest and has.cached is not None:
        return has.cached
    if it.times > MOST_DELIVERIES:
        logger.error("an item was delivered %d times and never completed", it.times)
        return ItemFailed(RefusalCode.QUARANTINED.value)
    if now_ms() >= it.deadline_ms:
        return ItemFailed(DEADLINE)
    if it.model_digest != served.digest:
        logger.error("%s: API and worker have different files of this version", served.key)
        return INFERENCE_FAILED
    if it.kind == "heat" and served.look is None:
        logger.error("%s: asked for heat maps, which it does not make", served.key)
        return INFERENCE_FAILED
    if it.kind != "text" and not _fits(it, has.canvas, served.shape):
        logger.error("%s: a canvas is missing or not of the model's size", served.key)
        return INFERENCE_FAILED
    return None


def _fits(it: Delivery, canvas: bytes | None, shape: tuple[int, int]) -> bool:
    return canvas is not None and it.shape == shape and len(canvas) == shape[0] * shape[1]


def content_of(it: Delivery, has: Contents, served: Served) -> str | U8 | tuple[U8, bytes]:
    """What is run of an item that `settle` lets through: sentence, canvas, or canvas and ask."""
    if it.kind == "text":
        return it.text
    canvas = np.frombuffer(has.canvas or b"", dtype=np.uint8).reshape(served.shape)
    return canvas if it.kind == "image" else (canvas, it.ask)


def how(kind: Kind, served: Served, *, max_batch: int) -> tuple[Run, int]:
    """How items of a kind are run, and how many of them at once."""
    executor = served.executor

    def images(canvases: Sequence[U8]) -> F32:
        return executor.embed_images(np.stack(canvases))

    def heat(asked: Sequence[tuple[U8, bytes]]) -> list[bytes]:
        if served.look is None:
            raise ValueError(f"{served.key} makes no heat maps")
        return [served.look(canvas, ask) for canvas, ask in asked]

    runs: Mapping[Kind, tuple[Run, int]] = {
        "text": (rows_of(executor.embed_texts), max_batch),
        "image": (rows_of(images), executor.preferred_batch),
        "heat": (heat, 1),  # features of a large tower are 11 MB an image
    }
    run, at_once = runs[kind]
    return run, max(1, at_once)
