"""Linear probe: logistic regression on the frozen tower's mean features.

Features are standardised, and the penalty's strength is chosen on the validation split; the test
split is looked at once for each subset of the labels. Subsets are of patients and nested; below
100 % several are drawn, and the figure is their mean. The reference trains a linear layer by AdamW
for 30 epochs and keeps the epoch that is best on the split it reports.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from model_store.arrays import F32
from training.data.records import Split
from training.evaluate.config import ProbeConfig
from training.evaluate.figures import Figure
from training.evaluate.metrics import RESAMPLES, Interval, Statistic, difference, interval, mean_of
from training.evaluate.tasks import NothingToMeasure, Part, Task, nested_subset

F64 = NDArray[np.float64]
MAX_ITERATIONS = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """What the probes of one share of the labels say of the test split's images."""

    fraction: float
    images: int
    scores: tuple[F64, ...]
    """One a draw: (n,) for yes or no, (n, outputs) else."""

    def statistic(self, task: Task) -> Statistic:
        """Mean over the draws."""
        test = task.parts[Split.TEST]
        return mean_of([task.statistic(test, scores) for scores in self.scores])


def probe(pooled: F32, task: Task, *, fraction: float, config: ProbeConfig, seed: int) -> Probe:
    """Fit on a share of the training patients; pooled (N, C) are rows of all the canvases.

    NothingToMeasure where no draw holds both classes.
    """
    draws = 1 if fraction >= 1 else config.draws
    scores: list[F64] = []
    images, why = 0, ""
    for draw in range(draws):
        rng = np.random.default_rng([seed, draw])
        try:
            chosen = nested_subset(task.parts[Split.TRAIN], fraction, rng=rng)
        except NothingToMeasure as error:
            why = str(error)
            continue
        images = len(chosen)
        scores.append(fit_and_score(pooled, task, chosen, strengths=config.strengths))
    if not scores:
        raise NothingToMeasure(why)
    return Probe(fraction, images, tuple(scores))


def fit_and_score(pooled: F32, task: Task, train: Part, *, strengths: Sequence[float]) -> F64:
    """Scores of the test split by the strength that is best on the validation split."""
    given = pooled[train.rows].astype(np.float64)
    mean, spread = given.mean(axis=0), given.std(axis=0)
    spread[spread < 1e-9] = 1.0

    def seen(part: Part) -> F64:
        return np.asarray((pooled[part.rows].astype(np.float64) - mean) / spread)

    validation, test = task.parts[Split.VALIDATION], task.parts[Split.TEST]
    best: tuple[float, LogisticRegression] | None = None
    for strength in strengths:
        model = LogisticRegression(
            C=strength,
            class_weight="balanced" if task.outputs == 2 else None,
            max_iter=MAX_ITERATIONS,
        ).fit(seen(train), train.classes)
        score = task.score(validation, _scores(model, seen(validation), task.outputs))
        if best is None or score > best[0]:
            best = score, model
    assert best is not None
    return _scores(best[1], seen(test), task.outputs)


def _scores(model: LogisticRegression, features: F64, outputs: int) -> F64:
    """(n,) logits, or (n, outputs) probabilities with 0 for classes that were never seen."""
    if outputs == 2:
        return np.asarray(model.decision_function(features))
    scores = np.zeros((len(features), outputs))
    scores[:, model.classes_] = model.predict_proba(features)
    return scores


def probe_figures(
    pooled: F32, task: Task, *, config: ProbeConfig, seed: int, resamples: int = RESAMPLES
) -> list[Figure]:
    """A figure for each share of the labels, of the test split."""
    figures = []
    test = task.parts[Split.TEST]
    for fraction in config.fractions:
        blank = Figure("linear-probe", task.name, f"LP {fraction:.0%}", task.metric)
        try:
            found = probe(pooled, task, fraction=fraction, config=config, seed=seed)
        except NothingToMeasure as error:
            figures.append(blank.missing(str(error)))
            continue
        rng = np.random.default_rng([seed, len(figures)])
        measured = interval(
            found.statistic(task), patients=test.patients, rng=rng, resamples=resamples
        )
        figures.append(blank.measured(measured, note=_note(found, task)))
    return figures


def _note(found: Probe, task: Task) -> str:
    values = [task.score(task.parts[Split.TEST], scores) for scores in found.scores]
    text = f"{found.images} images"
    if len(values) > 1:
        text += f", {len(values)} draws {min(values):.3f} to {max(values):.3f}"
    return text


def compare_probes(
    first: F32,
    second: F32,
    task: Task,
    *,
    fraction: float,
    config: ProbeConfig,
    seed: int,
    resamples: int = RESAMPLES,
) -> Interval:
    """first - second: probes on two towers' features of the same images and draws (paired)."""
    probes = [
        probe(pooled, task, fraction=fraction, config=config, seed=seed)
        for pooled in (first, second)
    ]
    return difference(
        probes[0].statistic(task),
        probes[1].statistic(task),
        patients=task.parts[Split.TEST].patients,
        rng=np.random.default_rng(seed),
        resamples=resamples,
    )
