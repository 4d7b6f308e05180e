"""What a fine-tuned classifier and a detector learn with: images of one size, steps, a schedule.

Knows nothing of what is learned.
"""

from collections.abc import Iterable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from model_store.arrays import U8
from training.data.canvas_set import CanvasRecord, CanvasSet
from training.data.records import Box
from training.evaluate.config import LearnConfig
from training.schedule import learning_rate_factor

Rows = NDArray[np.intp]


def device() -> torch.device:
    """The first GPU, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def resized(canvas: U8, *, height: int, width: int) -> U8:
    """(H, W) -> (height, width) by area, as canvases themselves are made."""
    if canvas.shape == (height, width):
        return np.array(canvas)
    small = cv2.resize(np.ascontiguousarray(canvas), (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def resized_box(box: Box, canvas: U8, *, height: int, width: int) -> Box | None:
    """A box of the canvas in the resized one, cut at its borders; None where nothing is left."""
    down, across = height / canvas.shape[0], width / canvas.shape[1]
    cut = Box(
        max(box.top * down, 0.0),
        max(box.left * across, 0.0),
        min(box.bottom * down, height),
        min(box.right * across, width),
    )
    return cut if cut.area > 0 else None


def read_small(canvases: CanvasSet, record: CanvasRecord, *, height: int, width: int) -> U8:
    """A canvas of the set, resized."""
    return resized(canvases.canvas(record), height=height, width=width)


def batches(count: int, size: int, *, rng: np.random.Generator) -> list[Rows]:
    """Numbers 0..count-1 in random order, `size` together; the last may be smaller."""
    order = rng.permutation(count)
    return [order[start : start + size] for start in range(0, count, size)]


def optimiser(
    tower: nn.Module, head: Iterable[nn.Parameter], config: LearnConfig, *, steps: int
) -> tuple[AdamW, LambdaLR]:
    """AdamW with a rate for the tower and one for the head; warm-up, then a cosine to 0."""
    groups = [
        {"params": [p for p in tower.parameters() if p.requires_grad], "lr": config.learning_rate},
        {"params": list(head), "lr": config.head_learning_rate},
    ]
    adam = AdamW([g for g in groups if g["params"]], weight_decay=config.weight_decay)
    warm = max(round(config.warmup * steps), 1)
    return adam, LambdaLR(adam, learning_rate_factor(steps, warmup_steps=warm))
