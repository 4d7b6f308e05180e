"""Shapes of the answers, as pydantic models: what OpenAPI shows and what a client gets.

Knows nothing of queues, files or DICOM files.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from model_store.dicom_terms import Laterality

RESEARCH_USE = "Research use only. Not for diagnosis."
Embedding = list[float] | str
"""Floats, or base64 of little-endian float32 where the request said encoding=base64."""


class Answer(BaseModel):
    """Base of every answer: no surplus key can slip in."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Prompts(Answer):
    """The sentences one score was made of."""

    positive: list[str]
    negative: list[str]


class FindingScore(Answer):
    """One question's answer for an image, a breast or the study."""

    name: str = Field(examples=["mass"])
    score: float = Field(
        ge=0, le=1, description="probability if `calibrated`, else only fit for ranking"
    )
    calibrated: bool
    threshold: float | None = Field(description="operating point of the model, if it has one")
    positive: bool | None = Field(description="score at or above the threshold; null without one")
    prompts: Prompts


class FileResult(Answer):
    """What became of one file."""

    file: str = Field(description="name that the file came with; inside a zip, its path there")
    sop_instance_uid: str | None = None
    laterality: Laterality | None = None
    view: str | None = Field(default=None, examples=["MLO"])
    status: Literal["analyzed", "rejected", "failed"]
    code: str | None = Field(default=None, description="why not analysed; see docs/refusals.md")
    detail: str | None = None
    warnings: list[str] = []


class ImageResult(FileResult):
    """What became of one file, and its scores."""

    findings: list[FindingScore] = []
    embedding: Embedding | None = Field(
        default=None, description="with include=embedding: L2-normalised, as asked by `encoding`"
    )


class BreastResult(Answer):
    """Scores of one breast. Images of unknown laterality form a group of their own."""

    laterality: Laterality | None
    images: int = Field(ge=1, description="analysed images in this group")
    findings: list[FindingScore]


class StudyScores(Answer):
    """Scores of the whole study."""

    findings: list[FindingScore]


class ModelUsed(Answer):
    """What made the numbers, by digest."""

    name: str
    version: str
    digest: str
    recipe: str
    recipe_digest: str
    licence: str = Field(description="name of the licence of the weights", examples=["Apache-2.0"])
    restricted: bool = Field(
        description="the licence forbids serving; it was loaded on the operator's word that its "
        "terms are accepted"
    )


class AggregationUsed(Answer):
    """How image scores became breast and study scores."""

    views: Literal["mean", "max"]
    breasts: Literal["max", "mean"]


class Timing(Answer):
    """Milliseconds spent in each stage; also in the Server-Timing header."""

    upload_ms: float
    decode_ms: float
    queue_ms: float
    score_ms: float
    total_ms: float


class StudyResult(Answer):
    """Answer of POST /v1/classify."""

    id: str
    model: ModelUsed
    prompts_digest: str
    aggregation: AggregationUsed
    images: list[ImageResult]
    breasts: list[BreastResult]
    study: StudyScores
    warnings: list[Literal["several_studies"]] = Field(
        default=[], description="several_studies: the images carry more than one StudyInstanceUID"
    )
    timing: Timing
    note: str = RESEARCH_USE


class TextEmbedding(Answer):
    """One sentence and its vector."""

    text: str
    embedding: Embedding


class EmbedResult(Answer):
    """Answer of POST /v1/embed."""

    id: str
    model: ModelUsed
    images: list[ImageResult]
    texts: list[TextEmbedding]
    timing: Timing
    note: str = RESEARCH_USE


class ModelSummary(Answer):
    """One line of GET /v1/models."""

    name: str
    latest: str
    versions: list[str]
    family: str
    description: str
    findings: list[str]
    heads: list[str] = Field(
        description="of Mammo-FActOR: findings with a head of their own, `*` = any sentence; "
        "empty: this version makes no heat maps"
    )
    default: bool
    licence: str = Field(description="name of the licence of the weights; terms: the manifest")
    serving: bool = Field(description="false: the terms forbid serving without the operator's word")
    accepted: bool = Field(
        description="the operator has accepted the terms (MAMMO_ACCEPT_LICENCE names this model); "
        "of weight only where `serving` is false"
    )
    ready: bool = Field(description="a live worker serves the latest version")


class ModelList(Answer):
    """Answer of GET /v1/models."""

    models: list[ModelSummary]


class Health(Answer):
    """Answer of /livez and /readyz when all is well."""

    status: Literal["alive", "ready"]


class ProblemType(Answer):
    """Answer of GET /problems/{slug}: what a `type` means."""

    type: str
    title: str
    status: int
    meaning: str
    retryable: bool
