"""Work for a queue, and models that misbehave on demand."""

import time
from collections.abc import Callable, Sequence

import numpy as np

from model_store.arrays import F32, U8
from service.queue.batching import Served
from service.queue.streams import ImageItem, TextItem, image_ref, now_ms, text_ref

MODEL = "tiny/1"
DIGEST = "d" * 64
SHAPE = (4, 3)
POISON, KILLER = 13, 66


def image(value: int, shape: tuple[int, int] = SHAPE) -> ImageItem:
    """A canvas of one grey value."""
    canvas = bytes([value]) * (shape[0] * shape[1])
    return ImageItem(canvas=canvas, shape=shape, ref=image_ref(canvas, "recipe"))


def text(sentence: str) -> TextItem:
    return TextItem(text=sentence, ref=text_ref(sentence))


def in_ms(seconds: float) -> int:
    return now_ms() + int(seconds * 1000)


def eventually(true: Callable[[], object], within_s: float = 10.0) -> None:
    until = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


class GreyModel:
    """Embeds a canvas as (mean, 1), a sentence as (length, 2); raises for a canvas of POISON."""

    def __init__(self, *, preferred_batch: int = 8) -> None:
        self.preferred_batch = preferred_batch
        self.batches: list[int] = []
        self.text_batches: list[int] = []
        self.broken = False
        self.pause_s = 0.0

    def embed_images(self, canvases: U8) -> F32:
        self.batches.append(len(canvases))
        time.sleep(self.pause_s)
        means = canvases.reshape(len(canvases), -1).mean(axis=1)
        if self.broken or POISON in means:
            raise RuntimeError("the model does not like this one")
        return np.stack([means, np.ones(len(canvases))], axis=1).astype(np.float32)

    def embed_texts(self, sentences: Sequence[str]) -> F32:
        self.text_batches.append(len(sentences))
        if self.broken:
            raise RuntimeError("no")
        return np.array([[len(one), 2] for one in sentences], dtype=np.float32)

    def check_golden(self) -> None:
        if self.broken:
            raise RuntimeError("the golden inputs fail too")


def served(model: GreyModel, *, key: str = MODEL, digest: str = DIGEST) -> Served:
    return Served(key=key, digest=digest, shape=SHAPE, executor=model)


def grey(value: float) -> bytes:
    """What GreyModel answers for `image(value)`."""
    return np.array([value, 1], dtype=np.float32).tobytes()
