"""Figures of a model version on a series of the first phantoms, measured on its exported graphs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from model_store.cores import usable_cores
from model_store.manifest import Manifest, Metric
from model_store.prompts import all_sentences, questions_for
from model_store.runtime import ModelRuntime
from model_store.scoring import Score, aggregate, score_image
from model_store.store import ModelVersion
from training.data.canvases import CanvasSet, Series, ViewRecord, collect_canvases
from training.data.captions import Attribute
from training.data.phantom import PhantomRules
from training.evaluate.metrics import as_metric
from training.evaluate.zero_shot import Level, finding_auc
from training.progress import Say, counter

ATTRIBUTE_OF = {
    "mass": Attribute.MASS,
    "suspicious calcification": Attribute.CALCIFICATION,
}
"""Findings of the phantom prompt set, and the fact that answers each."""


def measure(
    version: ModelVersion, *, seed: int, studies: int, rules: PhantomRules, work: Path, say: Say
) -> tuple[Metric, ...]:
    """Zero-shot AUC by image and by breast on series `seed`."""
    series = Series(seed, rules, version.manifest.recipe)
    canvases = collect_canvases(
        series, studies, root=work / "canvases", processes=usable_cores(), say=say
    )
    runtime = ModelRuntime.load(version, threads=0)
    scored = score_set(runtime, canvases, manifest=version.manifest, say=say)
    return metrics_of(scored, seed=seed, studies=studies)


def score_set(
    runtime: ModelRuntime, canvases: CanvasSet, *, manifest: Manifest, say: Say
) -> tuple[Level, Level]:
    """Zero-shot scores of a set of canvases, by image and by breast."""
    questions = questions_for(manifest, findings=None, prompts_json=None)
    sentences = all_sentences(questions)
    vectors = dict(zip(sentences, runtime.embed_texts(sentences), strict=True))
    progress = counter(say, "zero-shot")
    scores = []
    for number, view in enumerate(canvases.views, start=1):
        row = runtime.embed_images(np.asarray(canvases.canvas(view))[None])[0]
        scores.append(score_image(row, questions, vectors, manifest.logit_scale))
        progress(number, len(canvases.views))
    breasts: dict[tuple[int, str], list[int]] = {}
    for number, view in enumerate(canvases.views):
        breasts.setdefault((view.study, view.side), []).append(number)
    combined = [
        aggregate([scores[i] for i in rows], manifest.aggregation.views, questions)
        for rows in breasts.values()
    ]
    first = [canvases.views[rows[0]] for rows in breasts.values()]
    return _level("image", canvases.views, scores), _level("breast", first, combined)


def _level(name: str, views: Sequence[ViewRecord], scores: Sequence[tuple[Score, ...]]) -> Level:
    names = [score.name for score in scores[0] if score.name in ATTRIBUTE_OF]
    served = {f: np.array([s.score for row in scores for s in row if s.name == f]) for f in names}
    return Level(
        name=name,
        scores=served,
        order=served,
        labels={f: np.array([v.facts[ATTRIBUTE_OF[f]] > 0 for v in views]) for f in names},
        known={f: np.ones(len(views), bool) for f in names},
        patients=np.array([str(view.study) for view in views]),
    )


def metrics_of(scored: tuple[Level, ...], *, seed: int, studies: int) -> tuple[Metric, ...]:
    """AUCs of every level, named and with their data."""
    data = f"phantoms, seed {seed}, {studies} studies"
    return tuple(
        as_metric(
            f"zero-shot AUC, {finding}, {level.name}",
            finding_auc(level, finding, rng=np.random.default_rng(seed)),
            data=data,
        )
        for level in scored
        for finding in level.labels
    )


def metric_line(metric: Metric) -> str:
    """One figure in words."""
    interval = f"{metric.low:.3f} to {metric.high:.3f}"
    return f"{metric.name}: {metric.value:.3f} ({interval}), n {metric.n}"
