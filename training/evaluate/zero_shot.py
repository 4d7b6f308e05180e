"""Zero-shot scores of a model version on labelled canvases, as the service would give them.

The exported graphs and model_store.scoring do the work; no torch here.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_store.arrays import F32
from model_store.manifest import Manifest, Metric
from model_store.prompts import Question, all_sentences, questions_for
from model_store.runtime import ModelRuntime
from model_store.scoring import Score, aggregate, score_image
from training.data.canvases import CanvasSet, ViewRecord
from training.data.captions import Attribute
from training.evaluate.metrics import Interval, auc

ATTRIBUTE_OF = {
    "mass": Attribute.MASS,
    "suspicious calcification": Attribute.CALCIFICATION,
}
"""Findings of the phantom prompt set, and the fact that answers each."""


@dataclass(frozen=True, slots=True)
class Level:
    """Cases of one level: scores and truth by finding, and whose they are."""

    name: str
    scores: dict[str, NDArray[np.float64]]
    labels: dict[str, NDArray[np.bool_]]
    patients: NDArray[np.int64]


def embed_views(
    runtime: ModelRuntime, canvases: CanvasSet, *, progress: Callable[[int, int], None]
) -> F32:
    """(V, D) embeddings of every view, one after the other; progress(done, all)."""
    rows = []
    for number, view in enumerate(canvases.views, start=1):
        rows.append(runtime.embed_images(np.asarray(canvases.canvas(view))[None])[0])
        progress(number, len(canvases.views))
    return np.stack(rows)


def score_views(
    runtime: ModelRuntime, embeddings: F32, *, manifest: Manifest
) -> tuple[tuple[Question, ...], list[tuple[Score, ...]]]:
    """Scores of every view by the manifest's findings."""
    questions = questions_for(manifest, findings=None, prompts_json=None)
    sentences = all_sentences(questions)
    vectors = dict(zip(sentences, runtime.embed_texts(sentences), strict=True))
    scores = [score_image(row, questions, vectors, manifest.logit_scale) for row in embeddings]
    return questions, scores


def levels(
    views: Sequence[ViewRecord],
    scores: Sequence[tuple[Score, ...]],
    *,
    questions: Sequence[Question],
    manifest: Manifest,
) -> tuple[Level, Level]:
    """Images, and breasts by the manifest's aggregation of views."""
    breasts = dict.fromkeys((view.study, view.side) for view in views)
    by_breast = {
        breast: [i for i, v in enumerate(views) if (v.study, v.side) == breast]
        for breast in breasts
    }
    combined = [
        aggregate([scores[i] for i in rows], manifest.aggregation.views, questions)
        for rows in by_breast.values()
    ]
    first = [views[rows[0]] for rows in by_breast.values()]
    return _level("image", views, scores), _level("breast", first, combined)


def _level(name: str, views: Sequence[ViewRecord], scores: Sequence[tuple[Score, ...]]) -> Level:
    names = [score.name for score in scores[0] if score.name in ATTRIBUTE_OF]
    return Level(
        name=name,
        scores={
            finding: np.array([s.score for row in scores for s in row if s.name == finding])
            for finding in names
        },
        labels={
            finding: np.array([view.facts[ATTRIBUTE_OF[finding]] > 0 for view in views])
            for finding in names
        },
        patients=np.array([view.study for view in views]),
    )


def aucs(level: Level, *, rng: np.random.Generator) -> dict[str, Interval]:
    """AUC of each finding with its interval by patient."""
    return {
        finding: auc(level.labels[finding], scores, patients=level.patients, rng=rng)
        for finding, scores in level.scores.items()
    }


def as_metrics(levels_: Sequence[Level], *, seed: int, data: str) -> Iterator[Metric]:
    """The manifest's form of every level's AUCs."""
    for level in levels_:
        for finding, interval in aucs(level, rng=np.random.default_rng(seed)).items():
            yield Metric(
                name=f"zero-shot AUC, {finding}, {level.name}",
                value=round(interval.value, 4),
                low=round(interval.low, 4),
                high=round(interval.high, 4),
                n=interval.n,
                data=data,
            )
