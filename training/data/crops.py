"""Square crops of canvases with sentences that are true of what the crop shows.

Item i of epoch e is a function of (seed, e, i) alone. Knows nothing of losses or Lightning.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from training.data.canvas_set import CanvasRecord, CanvasSet
from training.data.captioning import Caption, draw_captions, main_captions
from training.data.facts import Facts, crop_facts, facts_of
from training.data.records import Box, Category

SHOWN, HIDDEN = 0.6, 0.05
"""A crop shows a finding from this share of its box on, and not up to that; between: drawn anew."""
TRIES = 40
ANYWHERE = 0.4  # share of crops that look for no finding
AIM = {Category.MASS: 4.0, Category.CALCIFICATION: 2.0, Category.LYMPH_NODE: 1.5}
"""How often a category is looked for, against 1 for any other."""
TURNED = 0.5  # rows and columns change places
BREAST_LEVEL, BREAST_SHARE = 40, 0.5  # a random crop is at least half breast
CAPTIONS = 2  # drawn, beside those on the main findings


@dataclass(frozen=True, slots=True)
class Item:
    """One image: `image` (S, S) uint8, the extremes of its whole canvas, and what is so in it."""

    image: NDArray[np.generic]
    low: int
    high: int
    facts: Facts
    captions: list[Caption]


@dataclass
class Batch:
    """N images and M captions, any number an image. Not frozen: Lightning moves its tensors."""

    images: Tensor  # (N, S, S) uint8, or (N, C, h, w) float16
    low: Tensor  # (N, 1, 1)
    high: Tensor  # (N, 1, 1)
    facts: Facts  # (N, F)
    claims: Facts  # (M, F)
    texts: list[str]  # M


def collate(items: Sequence[Item]) -> Batch:
    """Stack items; captions of all images in one list."""
    captions = [caption for item in items for caption in item.captions]
    return Batch(
        images=torch.from_numpy(np.stack([item.image for item in items])),
        low=torch.tensor([item.low for item in items], dtype=torch.float32)[:, None, None],
        high=torch.tensor([item.high for item in items], dtype=torch.float32)[:, None, None],
        facts=np.stack([item.facts for item in items]),
        claims=np.stack([caption.claims for caption in captions]),
        texts=[caption.text for caption in captions],
    )


Boxes = Mapping[Category, Sequence[Box]]


class CropDataset(Dataset[Item]):
    """Crops around findings, a category as often as AIM has it, and anywhere in a breast.

    Turned and mirrored at random: a crop shows neither side nor direction.
    """

    def __init__(
        self, canvases: CanvasSet, *, size_px: int, length: int, seed: Sequence[int]
    ) -> None:
        self._canvases = canvases
        self._size_px = size_px
        self._length = length
        self._seed = list(seed)
        self._boxes = [boxes_by_category(record) for record in canvases.records]
        self._facts = [facts_of(record.image) for record in canvases.records]
        self._rows = {
            category: [row for row, boxes in enumerate(self._boxes) if category in boxes]
            for category in Category
        }
        self._categories = [category for category, rows in self._rows.items() if rows]
        aims = np.array([AIM.get(category, 1.0) for category in self._categories])
        self._aims = aims / max(aims.sum(), 1.0)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Item:
        """Crop number `index` of this epoch; ValueError where canvases offer no usable crop."""
        rng = np.random.default_rng([*self._seed, index])
        for _ in range(TRIES):
            item = self._crop(rng, *self._aim(rng))
            if item is not None:
                return item
        raise ValueError(f"no usable crop of {self._size_px} px in {TRIES} tries")

    def _aim(self, rng: np.random.Generator) -> tuple[int, Box | None]:
        """Which canvas, and which finding's box the crop shall show."""
        if not self._categories or rng.random() < ANYWHERE:
            return int(rng.integers(len(self._boxes))), None
        category = self._categories[int(rng.choice(len(self._categories), p=self._aims))]
        row = self._rows[category][int(rng.integers(len(self._rows[category])))]
        boxes = self._boxes[row][category]
        return row, boxes[int(rng.integers(len(boxes)))]

    def _crop(self, rng: np.random.Generator, row: int, box: Box | None) -> Item | None:
        record = self._canvases.records[row]
        canvas = self._canvases.canvas(record)
        size = self._size_px
        rows, columns = ((box.top, box.bottom), (box.left, box.right)) if box else (None, None)
        top = _start(rng, canvas.shape[0], size, span=rows)
        left = _start(rng, canvas.shape[1], size, span=columns)
        shown = shown_in(self._boxes[row], Box(top, left, top + size, left + size))
        if shown is None:
            return None
        crop = canvas[top : top + size, left : left + size]
        if box is None and (crop[::16, ::16] > BREAST_LEVEL).mean() < BREAST_SHARE:
            return None
        crop = crop[:: rng.choice([1, -1]), :: rng.choice([1, -1])]
        crop = crop.T if rng.random() < TURNED else crop
        facts = crop_facts(self._facts[row], shown)
        drawn = draw_captions(rng, facts, local=True, count=CAPTIONS)
        captions = [*main_captions(rng, facts, local=True), *drawn]
        return Item(np.ascontiguousarray(crop), record.low, record.high, facts, captions)


def boxes_by_category(record: CanvasRecord) -> dict[Category, list[Box]]:
    """Canvas boxes of every category that has one."""
    found = {category: record.boxes(category) for category in Category}
    return {category: boxes for category, boxes in found.items() if boxes}


def shown_in(boxes: Boxes, window: Box) -> list[Category] | None:
    """Categories that the window shows; None where one is neither shown nor hidden."""
    shown: list[Category] = []
    for category, places in boxes.items():
        shares = [shown_share(box, window) for box in places]
        if any(HIDDEN < share < SHOWN for share in shares):
            return None
        if max(shares) >= SHOWN:
            shown.append(category)
    return shown


def shown_share(box: Box, window: Box) -> float:
    """Share that a window has of as much of a box as would fit into it, 0 to 1."""
    height = min(box.bottom, window.bottom) - max(box.top, window.top)
    width = min(box.right, window.right) - max(box.left, window.left)
    most = min(box.bottom - box.top, window.bottom - window.top) * min(
        box.right - box.left, window.right - window.left
    )
    return max(height, 0.0) * max(width, 0.0) / most if most > 0 else 0.0


def _start(
    rng: np.random.Generator, length: int, size: int, *, span: tuple[float, float] | None
) -> int:
    """First row or column of a window, so that `span` lies in it wherever it fits."""
    low, high = 0, length - size
    if span is not None:
        fits = span[1] - size, span[0]
        low, high = int(np.floor(min(fits))), int(np.ceil(max(fits)))
    return int(np.clip(rng.integers(low, high + 1), 0, length - size))
