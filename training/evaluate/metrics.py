"""Figures with 95 % intervals by patient, and differences between two figures on the same patients.

A `Statistic` is a figure of weighted cases, for many weightings at once: a resample of patients is
a vector of how often each was drawn, so a thousand resamples are one matrix product. A patient's
images are no strangers to one another; that is why patients are drawn and not images.
Knows nothing of models or images.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model_store.manifest import Metric

RESAMPLES = 1000
LOW, HIGH = 2.5, 97.5  # a 95 % interval
MIN_PATIENTS = 2  # drawn again and again, one patient gives the same figure each time
ECE_BINS = 15  # Guo et al. 2017, section 2
CHUNK = 4_000_000  # weights held at once: 32 MB

F64 = NDArray[np.float64]
Statistic = Callable[[F64], F64]
"""(R, N) weights of N cases -> (R,) values; NaN where a weighting leaves nothing to measure."""
Binning = Literal["equal-mass", "equal-width"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure, its 95 % bootstrap interval, and how many cases it rests on.

    `low` and `high` are None where there is no interval: one patient says nothing of others.
    """

    value: float
    low: float | None
    high: float | None
    n: int


def interval(
    statistic: Statistic,
    *,
    patients: ArrayLike,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    upward_bias: bool = False,
) -> Interval:
    """Value of the statistic on all cases, and the percentiles of its resamples by patient.

    Resamples that give no figure are left out. With fewer than MIN_PATIENTS there is no interval.
    `upward_bias`: resampling adds to the statistic itself, as it does to ECE (noise within a bin
    counts as miscalibration); then the resamples are shifted down by what they exceed the value by
    on average (Efron and Tibshirani 1993, chapter 10), and cut at 0. ValueError where nothing can
    be measured.
    """
    owners = np.asarray(patients)
    value = float(statistic(np.ones((1, len(owners))))[0])
    if not np.isfinite(value):
        raise ValueError("nothing to measure: the cases give no figure")
    if len(np.unique(owners)) < MIN_PATIENTS:
        return Interval(value, None, None, len(owners))
    drawn = np.concatenate(list(_resampled(statistic, owners, rng, resamples)))
    if upward_bias:
        drawn = np.maximum(drawn - (np.nanmean(drawn) - value), 0)
    exists = drawn[np.isfinite(drawn)]
    if not len(exists):
        return Interval(value, None, None, len(owners))
    low, high = np.percentile(exists, [LOW, HIGH]).tolist()
    return Interval(value, low, high, len(owners))


def difference(
    first: Statistic,
    second: Statistic,
    *,
    patients: ArrayLike,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Interval:
    """first - second on the same cases, both seeing the same resamples (paired bootstrap).

    An interval without 0 says that one is better than the other on these patients.
    """

    def both(weights: F64) -> F64:
        return first(weights) - second(weights)

    return interval(both, patients=patients, rng=rng, resamples=resamples)


def as_metric(name: str, measured: Interval, *, data: str) -> Metric:
    """The manifest's form of a figure, rounded to four digits; `data`: what it was measured on."""
    return Metric(
        name=name,
        value=round(measured.value, 4),
        low=None if measured.low is None else round(measured.low, 4),
        high=None if measured.high is None else round(measured.high, 4),
        n=measured.n,
        data=data,
    )


def auc_statistic(labels: ArrayLike, scores: ArrayLike) -> Statistic:
    """Share of (positive, negative) pairs in the right order, a tie counting half.

    ValueError where the labels are of one class; NaN for weightings that leave one class.
    """
    truth, values = np.asarray(labels, bool), np.asarray(scores, np.float64)
    if truth.all() or not truth.any():
        raise ValueError("an AUC needs positive and negative cases; all labels are the same")
    order = np.argsort(values, kind="stable")
    positive = truth[order]
    starts = np.flatnonzero(np.diff(values[order], prepend=-np.inf))  # of runs of equal scores

    def weighted(weights: F64) -> F64:
        drawn = weights[:, order]
        hits = np.add.reduceat(drawn * positive, starts, axis=1)  # (R, runs)
        misses = np.add.reduceat(drawn * ~positive, starts, axis=1)
        below = np.cumsum(misses, axis=1) - misses
        pairs = hits.sum(axis=1) * misses.sum(axis=1)
        return _ratio((hits * (below + misses / 2)).sum(axis=1), pairs)

    return weighted


def mean_statistic(values: ArrayLike) -> Statistic:
    """Weighted mean of (N,) values: accuracy, recall and hit rates, from 0 and 1."""
    given = np.asarray(values, np.float64)

    def weighted(weights: F64) -> F64:
        return _ratio(weights @ given, weights.sum(axis=1))

    return weighted


def ece_statistic(
    labels: ArrayLike,
    probabilities: ArrayLike,
    *,
    bins: int = ECE_BINS,
    binning: Binning = "equal-mass",
) -> Statistic:
    """Expected calibration error: mean over the bins, by weight, of |mean probability - share|.

    "equal-mass": as many cases a bin, so that a rare finding is not judged by one bin next to 0;
    "equal-width": probabilities cut into equal parts of 0..1 (Guo et al. 2017). The bins' edges are
    those of all cases in every resample.
    """
    truth, p = np.asarray(labels, np.float64), np.asarray(probabilities, np.float64)
    inner = np.arange(1, bins) / bins
    edges = np.unique(np.quantile(p, inner)) if binning == "equal-mass" else inner
    member = np.eye(bins)[np.searchsorted(edges, p, side="right")]  # (N, bins)

    def weighted(weights: F64) -> F64:
        gap = np.abs(weights @ (member * (p - truth)[:, None])).sum(axis=1)
        return _ratio(gap, weights.sum(axis=1))

    return weighted


def mean_of(statistics: Sequence[Statistic]) -> Statistic:
    """Plain mean of several figures of the same cases; in a resample, of those that exist."""

    def mean(weights: F64) -> F64:
        values = np.stack([statistic(weights) for statistic in statistics])  # (S, R)
        exists = np.isfinite(values)
        return _ratio(np.where(exists, values, 0).sum(axis=0), exists.sum(axis=0))

    return mean


def among(statistic: Callable[[NDArray[np.intp]], Statistic], kept: ArrayLike) -> Statistic:
    """A figure of the kept (N,) cases alone, as a statistic of all: `statistic(rows of kept)`."""
    rows = np.flatnonzero(np.asarray(kept, bool))
    inner = statistic(rows)

    def weighted(weights: F64) -> F64:
        return inner(weights[:, rows])

    return weighted


def _resampled(
    statistic: Statistic, owners: NDArray[np.generic], rng: np.random.Generator, resamples: int
) -> Iterator[F64]:
    """Values of the statistic on as many patients as there are, drawn with replacement."""
    _, group = np.unique(owners, return_inverse=True)
    patients = int(group.max()) + 1
    step = max(1, CHUNK // max(len(owners), patients))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        drawn = rng.integers(patients, size=(count, patients))
        flat = (drawn + np.arange(count)[:, None] * patients).ravel()
        times = np.bincount(flat, minlength=count * patients).reshape(count, patients)
        yield statistic(times[:, group].astype(np.float64))


def _ratio(above: F64, below: ArrayLike) -> F64:
    """above / below, NaN where there is nothing below."""
    divisor = np.asarray(below, np.float64)
    return np.divide(above, divisor, out=np.full_like(divisor, np.nan), where=divisor > 0)


def metric_line(metric: Metric) -> str:
    """One figure in words."""
    return f"{metric.name}: {metric.value:.3f} ({metric.interval}), n {metric.n}"
