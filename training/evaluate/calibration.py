"""Platt scaling and a threshold, fitted on a validation split. Knows nothing of models."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_curve

from model_store.manifest import Calibration


def fit_platt(labels: ArrayLike, scores: ArrayLike) -> Calibration:
    """Labels (N,) bool, raw scores (N,) in 0..1 -> p = sigmoid(slope x logit + intercept).

    Targets are smoothed as Platt (1999) does, (n+1)/(n+2) and 1/(n+2), so that scores which
    separate the classes do not make the slope infinite. ValueError where higher scores do not mean
    more positive cases: there is nothing to calibrate then.
    """
    logits, truth = _logit(scores), np.asarray(labels, bool)
    positive = (truth.sum() + 1) / (truth.sum() + 2)
    negative = 1 / ((~truth).sum() + 2)
    target = np.where(truth, positive, negative)
    fitted = LogisticRegression(C=1e6, max_iter=10_000).fit(
        np.concatenate([logits, logits])[:, None],
        np.repeat([True, False], len(logits)),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    slope, intercept = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    if slope <= 0:
        raise ValueError(f"scores do not rise with the finding (slope {slope:.3g}): train longer")
    return Calibration(slope=slope, intercept=intercept)


def best_threshold(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Where sensitivity + specificity is greatest, midway to the next lower score (Youden 1950)."""
    values = np.asarray(probabilities, np.float64)
    false_rate, true_rate, thresholds = roc_curve(np.asarray(labels, bool), values)
    chosen = float(thresholds[np.argmax(true_rate - false_rate)])
    below = values[values < chosen]
    return (chosen + float(below.max())) / 2 if len(below) else min(chosen, 1.0)


def _logit(scores: ArrayLike) -> NDArray[np.float64]:
    clipped = np.clip(np.asarray(scores, np.float64), 1e-7, 1 - 1e-7)
    return np.asarray(np.log(clipped / (1 - clipped)))
