"""Whole images as the frozen part of the tower sees them, breast by breast: CC and MLO together.

Item i of epoch e is a function of (seed, e, i) alone. Knows nothing of losses or Lightning.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from training.data.canvas_set import CanvasRecord
from training.data.captioning import Caption, density_caption, draw_captions, main_captions
from training.data.facts import Facts, facts_of

Features = NDArray[np.float16]
VIEWS = 2


@dataclass(frozen=True, slots=True)
class BreastItem:
    """Both views of a breast: features (C, h, w) and facts (F,) of each, R sentences of each."""

    features: tuple[Features, Features]
    facts: tuple[Facts, Facts]
    captions: tuple[list[Caption], list[Caption]]


@dataclass
class BreastBatch:
    """N breasts; axis 0 of `facts` and `claims` is the view. `texts` in the order of `claims`."""

    images: Tensor  # (2N, C, h, w) float16: first all first views, then all second ones
    facts: Facts  # (2, N, F)
    claims: Facts  # (2, R, N, F)
    texts: list[str]  # 2RN


def collate_breasts(items: Sequence[BreastItem]) -> BreastBatch:
    """Stack items: first all first views, then all second ones."""
    rounds = range(len(items[0].captions[0]))
    captions = [
        [[item.captions[view][r] for item in items] for r in rounds] for view in range(VIEWS)
    ]
    return BreastBatch(
        images=torch.from_numpy(
            np.stack([item.features[view] for view in range(VIEWS) for item in items])
        ),
        facts=np.stack([[item.facts[view] for item in items] for view in range(VIEWS)]),
        claims=np.array([[[c.claims for c in row] for row in view] for view in captions]),
        texts=[caption.text for view in captions for row in view for caption in row],
    )


class BreastDataset(Dataset[BreastItem]):
    """Breasts in a new order each epoch. No flips: sentences name the side, the canvas shows it."""

    def __init__(
        self,
        records: Sequence[CanvasRecord],
        features: Features,
        *,
        length: int,
        captions: int,
        seed: Sequence[int],
    ) -> None:
        self._features = features
        self._facts = [facts_of(record.image) for record in records]
        self._pairs = breast_pairs(records)
        self._length = length
        self._captions = captions
        self._seed = list(seed)
        self._order = np.random.default_rng(self._seed).permutation(len(self._pairs))

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> BreastItem:
        """Breast number `index` of this epoch: a permutation, begun again when it ends."""
        rng = np.random.default_rng([*self._seed, index])
        one, two = self._pairs[int(self._order[index % len(self._order)])]
        return BreastItem(
            features=(self._features[one], self._features[two]),
            facts=(self._facts[one], self._facts[two]),
            captions=(self._sentences(rng, one), self._sentences(rng, two)),
        )

    def _sentences(self, rng: np.random.Generator, row: int) -> list[Caption]:
        """The main findings, drawn ones, and density: in every image, taught by no crop."""
        facts = self._facts[row]
        main = main_captions(rng, facts, local=False)
        drawn = draw_captions(rng, facts, local=False, count=self._captions - len(main) - 1)
        return [*main, *drawn, density_caption(rng, facts)]


def breast_pairs(records: Sequence[CanvasRecord]) -> list[tuple[int, int]]:
    """Rows of (CC, MLO) of each breast that has both, in the order of the records."""
    views: dict[tuple[str, str], dict[str, int]] = {}
    for row, record in enumerate(records):
        image = record.image
        views.setdefault((image.study, image.laterality), {}).setdefault(image.view, row)
    return [(seen["CC"], seen["MLO"]) for seen in views.values() if {"CC", "MLO"} <= seen.keys()]
