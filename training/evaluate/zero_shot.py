"""Zero-shot answers of a model version on labelled canvases, as the service would give them.

The exported graphs and model_store.scoring do the work; no torch here. A finding's truth is the
record's category of that name, else its label ("malignancy"); who has not been looked at is left
out, finding by finding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_store.manifest import Finding, Manifest, Metric
from model_store.prompts import Question, all_sentences, questions_for
from model_store.runtime import ModelRuntime
from model_store.scoring import Score, aggregate, question_logits, score_images
from training.data.canvas_set import CanvasSet
from training.data.records import ImageRecord
from training.evaluate.calibration import SENSITIVITY, Method, calibrated
from training.evaluate.cases import breast_rows, case_truth
from training.evaluate.density import density_metrics
from training.evaluate.embeddings import Embedded, embed_canvases
from training.evaluate.metrics import (
    RESAMPLES,
    Interval,
    Statistic,
    among,
    as_metric,
    auc_statistic,
    ece_statistic,
    interval,
    mean_of,
)
from training.progress import Say, counter

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]
MAIN_FINDINGS = ("mass", "suspicious calcification")
"""What every paper reports; the others are averaged beside them."""


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """N cases of one level ("image" or "breast"); by finding, (N,) each.

    `scores`: probabilities as served; `order`: what cases are ranked by (raw logits of images,
    which do not run into ties next to 0 and 1; served scores of breasts); `labels` hold where
    `known`. `patients` (N,): whose they are.
    """

    name: str
    scores: dict[str, F64]
    order: dict[str, F64]
    labels: dict[str, Bools]
    known: dict[str, Bools]
    patients: NDArray[np.str_]

    def measurable(self) -> tuple[str, ...]:
        """Findings with a positive and a negative case."""
        return tuple(f for f, known in self.known.items() if len(set(self.labels[f][known])) == 2)


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """A model's answers at both levels."""

    image: Level
    breast: Level


def evaluate_zero_shot(
    runtime: ModelRuntime,
    canvases: CanvasSet,
    *,
    cache: Path,
    data: str,
    seed: int,
    say: Say,
    manifest: Manifest | None = None,
    resamples: int = RESAMPLES,
) -> list[Metric]:
    """AUC and calibration error of every finding and density accuracy, by image and by breast.

    `manifest` instead of the runtime's own: the same graphs with other findings or calibration.
    `data` says in words what was measured on; `cache` is embed_canvases' folder.
    """
    progress = counter(say, "zero-shot")
    embedded = embed_canvases(runtime, canvases, cache=cache, progress=progress)
    answers = ask(runtime, canvases, embedded, manifest=manifest or runtime.manifest)
    found = answer_metrics(answers, data=data, seed=seed, resamples=resamples)
    found += density_metrics(runtime, canvases, embedded, data=data, seed=seed, resamples=resamples)
    return found


def ask(
    runtime: ModelRuntime, canvases: CanvasSet, embedded: Embedded, *, manifest: Manifest
) -> Answers:
    """Every finding of the manifest, asked of every canvas; breasts by the manifest's rule."""
    questions = questions_for(manifest, findings=None, prompts_json=None)
    sentences = all_sentences(questions)
    vectors = dict(zip(sentences, runtime.embed_texts(sentences), strict=True))
    scale = manifest.logit_scale
    scores = score_images(embedded.embeddings, questions, vectors, scale)
    logits = question_logits(embedded.embeddings, questions, vectors, scale)
    breasts = breast_rows([record.image for record in canvases.records])
    combined = [
        aggregate([scores[row] for row in rows], manifest.aggregation.views, questions)
        for rows in breasts
    ]
    images = [record.image for record in canvases.records]
    image = _level("image", [[row] for row in range(len(images))], scores, (questions, images))
    image.order.update({q.name: logits[:, i] for i, q in enumerate(questions)})
    return Answers(image, _level("breast", breasts, combined, (questions, images)))


def _level(
    name: str,
    cases: Sequence[Sequence[int]],
    scores: Sequence[tuple[Score, ...]],
    asked: tuple[Sequence[Question], Sequence[ImageRecord]],
) -> Level:
    """`cases`: the images' rows of each case; `scores` a tuple a case."""
    questions, images = asked
    values = np.array([[score.score for score in case] for case in scores])  # (N, Q)
    truth = {q.name: [case_truth([images[i] for i in c], q.name) for c in cases] for q in questions}
    served = {q.name: values[:, i] for i, q in enumerate(questions)}
    return Level(
        name=name,
        scores=served,
        order=dict(served),
        labels={finding: np.array([t is True for t in ts]) for finding, ts in truth.items()},
        known={finding: np.array([t is not None for t in ts]) for finding, ts in truth.items()},
        patients=np.array([images[case[0]].patient for case in cases]),
    )


def answer_metrics(
    answers: Answers, *, data: str, seed: int, resamples: int = RESAMPLES
) -> list[Metric]:
    """AUCs of both levels, their mean over the findings beside mass and calcification, and ECEs.

    A finding without a positive or a negative case has no figure.
    """
    rng = np.random.default_rng(seed)
    found: list[Metric] = []
    for level in (answers.image, answers.breast):
        for name, measured in aucs(level, rng=rng, resamples=resamples).items():
            found.append(as_metric(f"zero-shot AUC, {name}, {level.name}", measured, data=data))
    for name, measured in calibration_errors(answers.image, rng=rng, resamples=resamples).items():
        found.append(as_metric(f"calibration error (ECE), {name}, image", measured, data=data))
    return found


def aucs(
    level: Level, *, rng: np.random.Generator, resamples: int = RESAMPLES
) -> dict[str, Interval]:
    """Of every measurable finding among the cases whose truth is known, and a mean.

    The mean is of the findings that are no MAIN_FINDINGS, if there are two of them.
    """
    found = {}
    for finding in level.measurable():
        kept = level.known[finding]
        statistic = auc_statistic(level.labels[finding][kept], level.order[finding][kept])
        patients = level.patients[kept]
        found[finding] = interval(statistic, patients=patients, rng=rng, resamples=resamples)
    others = [finding for finding in level.measurable() if finding not in MAIN_FINDINGS]
    if len(others) > 1:
        mean = mean_of([_auc_of(level, finding) for finding in others])
        found[f"mean of {len(others)} other findings"] = interval(
            mean, patients=level.patients, rng=rng, resamples=resamples
        )
    return found


def calibration_errors(
    level: Level, *, rng: np.random.Generator, resamples: int = RESAMPLES
) -> dict[str, Interval]:
    """ECE of every measurable finding's served scores, 15 equal-mass bins."""
    found = {}
    for finding in level.measurable():
        kept = level.known[finding]
        found[finding] = interval(
            ece_statistic(level.labels[finding][kept], level.scores[finding][kept]),
            patients=level.patients[kept],
            rng=rng,
            resamples=resamples,
            upward_bias=True,
        )
    return found


def _auc_of(level: Level, finding: str) -> Statistic:
    """As a statistic of all cases of the level, so that findings can be averaged."""
    labels, order = level.labels[finding], level.order[finding]
    return among(lambda rows: auc_statistic(labels[rows], order[rows]), level.known[finding])


def calibrate_findings(
    findings: Sequence[Finding],
    image: Level,
    *,
    say: Say,
    method: Method = "platt",
    sensitivity: float | None = SENSITIVITY,
) -> tuple[Finding, ...]:
    """All findings, fitted on the answers about a validation split's images (zero_shot.ask).

    One that cannot be fitted keeps its raw score, and it is said why.
    """
    fitted = []
    for finding in findings:
        kept = image.known[finding.name]
        try:
            fitted.append(
                calibrated(
                    finding,
                    labels=image.labels[finding.name][kept],
                    logits=image.order[finding.name][kept],
                    method=method,
                    sensitivity=sensitivity,
                )
            )
        except ValueError as error:
            say(f"calibration: {finding.name} stays raw: {error}")
            fitted.append(finding.model_copy(update={"calibration": None, "threshold": None}))
    return tuple(fitted)
