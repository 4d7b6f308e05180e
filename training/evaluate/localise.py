"""Where Mammo-FActOR and Grad-CAM see a finding, on canvases with boxes, by one box rule.

What is counted of it is in localise_figures. One pass of image.onnx an image serves both methods.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from model_store.arrays import F32, U8
from model_store.breast import breast_mask
from model_store.factor import (
    FLOOR,
    MIDDLE,
    QUANTILE,
    Bool,
    HeatBox,
    aligned,
    gate,
    head_of,
    heat_boxes,
    peak,
)
from model_store.graphs import EMBEDDING, FEATURES
from model_store.manifest import Factor
from model_store.prompts import Question, all_sentences, questions_for
from model_store.runtime import ModelRuntime
from model_store.scoring import Score, positive_direction, score_image
from training.data.canvas_set import CanvasRecord, CanvasSet
from training.data.records import Box
from training.evaluate.cases import CATEGORY_OF, image_truth
from training.evaluate.gradcam import grad_cam
from training.models.image_encoder import ImageEncoder
from training.progress import Say, counter

FACTOR, GRAD_CAM = "Mammo-FActOR", "Grad-CAM"


@dataclass(frozen=True, slots=True)
class Look:
    """One method on one image and finding: boxes best first, the hottest place, and the truth.

    `present`: what `gate` says of the image's `score`; `truths` in canvas pixels.
    """

    boxes: tuple[HeatBox, ...]
    peak: tuple[float, float]
    truths: tuple[Box, ...]
    present: bool
    score: float
    patient: str


class HeatMaker(Protocol):
    """A method: heat of questions, from what one pass of the image tower gave."""

    def __call__(self, features: F32, questions: Sequence[Question]) -> list[F32]:
        """Features (C, h, w) of an image -> a heat map (h, w) a question, never negative."""


@dataclass(frozen=True, slots=True, eq=False)
class FactorHeat:
    """Mammo-FActOR as served: the head of the finding, else the shared one."""

    runtime: ModelRuntime
    sentences: dict[str, F32]

    def __call__(self, features: F32, questions: Sequence[Question]) -> list[F32]:
        """ValueError where no head answers a question."""
        heads = [head_of(question, self.runtime.heads) or "none" for question in questions]
        asked = [positive_direction(question, self.sentences) for question in questions]
        found = self.runtime.heat_maps(features, np.stack(asked), heads) if asked else []
        return [heat.grid for heat in found]


@dataclass(frozen=True, slots=True, eq=False)
class GradCamHeat:
    """Grad-CAM of the questions' scores, on the tower in torch."""

    tower: ImageEncoder
    sentences: dict[str, F32]
    origin: tuple[float, float]

    def __call__(self, features: F32, questions: Sequence[Question]) -> list[F32]:
        """No finding needs a head of its own here."""
        return [
            aligned(
                grad_cam(
                    self.tower,
                    features,
                    positive=positive_direction(question, self.sentences),
                    negative=positive_direction(_opposite(question), self.sentences),
                ),
                self.origin,
            )
            for question in questions
        ]


Looks = dict[tuple[str, str], list[Look]]
"""By method and finding."""


def look_at(
    runtime: ModelRuntime,
    canvases: CanvasSet,
    findings: Sequence[str],
    *,
    tower: ImageEncoder | None = None,
    say: Say,
) -> Looks:
    """Every method's boxes on every image where a finding's truth is known, by the same rule.

    One pass of image.onnx an image. Without `tower` Grad-CAM is left out; a version without
    factor.onnx has Grad-CAM alone.
    """
    questions = questions_for(runtime.manifest, findings=findings, prompts_json=None)
    sentences = all_sentences(questions)
    vectors = dict(zip(sentences, runtime.embed_texts(sentences), strict=True))
    makers: dict[str, HeatMaker] = {}
    if runtime.heads:
        makers[FACTOR] = FactorHeat(runtime, vectors)
    if tower is not None:
        factor = runtime.manifest.factor
        makers[GRAD_CAM] = GradCamHeat(tower, vectors, factor.origin if factor else MIDDLE)
    looks: Looks = {(method, q.name): [] for method in makers for q in questions}
    tell = counter(say, "localisation")
    for number, record in enumerate(canvases.records, start=1):
        asked = [q for q in questions if image_truth(record.image, q.name) is not None]
        seen = _see(runtime, np.asarray(canvases.canvas(record)), asked, vectors)
        for method, make in makers.items():
            for question, heat in zip(asked, make(seen.features, asked), strict=True):
                look = _look(seen, record, question.name, heat, runtime.manifest.factor)
                looks[method, question.name].append(look)
        tell(number, len(canvases))
    return looks


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """One image as the model sees it: features (C, h, w), the breast, scores by finding."""

    features: F32
    inside: Bool
    scores: dict[str, Score]


def _see(
    runtime: ModelRuntime, canvas: U8, questions: Sequence[Question], vectors: dict[str, F32]
) -> _Seen:
    out = runtime.run_images(canvas[np.newaxis], outputs=(EMBEDDING, FEATURES))
    scale = runtime.manifest.logit_scale
    scores = score_image(out[EMBEDDING][0], questions, vectors, scale)
    return _Seen(out[FEATURES][0], breast_mask(canvas), {score.name: score for score in scores})


def _look(
    seen: _Seen, record: CanvasRecord, finding: str, heat: F32, factor: Factor | None
) -> Look:
    """The box rule is the manifest's where it has one, for every method."""
    quantile, floor = (factor.quantile, factor.floor) if factor else (QUANTILE, FLOOR)
    score = seen.scores[finding]
    category = CATEGORY_OF.get(finding)
    return Look(
        boxes=tuple(heat_boxes(heat, seen.inside, quantile=quantile, floor=floor)),
        peak=peak(heat, seen.inside),
        truths=tuple(record.boxes(category)) if category else (),
        present=gate(score),
        score=score.score,
        patient=record.image.patient,
    )


def _opposite(question: Question) -> Question:
    return Question(question.name, positive=question.negative, negative=question.positive)
