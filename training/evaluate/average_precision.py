"""Detections against truths: matched once, then average precision of any weighting of the images.

COCO's rules (pycocotools.cocoeval): detections of an image by falling score, each taking the free
truth it overlaps most if by at least the IoU; precision at 101 recalls, each the best to its right.
Matching never looks beyond an image, so a resample of patients needs no new matching.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from training.evaluate.metrics import Statistic

MAX_DETECTIONS = 100  # an image, as COCO
RECALLS = np.linspace(0, 1, 101)
F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What was detected in one image: boxes (D, 4) and scores (D,), and the true boxes (T, 4).

    Boxes are (top, left, bottom, right), all in the same pixels.
    """

    boxes: F64
    scores: F64
    truths: F64


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """Detections of N images by falling score: (D,) their image, score and whether they hit.

    `truths` (N,): how many lesions an image has.
    """

    images: NDArray[np.intp]
    scores: F64
    hits: NDArray[np.bool_]
    truths: NDArray[np.intp]


def overlaps(boxes: ArrayLike, others: ArrayLike) -> F64:
    """(D, 4) and (T, 4) -> (D, T) intersection over union; 0 where both are empty."""
    a = np.asarray(boxes, np.float64).reshape(-1, 1, 4)
    b = np.asarray(others, np.float64).reshape(1, -1, 4)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    common = np.clip(sides, 0, None).prod(axis=2)
    union = (a[..., 2:] - a[..., :2]).prod(axis=2) + (b[..., 2:] - b[..., :2]).prod(axis=2) - common
    return np.asarray(np.divide(common, union, out=np.zeros_like(common), where=union > 0))


def match(found: Sequence[Found], *, iou: float = 0.5) -> Matched:
    """Which detections hit a lesion."""
    images, scores, hits = [], [], []
    for number, one in enumerate(found):
        order = np.argsort(-one.scores, kind="stable")[:MAX_DETECTIONS]
        images.append(np.full(len(order), number))
        scores.append(one.scores[order])
        hits.append(_hits(overlaps(one.boxes[order], one.truths), iou))
    score = np.concatenate([np.zeros(0), *scores])
    order = np.argsort(-score, kind="stable")
    return Matched(
        images=np.concatenate([np.zeros(0, np.intp), *images])[order],
        scores=score[order],
        hits=np.concatenate([np.zeros(0, bool), *hits])[order],
        truths=np.array([len(one.truths) for one in found], np.intp),
    )


def ap_statistic(matched: Matched) -> Statistic:
    """Average precision; NaN for weightings without a lesion."""

    def weighted(weights: F64) -> F64:
        lesions = weights @ matched.truths
        drawn = weights[:, matched.images]
        true = np.cumsum(drawn * matched.hits, axis=1)
        false = np.cumsum(drawn * ~matched.hits, axis=1)
        return np.array([_ap(t, f, n) for t, f, n in zip(true, false, lesions, strict=True)])

    return weighted


def recall_statistic(matched: Matched) -> Statistic:
    """Share of the lesions that any detection hit."""
    hits = np.bincount(matched.images, weights=matched.hits, minlength=len(matched.truths))

    def weighted(weights: F64) -> F64:
        lesions = weights @ matched.truths
        return np.divide(
            weights @ hits, lesions, out=np.full_like(lesions, np.nan), where=lesions > 0
        )

    return weighted


def _hits(overlap: F64, iou: float) -> NDArray[np.bool_]:
    """(D, T) by falling score -> (D,) whether each found a lesion that was free."""
    free = np.ones(overlap.shape[1], bool)
    hits = np.zeros(len(overlap), bool)
    for number, row in enumerate(overlap):
        candidates = np.where(free, row, -1.0)
        if len(candidates) and candidates.max() >= iou:
            free[int(candidates.argmax())] = False
            hits[number] = True
    return hits


def _ap(true: F64, false: F64, lesions: float) -> float:
    """From running counts of hits and misses by falling score."""
    if lesions <= 0:
        return float("nan")
    precision = true / np.maximum(true + false, np.finfo(np.float64).tiny)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(true / lesions, RECALLS, side="left")
    return float(
        np.where(at < len(best), np.append(best, 0.0)[np.minimum(at, len(best))], 0).mean()
    )
