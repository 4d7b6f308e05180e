"""What a detector is shown: square images and boxes, batch by batch.

Batch n is a function of the seed and n alone, so that processes may draw them ahead. Apart from
`detect`, so that those processes import little.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.data.augment import AugmentRules, augment
from training.data.canvas_set import CanvasRecord, CanvasSet
from training.data.records import Box
from training.evaluate.config import DetectConfig
from training.evaluate.learning import batches, resized, resized_box

Batch = tuple[Tensor, list[dict[str, Tensor]]]
"""(n, S, S) uint8, and of each image "boxes", (k, 4) x y x y, and "labels", (k,)."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A canvas and the boxes of one finding on it, in canvas pixels."""

    record: CanvasRecord
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Squares:
    """Number of a batch -> the batch, counting on over the epochs.

    With a `seed` in an order drawn anew each epoch, and changed at random where the configuration
    says so; without one in order and as they are.
    """

    canvases: CanvasSet
    given: tuple[Example, ...]
    config: DetectConfig
    seed: int | None = None

    @property
    def steps(self) -> int:
        """Batches of an epoch; the last may be smaller."""
        return -(-len(self.given) // self.config.batch)

    def __call__(self, number: int) -> Batch:
        """Batch `number`, `number % steps` of its epoch."""
        epoch, place = divmod(number, self.steps)
        if self.seed is None:
            start = place * self.config.batch
            return self._batch(self.given[start : start + self.config.batch], rng=None)
        about = [self.seed, len(self.given), epoch]
        rows = batches(len(self.given), self.config.batch, rng=np.random.default_rng(about))[place]
        rng = np.random.default_rng([*about, place])
        return self._batch([self.given[row] for row in rows], rng=rng)

    def _batch(self, chosen: Sequence[Example], *, rng: np.random.Generator | None) -> Batch:
        size = self.config.size_px
        images, targets = [], []
        for example in chosen:
            canvas = self.canvases.canvas(example.record)
            image = resized(canvas, height=size, width=size)
            boxes = [resized_box(box, canvas, height=size, width=size) for box in example.boxes]
            if rng is not None and self.config.augment:
                kept = [box for box in boxes if box is not None]
                image, boxes = augment(rng, image, rules=AugmentRules(flip_rows=0.0), boxes=kept)
            images.append(torch.from_numpy(image))
            targets.append(_target([box for box in boxes if box is not None]))
        return torch.stack(images), targets


def _target(boxes: Sequence[Box]) -> dict[str, Tensor]:
    rows = [(box.left, box.top, box.right, box.bottom) for box in boxes if box.area > 0]
    return {
        "boxes": torch.tensor(rows, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.ones(len(rows), dtype=torch.int64),
    }
