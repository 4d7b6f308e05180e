"""Scores -> the parts of an answer: images, breasts, the study. Pure; knows no queue, no HTTP."""

import base64
from collections.abc import Mapping, Sequence

import numpy as np

from model_store.arrays import F32
from model_store.dicom_input import Laterality
from model_store.manifest import Aggregation
from model_store.prompts import Question
from model_store.scoring import Score, aggregate, score_images
from model_store.store import ModelVersion
from service.decoding import Opened, Rejected
from service.parameters import Encoding
from service.queue.streams import ItemFailed
from service.schemas import (
    BreastResult,
    Embedding,
    FileResult,
    FindingScore,
    ImageResult,
    ModelUsed,
    Prompts,
    StudyScores,
)

LATERALITIES = (Laterality.RIGHT, Laterality.LEFT, None)
FAILED_DETAIL = "the model failed on this image"
Scores = tuple[Score, ...]


def model_used(version: ModelVersion) -> ModelUsed:
    """What made the numbers."""
    manifest = version.manifest
    return ModelUsed(
        name=manifest.name,
        version=manifest.version,
        digest=version.digest,
        recipe=manifest.recipe.name,
        recipe_digest=manifest.recipe.digest,
        licence=manifest.licence.name,
        restricted=not manifest.licence.serving,
    )


def embedding_of(vector: F32, encoding: Encoding) -> Embedding:
    """(D,) as numbers or as base64 of little-endian float32."""
    if encoding == "base64":
        return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()
    return [float(value) for value in vector]


def score_all(
    usable: Sequence[Opened],
    vectors: Mapping[str, F32 | ItemFailed],
    *,
    questions: Sequence[Question],
    sentences: Mapping[str, F32],
    logit_scale: float,
) -> dict[int, Scores]:
    """Scores by file index, of the images that have a vector."""
    found = [(one.index, vectors[one.item.ref]) for one in usable]
    sound = [(index, vector) for index, vector in found if not isinstance(vector, ItemFailed)]
    if not sound:
        return {}
    rows = np.stack([vector for _, vector in sound])
    scores = score_images(rows, questions, sentences, logit_scale)
    return {index: row for (index, _), row in zip(sound, scores, strict=True)}


def by_breast(
    usable: Sequence[Opened],
    scores: Mapping[int, Scores],
    *,
    questions: Sequence[Question],
    how: Aggregation,
) -> tuple[list[BreastResult], StudyScores]:
    """Scores of each breast, right first, and of the study."""
    breasts, combined = [], []
    for laterality in LATERALITIES:
        group = [
            scores[one.index]
            for one in usable
            if one.laterality == laterality and one.index in scores
        ]
        if group:
            combined.append(aggregate(group, how.views, questions))
            findings = finding_scores(combined[-1], questions)
            breasts.append(
                BreastResult(laterality=laterality, images=len(group), findings=findings)
            )
    study = aggregate(combined, how.breasts, questions) if combined else ()
    return breasts, StudyScores(findings=finding_scores(study, questions))


def finding_scores(scores: Scores, questions: Sequence[Question]) -> list[FindingScore]:
    """Each score with the sentences it was made of; empty without scores."""
    if not scores:
        return []
    return [
        FindingScore(
            name=score.name,
            score=score.score,
            calibrated=score.calibrated,
            threshold=score.threshold,
            positive=score.positive,
            prompts=Prompts(positive=list(question.positive), negative=list(question.negative)),
        )
        for score, question in zip(scores, questions, strict=True)
    ]


def image_result(
    one: Opened | Rejected,
    vectors: Mapping[str, F32 | ItemFailed],
    findings: list[FindingScore],
    *,
    encoding: Encoding | None,
) -> ImageResult:
    """What became of a file; `encoding` None leaves its vector out."""
    if isinstance(one, Rejected):
        return ImageResult(**file_result(one).model_dump())
    vector = vectors[one.item.ref]
    if isinstance(vector, ItemFailed):
        return ImageResult(**file_result(one, failed=vector).model_dump())
    return ImageResult(
        **file_result(one).model_dump(),
        findings=findings,
        embedding=None if encoding is None else embedding_of(vector, encoding),
    )


def file_result(one: Opened | Rejected, *, failed: ItemFailed | None = None) -> FileResult:
    """What became of a file; `failed`: why a usable one has no answer."""
    if isinstance(one, Rejected):
        return FileResult(file=one.name, status="rejected", code=one.code, detail=one.detail)
    return FileResult(
        file=one.name,
        sop_instance_uid=one.sop_instance_uid or None,
        laterality=one.laterality,
        view=one.view,
        status="failed" if failed else "analyzed",
        code=failed.code if failed else None,
        detail=FAILED_DETAIL if failed else None,
        warnings=list(one.warnings),
    )
