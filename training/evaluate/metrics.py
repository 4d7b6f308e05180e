"""Figures with intervals. Knows nothing of models or images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import roc_auc_score

RESAMPLES = 1000
LOW, HIGH = 2.5, 97.5  # a 95 % interval


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure, its 95 % bootstrap interval, and how many cases it rests on."""

    value: float
    low: float
    high: float
    n: int


def auc(
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    patients: ArrayLike,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Interval:
    """Area under the ROC curve; the interval resamples patients, whose images are no strangers.

    labels, scores, patients: (N,). Resamples with one class alone say nothing and are left out.
    ValueError where the labels themselves are of one class.
    """
    truth, score = np.asarray(labels, bool), np.asarray(scores, np.float64)
    if truth.all() or not truth.any():
        raise ValueError("an AUC needs positive and negative cases; all labels are the same")
    value = float(roc_auc_score(truth, score))
    drawn = [
        roc_auc_score(truth[rows], score[rows])
        for rows in _resampled(np.asarray(patients), rng, resamples)
        if 0 < truth[rows].sum() < len(rows)
    ]
    low, high = np.percentile(drawn, [LOW, HIGH])
    return Interval(value, float(low), float(high), len(truth))


def _resampled(
    patients: NDArray[np.generic], rng: np.random.Generator, resamples: int
) -> list[NDArray[np.intp]]:
    """Rows of as many patients as there are, drawn with replacement, `resamples` times."""
    _, group = np.unique(patients, return_inverse=True)
    rows_of = [np.flatnonzero(group == number) for number in range(group.max() + 1)]
    return [
        np.concatenate([rows_of[i] for i in rng.integers(len(rows_of), size=len(rows_of))])
        for _ in range(resamples)
    ]
