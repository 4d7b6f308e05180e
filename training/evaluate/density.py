"""Breast density by zero-shot: the class whose sentences an image is nearest to.

Mammo-CLIP's protocol (argmax over four prompts, accuracy of images) with an ensemble of sentences
a class, and breasts beside images. `commonest_share` belongs next to it: of VinDr-Mammo's breasts
76 % are of class C, so that an accuracy alone says little.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from model_store.manifest import Metric
from model_store.runtime import ModelRuntime
from training.data.canvas_set import CanvasSet
from training.data.records import Density
from training.evaluate.cases import breast_rows, known_density
from training.evaluate.embeddings import Embedded
from training.evaluate.metrics import RESAMPLES, Interval, as_metric, interval, mean_statistic

SENTENCES: Mapping[Density, tuple[str, ...]] = {  # BI-RADS atlas, 5th edition
    Density.A: ("the breast is almost entirely fatty", "almost entirely fatty breast"),
    Density.B: (
        "there are scattered areas of fibroglandular density",
        "scattered fibroglandular tissue",
    ),
    Density.C: ("the breast is heterogeneously dense", "heterogeneously dense breast tissue"),
    Density.D: ("the breast is extremely dense", "extremely dense breast tissue"),
}
SMALLEST_NORM = 1e-12


def density_scores(runtime: ModelRuntime, embedded: Embedded) -> NDArray[np.float64]:
    """(N, 4) cosines with the mean direction of each class's sentences, A to D."""
    directions = np.stack([runtime.embed_texts(SENTENCES[d]).mean(axis=0) for d in Density])
    norms = np.linalg.norm(directions, axis=1, keepdims=True)
    units = (directions / np.maximum(norms, SMALLEST_NORM)).astype(np.float64)
    return np.asarray(embedded.embeddings.astype(np.float64) @ units.T)


def density_metrics(
    runtime: ModelRuntime,
    canvases: CanvasSet,
    embedded: Embedded,
    *,
    data: str,
    seed: int,
    resamples: int = RESAMPLES,
) -> list[Metric]:
    """Accuracy of images and of breasts; none where no density is known."""
    found = density_accuracy(runtime, canvases, embedded, seed=seed, resamples=resamples)
    return [
        as_metric(f"density accuracy, {level}", measured, data=data)
        for level, measured in found.items()
    ]


def density_accuracy(
    runtime: ModelRuntime,
    canvases: CanvasSet,
    embedded: Embedded,
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> dict[str, Interval]:
    """By level: images, and breasts by the mean cosine of their views."""
    rows, truth = known_density(canvases)
    if not len(rows):
        return {}
    images = [canvases.records[row].image for row in rows]
    scores = density_scores(runtime, embedded.rows(rows))
    rng = np.random.default_rng([seed, len(SENTENCES)])
    found = {}
    levels = {"image": [[row] for row in range(len(images))], "breast": breast_rows(images)}
    for level, cases in levels.items():
        chosen = np.array([int(scores[case].mean(axis=0).argmax()) for case in cases])
        right = chosen == truth[[case[0] for case in cases]]
        owners = [images[case[0]].patient for case in cases]
        found[level] = interval(
            mean_statistic(right), patients=owners, rng=rng, resamples=resamples
        )
    return found


def commonest_share(classes: NDArray[np.intp]) -> float:
    """Accuracy of always answering the commonest class."""
    return float(np.bincount(classes).max() / len(classes))
