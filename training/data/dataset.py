"""What a training step sees: crops of canvases or whole images' trunk features, with captions.

Item i of epoch e is a function of (seed, e, i) alone. Knows nothing of losses or Lightning.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from training.data.canvases import BoxOnCanvas, CanvasSet, ViewRecord, shown_share
from training.data.captions import Caption, Facts, crop_facts, draw_captions

SHOWN, HIDDEN = 0.6, 0.05
"""A crop shows a lesion from this share of its box on, and not up to that; between: drawn anew."""
TRIES = 20
FOCUS_SHARE = {"mass": 0.3, "calcifications": 0.3, "anywhere": 0.4}
BREAST_LEVEL, BREAST_SHARE = 40, 0.5  # a random crop is at least half breast


@dataclass(frozen=True, slots=True)
class Item:
    """One image: `image` (S, S) uint8 or (320, h, w) float16 features."""

    image: NDArray[np.generic]
    low: int
    high: int
    facts: Facts
    captions: list[Caption]


@dataclass
class Batch:
    """N images and M captions, any number a image. Not frozen: Lightning moves its tensors."""

    images: Tensor  # (N, S, S) uint8, or (N, 320, h, w) float16
    low: Tensor  # (N, 1, 1)
    high: Tensor  # (N, 1, 1)
    facts: Facts  # (N, 7)
    claims: Facts  # (M, 7)
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


class CropDataset(Dataset[Item]):
    """Square crops: around masses, around calcifications, and anywhere in a breast."""

    def __init__(
        self, canvases: CanvasSet, *, size_px: int, length: int, seed: Sequence[int]
    ) -> None:
        self._canvases = canvases
        self._size_px = size_px
        self._length = length
        self._seed = list(seed)
        self._views = {
            "mass": [view for view in canvases.views if view.mass_box],
            "calcifications": [view for view in canvases.views if view.calcifications_box],
            "anywhere": list(canvases.views),
        }

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Item:
        """Crop number `index` of this epoch."""
        rng = np.random.default_rng([*self._seed, index])
        focus = str(rng.choice([*FOCUS_SHARE], p=[*FOCUS_SHARE.values()]))
        views = self._views[focus] or self._views["anywhere"]
        for _ in range(TRIES):
            view = views[int(rng.integers(len(views)))]
            item = self._crop(rng, view, _focus_box(view, focus))
            if item is not None:
                return item
        raise ValueError(f"no usable crop of {self._size_px} px in {TRIES} tries")

    def _crop(
        self, rng: np.random.Generator, view: ViewRecord, box: BoxOnCanvas | None
    ) -> Item | None:
        canvas = self._canvases.canvas(view)
        size = self._size_px
        top = _start(rng, canvas.shape[0], size, box and (box[0], box[2]))
        left = _start(rng, canvas.shape[1], size, box and (box[1], box[3]))
        window = (top, left, top + size, left + size)
        mass, calcification = (_shown(b, window) for b in (view.mass_box, view.calcifications_box))
        if mass is None or calcification is None:
            return None
        crop = canvas[top : top + size, left : left + size]
        if box is None and (crop[::16, ::16] > BREAST_LEVEL).mean() < BREAST_SHARE:
            return None
        crop = crop[:: rng.choice([1, -1]), :: rng.choice([1, -1])]
        facts = crop_facts(view.fact_vector(), mass=mass, calcification=calcification)
        captions = draw_captions(rng, facts, local=True)
        return Item(np.ascontiguousarray(crop), view.low, view.high, facts, captions)


class FeatureDataset(Dataset[Item]):
    """Whole images, as the frozen trunk sees them: features (V, 320, h, w) float16, row = view."""

    def __init__(
        self,
        views: Sequence[ViewRecord],
        features: NDArray[np.float16],
        *,
        length: int,
        seed: Sequence[int],
    ) -> None:
        self._views = views
        self._features = features
        self._length = length
        self._seed = list(seed)
        self._order = np.random.default_rng(self._seed).permutation(len(views))

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Item:
        """Image number `index` of this epoch: a permutation, begun again when it ends."""
        rng = np.random.default_rng([*self._seed, index])
        row = int(self._order[index % len(self._order)])
        facts = self._views[row].fact_vector()
        captions = draw_captions(rng, facts, local=False)
        return Item(self._features[row], 0, 1, facts, captions)


Span = tuple[float, float]


def _focus_box(view: ViewRecord, focus: str) -> BoxOnCanvas | None:
    return {"mass": view.mass_box, "calcifications": view.calcifications_box}.get(focus)


def _start(rng: np.random.Generator, length: int, size: int, span: Span | None) -> int:
    """First row or column of a window, so that `span` lies in it wherever it fits."""
    low, high = 0, length - size
    if span is not None:
        fits = span[1] - size, span[0]
        low, high = int(np.floor(min(fits))), int(np.ceil(max(fits)))
    return int(np.clip(rng.integers(low, high + 1), 0, length - size))


def _shown(box: tuple[float, float, float, float] | None, window: Sequence[float]) -> bool | None:
    """Whether the window shows the lesion; None where it is neither shown nor hidden."""
    share = shown_share(box, window) if box else 0.0
    if share >= SHOWN:
        return True
    return False if share <= HIDDEN else None
