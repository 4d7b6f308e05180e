"""Probabilities and thresholds, fitted on a validation split. Knows nothing of models or images.

Platt scaling has two parameters and can undo a wrong share of positives; a temperature has one and
cannot. Both keep the order of the scores, so no AUC changes.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_curve

from model_store.manifest import Calibration, Finding

F64 = NDArray[np.float64]
Method = Literal["platt", "temperature"]
SENSITIVITY = 0.9
TEMPERATURES = (1e-3, 1e3)
MIN_CASES = 5  # of each class: below that a curve through the scores is made of noise


def fit_platt_logits(labels: ArrayLike, logits: ArrayLike) -> Calibration:
    """Labels (N,) bool, raw logits (N,) -> p = sigmoid(slope x logit + intercept).

    Targets are smoothed as Platt (1999) does, (n+1)/(n+2) and 1/(n+2), so that scores which
    separate the classes do not make the slope infinite. ValueError where higher scores do not mean
    more positive cases: there is nothing to calibrate then.
    """
    values, truth = np.asarray(logits, np.float64), np.asarray(labels, bool)
    positive = (truth.sum() + 1) / (truth.sum() + 2)
    negative = 1 / ((~truth).sum() + 2)
    target = np.where(truth, positive, negative)
    centre, spread = values.mean(), max(values.std(), 1e-12)
    fitted = LogisticRegression(C=1e6, max_iter=10_000).fit(
        np.tile((values - centre) / spread, 2)[:, None],
        np.repeat([True, False], len(values)),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    slope = float(fitted.coef_[0, 0] / spread)
    if slope <= 0:
        raise ValueError(f"scores do not rise with the finding (slope {slope:.3g}): train longer")
    return Calibration(slope=slope, intercept=float(fitted.intercept_[0]) - slope * float(centre))


def fit_temperature(labels: ArrayLike, logits: ArrayLike) -> Calibration:
    """Labels (N,) bool, raw logits (N,) -> p = sigmoid(logit / T), T of the greatest likelihood.

    T is kept within 0.001..1000: it has no end where the logits separate the classes. ValueError
    where no T is better than calling everything one half.
    """
    values, truth = np.asarray(logits, np.float64), np.asarray(labels, bool)
    scale = max(float(np.abs(values).max()), 1e-12)
    model = LogisticRegression(C=1e6, max_iter=10_000, fit_intercept=False)
    slope = float(model.fit(values[:, None] / scale, truth).coef_[0, 0]) / scale
    if slope <= 0:
        raise ValueError(
            f"logits do not rise with the finding (slope {slope:.3g}): train longer, or use platt"
        )
    coldest, hottest = TEMPERATURES
    return Calibration(method="temperature", slope=min(max(slope, 1 / hottest), 1 / coldest))


FITS = {"platt": fit_platt_logits, "temperature": fit_temperature}


def best_threshold(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Where sensitivity + specificity is greatest, midway to the next lower score (Youden 1950)."""
    values = np.asarray(probabilities, np.float64)
    false_rate, true_rate, thresholds = roc_curve(np.asarray(labels, bool), values)
    return _below(values, float(thresholds[np.argmax(true_rate - false_rate)]))


def sensitive_threshold(
    labels: ArrayLike, probabilities: ArrayLike, *, sensitivity: float = SENSITIVITY
) -> float:
    """The highest threshold that finds at least this share of the positives.

    Midway to the next lower score, as there is no case between. ValueError without a positive.
    """
    values, truth = np.asarray(probabilities, np.float64), np.asarray(labels, bool)
    positives = np.sort(values[truth])[::-1]
    if not len(positives):
        raise ValueError("a sensitivity needs positive cases; there is none")
    wanted = int(np.ceil(sensitivity * len(positives) - 1e-9))
    return _below(values, float(positives[max(wanted, 1) - 1]))


def calibrated(
    finding: Finding,
    *,
    labels: ArrayLike,
    logits: ArrayLike,
    method: Method = "platt",
    sensitivity: float | None = SENSITIVITY,
) -> Finding:
    """The finding with a calibration and a threshold fitted on raw logits (N,) of images.

    `sensitivity` None: Youden's threshold. ValueError where there is nothing to fit.
    """
    truth, values = np.asarray(labels, bool), np.asarray(logits, np.float64)
    if min(truth.sum(), (~truth).sum()) < MIN_CASES:
        raise ValueError(f"{truth.sum()} of {len(truth)} cases are positive: too few to fit")
    calibration = FITS[method](truth, values)
    probabilities = [calibration.apply_to_logit(float(logit)) for logit in values]
    threshold = (
        best_threshold(truth, probabilities)
        if sensitivity is None
        else sensitive_threshold(truth, probabilities, sensitivity=sensitivity)
    )
    return finding.model_copy(update={"calibration": calibration, "threshold": threshold})


def _below(values: F64, chosen: float) -> float:
    """Midway between a score and the next lower one; the score itself, at most 1, if it is last."""
    lower = values[values < chosen]
    return (chosen + float(lower.max())) / 2 if len(lower) else min(chosen, 1.0)
