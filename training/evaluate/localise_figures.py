"""Weakly supervised localisation in figures: looks of localise -> rates with intervals by patient.

The paper gives "IoU@0.25" and "IoU@0.50" without saying what they count. Here, for one finding:

- `IoU@t`: share of the images with a box of the finding whose best-scored heat box overlaps one of
  them by an IoU of at least t. Alternative, told beside it: `any box, IoU@t`, any heat box at all.
- `pointing game`: share of these images whose hottest place lies in one of the finding's boxes.
  No tolerance; Zhang et al. 2016 allow 15 px on images of about 500.
- `mAP@t`: average precision (COCO's rule) over all images where the finding's truth is known, boxes
  scored by the image's own score times the box's share of the image's hottest, and none drawn where
  the score says absent (`model_store.factor.gate`), as served.

The first three ask where, given that it is there: nothing is gated. A difference of two methods is
measured on the same resamples. Knows nothing of models.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from training.data.records import Box
from training.evaluate.average_precision import Found, ap_statistic, match, overlaps
from training.evaluate.figures import Figure
from training.evaluate.localise import FACTOR, GRAD_CAM, Look, Looks
from training.evaluate.metrics import (
    MIN_PATIENTS,
    RESAMPLES,
    Interval,
    Statistic,
    among,
    difference,
    interval,
    mean_statistic,
)

IOUS = (0.25, 0.5)
PART = "localisation"


def localisation_figures(looks: Looks, *, seed: int, resamples: int = RESAMPLES) -> list[Figure]:
    """Every method's figures of every finding, and the differences to Grad-CAM where it is there.

    A finding without a box in the images has figures without a value.
    """
    figures: list[Figure] = []
    for method, finding in looks:
        one = looks[method, finding]
        figures += _figures(method, finding, one, seed=seed, resamples=resamples)
        other = looks.get((GRAD_CAM, finding))
        if method == FACTOR and other:
            figures += _differences(finding, one, other, seed=seed, resamples=resamples)
    return figures


def statistics(looks: Sequence[Look]) -> dict[str, Statistic]:
    """Figures by name, of all `looks`; images without a box of the finding count in mAP alone."""
    boxed = np.array([bool(look.truths) for look in looks], bool)
    hits = {
        "pointing game": [_points(look) for look in looks],
        **{f"IoU@{iou:.2f}": [_best_iou(look, 1) >= iou for look in looks] for iou in IOUS},
        **{
            f"any box, IoU@{iou:.2f}": [_best_iou(look, None) >= iou for look in looks]
            for iou in IOUS
        },
    }
    found: dict[str, Statistic] = {
        name: _rate(np.asarray(values, np.float64), boxed) for name, values in hits.items()
    }
    return found | {
        f"mAP@{iou:.2f}": ap_statistic(match([_found(look) for look in looks], iou=iou))
        for iou in IOUS
    }


def _rate(values: NDArray[np.float64], kept: NDArray[np.bool_]) -> Statistic:
    """Mean of the kept values."""
    return among(lambda rows: mean_statistic(values[rows]), kept)


def _figures(
    method: str, finding: str, looks: Sequence[Look], *, seed: int, resamples: int
) -> list[Figure]:
    patients = [look.patient for look in looks]
    boxed = sum(bool(look.truths) for look in looks)
    figures = []
    for name, statistic in statistics(looks).items():
        figure = Figure(PART, finding, method, name)
        if not boxed:
            figures.append(figure.missing("no image has a box of this finding"))
            continue
        rng = np.random.default_rng(seed)
        measured = interval(statistic, patients=patients, rng=rng, resamples=resamples)
        figures.append(_counted(figure, measured, looks))
    return figures


def _differences(
    finding: str, looks: Sequence[Look], others: Sequence[Look], *, seed: int, resamples: int
) -> list[Figure]:
    boxed = sum(bool(look.truths) for look in looks)
    if not boxed:
        return []
    patients = [look.patient for look in looks]
    other = statistics(others)
    figures = []
    for name, statistic in statistics(looks).items():
        measured = difference(
            statistic,
            other[name],
            patients=patients,
            rng=np.random.default_rng(seed),
            resamples=resamples,
        )
        figure = Figure(PART, finding, f"{FACTOR} less {GRAD_CAM}", name)
        figures.append(_counted(figure, measured, looks))
    return figures


def _counted(figure: Figure, measured: Interval, looks: Sequence[Look]) -> Figure:
    """A rate rests on the images with a box and on their patients, a mAP on all of them."""
    boxed = [look.patient for look in looks if look.truths]
    if figure.metric.startswith("mAP"):
        return figure.measured(measured, note=f"{len(boxed)} images with a box")
    if len(set(boxed)) < MIN_PATIENTS:
        measured = replace(measured, low=None, high=None)
    return figure.measured(replace(measured, n=len(boxed)))


def _points(look: Look) -> bool:
    row, column = look.peak
    return any(t.top <= row < t.bottom and t.left <= column < t.right for t in look.truths)


def _best_iou(look: Look, boxes: int | None) -> float:
    """Largest overlap of the best boxes (None = all) with a truth; 0 where there is none."""
    overlap = overlaps([box.box for box in look.boxes[:boxes]], [_edges(t) for t in look.truths])
    return float(overlap.max(initial=0))


def _found(look: Look) -> Found:
    """Boxes as served: none where the score says absent; ranked by score, then by heat."""
    boxes = look.boxes if look.present else ()
    hottest = max((box.score for box in boxes), default=1.0)
    return Found(
        boxes=np.array([box.box for box in boxes], np.float64).reshape(-1, 4),
        scores=np.array([look.score * box.score / hottest for box in boxes], np.float64),
        truths=np.array([_edges(t) for t in look.truths], np.float64).reshape(-1, 4),
    )


def _edges(box: Box) -> tuple[float, float, float, float]:
    return box.top, box.left, box.bottom, box.right
