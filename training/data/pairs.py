"""Pairs of images and pairs of texts of one breast: what a step of Mammo-CLIP sees.

Item g of a set is a function of (seed, g) alone, g counting on over the epochs. Knows nothing of
losses or of how batches are sent to a device.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from model_store.arrays import U8
from training.data.augment import AugmentRules, Flips, augment, draw_flips
from training.data.breast_facts import joined, mirrored
from training.data.canvas_set import CanvasRecord, CanvasSet
from training.data.facts import Facts, facts_of
from training.data.finding_captions import Caption
from training.data.pair_texts import Texts, can_mirror, label_text, report_texts, sections_of
from training.data.records import Report


@dataclass(frozen=True, slots=True, eq=False)
class PairItem:
    """One breast: two canvases, two texts, what is so and what each text claims."""

    images: tuple[U8, U8]
    texts: tuple[Caption, Caption]
    facts: Facts


@dataclass
class PairBatch:
    """N breasts. Not frozen: Lightning moves its tensors.

    `claims` are UNSTATED throughout for a radiologist's own report, of which nothing is known.
    """

    images1: Tensor  # (N, H, W) uint8
    images2: Tensor  # (N, H, W) uint8
    texts1: list[str]  # N
    texts2: list[str]  # N
    facts: Facts  # (N, F) int8
    claims1: Facts  # (N, F) int8
    claims2: Facts  # (N, F) int8


def collate_pairs(items: Sequence[PairItem]) -> PairBatch:
    """Stack items of canvases of one size."""
    first, second = (np.stack([item.images[side] for item in items]) for side in (0, 1))
    return PairBatch(
        images1=torch.from_numpy(first),
        images2=torch.from_numpy(second),
        texts1=[item.texts[0].text for item in items],
        texts2=[item.texts[1].text for item in items],
        facts=np.stack([item.facts for item in items]),
        claims1=np.stack([item.texts[0].claims for item in items]),
        claims2=np.stack([item.texts[1].claims for item in items]),
    )


Views = dict[str, list[CanvasRecord]]
"""A breast's canvases by view position."""


class BreastPairs(Dataset[PairItem]):
    """Breasts of a set of canvases, by patient, study and side, in the set's order.

    With `Texts.REPORTS` only breasts with a report are in it. `rules` None: images as they are.
    """

    def __init__(
        self, canvases: CanvasSet, *, texts: Texts, seed: Sequence[int], rules: AugmentRules | None
    ) -> None:
        self._canvases = canvases
        self._texts = texts
        self._seed = list(seed)
        self._rules = rules
        self._breasts = list(_breasts(canvases, texts).values())
        if not self._breasts:
            raise ValueError(f"{canvases.folder}: no breast with {texts} among {len(canvases)}")

    def __len__(self) -> int:
        return len(self._breasts)

    def __getitem__(self, index: int) -> PairItem:
        """Breast number `index`; from len(self) on the breasts come again, drawn anew."""
        return self.item(index % len(self), np.random.default_rng([*self._seed, index]))

    def item(self, row: int, rng: np.random.Generator) -> PairItem:
        """Breast `row` as drawn by `rng`."""
        records = _two_views(rng, self._breasts[row])
        report = next((r.image.report for r in records if r.image.report is not None), None)
        told = report if self._texts is Texts.REPORTS else None
        flips = self._draw_flips(rng, records, told)
        first, second = (
            self._image(rng, record, flip) for record, flip in zip(records, flips, strict=True)
        )
        facts = _seen(records, flips)
        if told is not None:
            texts = report_texts(rng, told, mirror=flips[0].columns)
        else:
            texts = label_text(rng, facts), label_text(rng, facts)
        return PairItem((first, second), texts, facts)

    def _draw_flips(
        self,
        rng: np.random.Generator,
        records: tuple[CanvasRecord, CanvasRecord],
        report: Report | None,
    ) -> tuple[Flips, Flips]:
        """Left to right alike for both; top to bottom alike for two views of one direction.

        A report's "upper" and "outer" cannot be set right, so its images stay upright; and where
        its sides cannot be set right, they are not mirrored either.
        """
        if self._rules is None:
            return Flips(), Flips()
        one, other = draw_flips(rng, self._rules), draw_flips(rng, self._rules)
        columns = one.columns and (report is None or can_mirror(report))
        upright = self._texts is Texts.REPORTS
        alike = _is_cranial(records[0]) == _is_cranial(records[1])
        return (
            Flips(columns, one.rows and not upright),
            Flips(columns, (one if alike else other).rows and not upright),
        )

    def _image(self, rng: np.random.Generator, record: CanvasRecord, flips: Flips) -> U8:
        canvas = self._canvases.canvas(record)
        if self._rules is None:
            return np.array(canvas)
        image, _ = augment(rng, np.ascontiguousarray(canvas), rules=self._rules, flips=flips)
        return image


def _breasts(canvases: CanvasSet, texts: Texts) -> dict[tuple[str, str, str], Views]:
    breasts: dict[tuple[str, str, str], Views] = {}
    for record in canvases.records:
        image = record.image
        if texts is Texts.REPORTS and not (image.report and sections_of(image.report)):
            continue
        views = breasts.setdefault((image.patient, image.study, image.laterality), {})
        views.setdefault(image.view, []).append(record)
    return breasts


def _two_views(rng: np.random.Generator, views: Views) -> tuple[CanvasRecord, CanvasRecord]:
    """CC and MLO where both are there, else two images of any view, or one twice."""
    if "CC" in views and "MLO" in views:
        return _one_of(rng, views["CC"]), _one_of(rng, views["MLO"])
    every = [record for records in views.values() for record in records]
    first = int(rng.integers(len(every)))
    others = every[:first] + every[first + 1 :] or every
    return every[first], _one_of(rng, others)


def _one_of(rng: np.random.Generator, records: Sequence[CanvasRecord]) -> CanvasRecord:
    return records[int(rng.integers(len(records)))]


def _is_cranial(record: CanvasRecord) -> bool:
    """Whether its rows run from outer to inner, not from upper to lower."""
    return record.image.view in ("CC", "XCCL", "XCCM", "FB")


def _seen(records: tuple[CanvasRecord, CanvasRecord], flips: tuple[Flips, Flips]) -> Facts:
    """Facts of a breast as it is shown after mirroring."""
    rows = {_is_cranial(record): flip.rows for record, flip in zip(records, flips, strict=True)}
    return mirrored(
        joined(*(facts_of(record.image) for record in records)),
        sides=flips[0].columns,
        outer=rows.get(True, False),
        upper=rows.get(False, False),
    )


class MixedPairs(Dataset[PairItem]):
    """Sets mixed by weight in one run, so image-text and image-label pairs share a batch.

    Of each epoch of `length` items every set has its share, in an order drawn anew; each set is
    gone through whole before any breast of it comes again.
    """

    def __init__(
        self,
        sets: Sequence[BreastPairs],
        *,
        weights: Sequence[float],
        length: int,
        seed: Sequence[int],
    ) -> None:
        if len(sets) != len(weights) or not sets or min(weights) <= 0:
            raise ValueError(f"expected a weight above 0 for each of {len(sets)} sets: {weights}")
        self._sets = list(sets)
        self._length = length
        self._seed = tuple(seed)
        self._counts = shares(weights, length)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> PairItem:
        """Item `index`, which counts on over the epochs."""
        epoch, place = divmod(index, self._length)
        which, nth = _turns(self._seed, self._counts, epoch)
        number = int(which[place])
        use = epoch * self._counts[number] + int(nth[place])
        row = nth_row(use, len(self._sets[number]), seed=(*self._seed, number))
        return self._sets[number].item(row, np.random.default_rng([*self._seed, number, use]))


def shares(weights: Sequence[float], length: int) -> tuple[int, ...]:
    """How many of `length` items each set gets: to the nearest by cumulative weight."""
    ends = np.rint(np.cumsum(weights) / sum(weights) * length).astype(int)
    return tuple(int(count) for count in np.diff(ends, prepend=0))


Indices = NDArray[np.intp]


@lru_cache(maxsize=4)
def _turns(seed: tuple[int, ...], counts: tuple[int, ...], epoch: int) -> tuple[Indices, Indices]:
    """Which set is each item's, and the how-manieth of its set in this epoch."""
    which = np.repeat(np.arange(len(counts)), counts)
    which = which[np.random.default_rng([*seed, epoch]).permutation(len(which))]
    nth = np.zeros(len(which), np.intp)
    for number, count in enumerate(counts):
        nth[which == number] = np.arange(count)
    return which, nth


def nth_row(use: int, rows: int, *, seed: tuple[int, ...]) -> int:
    """Row of the `use`-th item drawn of a set: a permutation of its rows, then another."""
    turn, place = divmod(use, rows)
    return int(_permutation(seed, rows, turn)[place])


@lru_cache(maxsize=16)
def _permutation(seed: tuple[int, ...], rows: int, turn: int) -> Indices:
    return np.random.default_rng([*seed, rows, turn]).permutation(rows)


def epoch_indices(
    length: int, *, epoch: int, seed: Sequence[int], rank: int = 0, ranks: int = 1
) -> list[int]:
    """Indices of one epoch for one of `ranks` processes, in an order drawn anew, all equally many.

    They count on over the epochs (epoch * length on), so that no epoch repeats another's draws.
    """
    order = np.random.default_rng([*seed, epoch]).permutation(length)
    whole = length - length % ranks
    return [epoch * length + int(index) for index in order[rank:whole:ranks]]
