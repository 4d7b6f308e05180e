"""Labelled images by split, and nested subsets of the patients that are learned from.

What a linear probe and a fine-tuned tower are both given. Knows nothing of models.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import roc_auc_score

from training.data.canvas_set import CanvasSet
from training.data.records import Density, Split
from training.evaluate.cases import known_density, known_rows, patients_of
from training.evaluate.metrics import Statistic, auc_statistic, mean_statistic

DENSITY = "density"
"""Name of the task with four classes; any other is a finding or a label: yes or no."""
Rows = NDArray[np.intp]
F64 = NDArray[np.float64]


class NothingToMeasure(ValueError):
    """This cannot be measured on this data; the message says why, and stands in the table."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Images of a split whose answer is known: rows of the canvases, classes and patients, (n,)."""

    rows: Rows
    classes: Rows
    patients: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, chosen: NDArray[np.bool_]) -> "Part":
        """Those of a mask (n,)."""
        return Part(self.rows[chosen], self.classes[chosen], self.patients[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A question with `outputs` classes and its images by split."""

    name: str
    outputs: int
    parts: Mapping[Split, Part]

    @property
    def metric(self) -> str:
        """What the papers report of it."""
        return "accuracy" if self.outputs > 2 else "AUC"

    def with_part(self, split: Split, part: Part) -> "Task":
        """The same with other images in one split."""
        return replace(self, parts={**self.parts, split: part})

    def score(self, part: Part, scores: F64) -> float:
        """AUC or accuracy of (n, outputs) scores, or of (n,) for yes or no."""
        if self.outputs > 2:
            return float((scores.argmax(axis=1) == part.classes).mean())
        return float(roc_auc_score(part.classes, _positive(scores)))

    def statistic(self, part: Part, scores: F64) -> Statistic:
        """The same as `score`, to be resampled."""
        if self.outputs > 2:
            return mean_statistic(scores.argmax(axis=1) == part.classes)
        return auc_statistic(part.classes, _positive(scores))


def _positive(scores: F64) -> F64:
    return scores if scores.ndim == 1 else scores[:, -1]


def make_task(canvases: CanvasSet, name: str) -> Task:
    """Images with a known answer, by split.

    NothingToMeasure where a split is empty, or has one class alone though more are needed: to
    learn from, or for an AUC.
    """
    rows, classes = _known(canvases, name)
    if not len(rows):
        raise NothingToMeasure(f"nothing is known of {name} in this data")
    splits = np.array([str(canvases.records[row].image.split) for row in rows])
    patients = patients_of(canvases)[rows]
    everything = Part(rows, classes, patients)
    parts = {split: everything.of(splits == split.value) for split in Split}
    for split, part in parts.items():
        if not len(part):
            raise NothingToMeasure(f"{name}: the {split} split is empty")
        needs_two = name != DENSITY or split is Split.TRAIN
        if needs_two and len(set(part.classes.tolist())) < 2:
            raise NothingToMeasure(
                f"{name}: {len(part)} images of the {split} split, all of one class"
            )
    return Task(name, len(Density) if name == DENSITY else 2, parts)


def _known(canvases: CanvasSet, name: str) -> tuple[Rows, Rows]:
    if name == DENSITY:
        return known_density(canvases)
    rows, truth = known_rows(canvases, name)
    return rows, truth.astype(np.intp)


def nested_subset(part: Part, fraction: float, *, rng: np.random.Generator) -> Part:
    """All images of this share of the patients, rounded up; a larger share holds the smaller one.

    Nested for equal states of `rng`. NothingToMeasure where one class alone is left.
    """
    order = shuffled_patients(part.patients, rng)
    kept = order[: int(np.ceil(fraction * len(order) - 1e-9))]
    chosen = part.of(np.isin(part.patients, kept))
    if len(set(chosen.classes.tolist())) < 2:
        raise NothingToMeasure(f"{fraction:.0%} of the patients: {len(chosen)} images of one class")
    return chosen


def limited(part: Part, images: int | None, *, rng: np.random.Generator) -> Part:
    """As many whole patients as have at most this many images, but one at least; None = all."""
    if images is None or len(part) <= images:
        return part
    order = shuffled_patients(part.patients, rng)
    counts = np.array([(part.patients == patient).sum() for patient in order])
    fitting = max(int((np.cumsum(counts) <= images).sum()), 1)
    return part.of(np.isin(part.patients, order[:fitting]))


def shuffled_patients(patients: ArrayLike, rng: np.random.Generator) -> NDArray[np.str_]:
    """Every patient once, in a random order that does not depend on the images' order."""
    return rng.permutation(np.unique(np.asarray(patients, str)))
