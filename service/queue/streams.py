"""The queue's public door: what the API and the worker import."""

from service.queue.client import QueueClient
from service.queue.keys import (
    DEADLINE,
    DeadlinePassed,
    ImageItem,
    Item,
    ItemFailed,
    QueueDown,
    QueueError,
    QueueFull,
    QueueStorageFull,
    TextItem,
    image_ref,
    now_ms,
    text_ref,
)
from service.queue.worker_queue import Delivery, WorkerQueue

__all__ = [
    "DEADLINE",
    "DeadlinePassed",
    "Delivery",
    "ImageItem",
    "Item",
    "ItemFailed",
    "QueueClient",
    "QueueDown",
    "QueueError",
    "QueueFull",
    "QueueStorageFull",
    "TextItem",
    "WorkerQueue",
    "image_ref",
    "now_ms",
    "text_ref",
]
