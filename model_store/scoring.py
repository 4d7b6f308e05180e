"""Embeddings -> scores of questions, and scores of images -> those of a breast or a study.

score = sigmoid(exp(logit_scale) * (cos(image, positive) - cos(image, negative))), which is the
softmax over the two; an ensemble's direction is the L2-normalised mean of its L2-normalised
sentence embeddings. With a calibration the probability is taken from the same logit.
Knows nothing of where embeddings come from.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model_store.arrays import F32
from model_store.manifest import sigmoid
from model_store.prompts import Question, all_sentences

F64 = NDArray[np.float64]
SMALLEST_NORM = 1e-12


@dataclass(frozen=True, slots=True)
class Score:
    """One question's answer in 0..1. `positive` is said only where a threshold applies."""

    name: str
    score: float
    calibrated: bool
    threshold: float | None
    positive: bool | None


def score_image(
    embedding: F32,
    questions: Sequence[Question],
    sentence_embeddings: Mapping[str, F32],
    logit_scale: float,
) -> tuple[Score, ...]:
    """Scores of one image (D,), in the order of the questions."""
    return score_images(embedding[np.newaxis], questions, sentence_embeddings, logit_scale)[0]


def score_images(
    embeddings: F32,
    questions: Sequence[Question],
    sentence_embeddings: Mapping[str, F32],
    logit_scale: float,
) -> list[tuple[Score, ...]]:
    """Scores of N images (N, D): one matrix product, however many questions.

    `sentence_embeddings` holds a row (D,) for every sentence of the questions; KeyError if not.
    """
    if not questions:
        return [() for _ in embeddings]
    logits = question_logits(embeddings, questions, sentence_embeddings, logit_scale)
    return [
        tuple(_score(q, float(logit)) for q, logit in zip(questions, row, strict=True))
        for row in logits
    ]


def question_logits(
    embeddings: F32,
    questions: Sequence[Question],
    sentence_embeddings: Mapping[str, F32],
    logit_scale: float,
) -> F64:
    """(N, Q) logits before any calibration: what a calibration is fitted on."""
    contrast = _contrast(questions, sentence_embeddings)
    return np.asarray(math.exp(logit_scale) * (_unit(embeddings.astype(np.float64)) @ contrast.T))


def positive_direction(question: Question, sentence_embeddings: Mapping[str, F32]) -> F32:
    """(D,) of length 1: where the question's positive ensemble points. A heat map is asked by it.

    The negatives have no part in it: where "no mass" is true there is nothing to show.
    """
    rows = np.stack([sentence_embeddings[one] for one in sorted(question.positive)])
    mean = _unit(rows.astype(np.float64)).mean(axis=0, keepdims=True)
    return np.asarray(_unit(mean)[0], np.float32)


def aggregate(
    scores: Sequence[tuple[Score, ...]],
    how: Literal["mean", "max"],
    questions: Sequence[Question],
) -> tuple[Score, ...]:
    """One score a question from several images or breasts; the order of these does not matter.

    The reported scores are combined: calibrated ones where there is a calibration. The threshold
    is applied to the result. ValueError where there is nothing to combine.
    """
    if not scores:
        raise ValueError("no scores to aggregate: leave out a breast without a usable image")
    combined = []
    for question, column in zip(questions, zip(*scores, strict=True), strict=True):
        if any(score.name != question.name for score in column):
            raise ValueError(f"scores and questions differ in order at {question.name!r}")
        values = [score.score for score in column]
        value = max(values) if how == "max" else _mean(values)
        combined.append(_report(question, value))
    return tuple(combined)


def _mean(values: Sequence[float]) -> float:
    """Exact but for one rounding, which may not lead out of the values' own range."""
    return min(max(math.fsum(values) / len(values), min(values)), max(values))


def _score(question: Question, logit: float) -> Score:
    calibration = question.calibration
    return _report(question, calibration.apply_to_logit(logit) if calibration else sigmoid(logit))


def _report(question: Question, value: float) -> Score:
    threshold = question.threshold if question.calibration else None
    return Score(
        name=question.name,
        score=value,
        calibrated=question.calibration is not None,
        threshold=threshold,
        positive=None if threshold is None else value >= threshold,
    )


def _contrast(questions: Sequence[Question], embeddings: Mapping[str, F32]) -> F64:
    """(Q, D): direction of the positive ensemble minus that of the negative one.

    Sentences are sorted, so that not even rounding depends on the order of an ensemble.
    """
    sentences = sorted(all_sentences(questions))
    column = {sentence: index for index, sentence in enumerate(sentences)}
    weights = np.zeros((2, len(questions), len(sentences)))
    for row, question in enumerate(questions):
        for side, ensemble in enumerate((question.positive, question.negative)):
            weights[side, row, [column[one] for one in ensemble]] = 1 / len(ensemble)
    rows = np.stack([embeddings[sentence] for sentence in sentences]).astype(np.float64)
    positive, negative = weights @ _unit(rows)
    return _unit(positive) - _unit(negative)


def _unit(rows: F64) -> F64:
    """(N, D) L2-normalised; a row of zeros stays zeros."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, SMALLEST_NORM))
