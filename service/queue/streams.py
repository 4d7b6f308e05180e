"""The queue's public door: what the API and the worker import."""

from service.queue.client import QueueClient
from service.queue.keys import (
    DEADLINE,
    DeadlinePassed,
    HeatItem,
    ImageItem,
    Item,
    ItemFailed,
    Kind,
    QueueDown,
    QueueError,
    QueueFull,
    QueueStorageFull,
    TextItem,
    heat_ref,
    image_ref,
    kind_of,
    now_ms,
    text_ref,
)
from service.queue.worker_queue import Delivery, WorkerQueue

__all__ = [
    "DEADLINE",
    "DeadlinePassed",
    "Delivery",
    "HeatItem",
    "ImageItem",
    "Item",
    "ItemFailed",
    "Kind",
    "QueueClient",
    "QueueDown",
    "QueueError",
    "QueueFull",
    "QueueStorageFull",
    "TextItem",
    "WorkerQueue",
    "heat_ref",
    "image_ref",
    "kind_of",
    "now_ms",
    "text_ref",
]
