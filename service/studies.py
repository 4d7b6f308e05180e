"""Uploaded files -> canvases -> vectors -> scores of images, breasts and the study.

Knows nothing of HTTP. One bad file never costs the others their answer; a file that is not
analysed carries a code.
"""

import time
import uuid
from collections.abc import Mapping, Sequence

from model_store.prompts import Question, all_sentences, prompts_digest
from model_store.store import ModelVersion
from service.catalog import Catalog
from service.decoding import Decoder, Opened, Rejected
from service.embedding import Embedder, Vector
from service.metrics import Metrics
from service.outcomes import conclude, sound
from service.parameters import ClassifyRequest, EmbedRequest, invalid
from service.questions import checked_texts, questions_for
from service.results import (
    Scores,
    by_breast,
    embedding_of,
    finding_scores,
    image_result,
    model_used,
    score_all,
)
from service.schemas import (
    AggregationUsed,
    EmbedResult,
    ImageResult,
    StudyResult,
    TextEmbedding,
)
from service.stopwatch import Stopwatch
from service.upload_files import UploadedFile


class Studies:
    """What the routes call; one for an application."""

    def __init__(
        self, *, catalog: Catalog, decoder: Decoder, embedder: Embedder, metrics: Metrics
    ) -> None:
        self._catalog = catalog
        self._decoder = decoder
        self._embedder = embedder
        self._metrics = metrics

    async def classify(
        self, files: Sequence[UploadedFile], request: ClassifyRequest, *, upload_s: float = 0
    ) -> StudyResult:
        """Scores of every file that is a usable mammogram.

        Raises UnknownModel, LicenceNotAccepted, UnknownFinding, InvalidParameter, NoUsableImage
        (not one could be used), InferenceFailed, DeadlineExceeded, and what Embedder raises.
        """
        watch = Stopwatch(upload_s)
        until = time.monotonic() + request.deadline_s
        version = self._catalog.served(request.model)
        questions = questions_for(
            version, findings=request.findings, prompts_json=request.prompts_json
        )
        if not files:
            raise invalid("files", "no file came: send DICOM files as `files`")
        opened = await self._open(files, version, until=until)
        watch.lap("decode")
        usable = [one for one in opened if isinstance(one, Opened)]
        texts = all_sentences(questions) if usable else ()
        images = [one.item for one in usable]
        found = await self._embedder.embed(version, images=images, texts=texts, until=until)
        watch.lap("queue")
        scores = score_all(
            usable,
            found.images,
            questions=questions,
            sentences={text: sound(vector) for text, vector in found.texts.items()},
            logit_scale=version.manifest.logit_scale,
        )
        encoding = request.encoding if request.include_embedding else None
        rows = {index: finding_scores(row, questions) for index, row in scores.items()}
        results = [
            image_result(one, found.images, rows.get(one.index, []), encoding=encoding)
            for one in opened
        ]
        conclude(self._metrics, results)
        return _study_result(
            version, questions, usable=usable, scores=scores, results=results, watch=watch
        )

    async def embed(
        self, files: Sequence[UploadedFile], request: EmbedRequest, *, upload_s: float = 0
    ) -> EmbedResult:
        """Vectors of files and of sentences; either may be missing, not both. Raises as above."""
        watch = Stopwatch(upload_s)
        until = time.monotonic() + request.deadline_s
        version = self._catalog.served(request.model)
        texts = checked_texts(version, request.texts)
        if not files and not texts:
            raise invalid("texts", "send `files`, `texts`, or both")
        opened = await self._open(files, version, until=until)
        watch.lap("decode")
        images = [one.item for one in opened if isinstance(one, Opened)]
        distinct = tuple(dict.fromkeys(texts))
        found = await self._embedder.embed(version, images=images, texts=distinct, until=until)
        watch.lap("queue")
        results = [image_result(one, found.images, [], encoding=request.encoding) for one in opened]
        conclude(self._metrics, results, required=not texts)
        rows = _text_rows(texts, found.texts, request)
        watch.lap("score")
        return EmbedResult(
            id=uuid.uuid4().hex,
            model=model_used(version),
            images=results,
            texts=rows,
            timing=watch.timing(),
        )

    async def _open(
        self, files: Sequence[UploadedFile], version: ModelVersion, *, until: float
    ) -> list[Opened | Rejected]:
        self._metrics.uploaded.inc(sum(file.size for file in files))
        return await self._decoder.open(files, version.manifest.recipe, until=until)


def _text_rows(
    texts: Sequence[str], vectors: Mapping[str, Vector], request: EmbedRequest
) -> list[TextEmbedding]:
    return [
        TextEmbedding(text=text, embedding=embedding_of(sound(vectors[text]), request.encoding))
        for text in texts
    ]


def _study_result(
    version: ModelVersion,
    questions: Sequence[Question],
    *,
    usable: Sequence[Opened],
    scores: Mapping[int, Scores],
    results: list[ImageResult],
    watch: Stopwatch,
) -> StudyResult:
    """The answer, its images being done; ends the stage "score"."""
    how = version.manifest.aggregation
    breasts, study = by_breast(usable, scores, questions=questions, how=how)
    watch.lap("score")
    return StudyResult(
        id=uuid.uuid4().hex,
        model=model_used(version),
        prompts_digest=prompts_digest(questions),
        aggregation=AggregationUsed(views=how.views, breasts=how.breasts),
        images=results,
        breasts=breasts,
        study=study,
        warnings=["several_studies"] if len({one.study for one in usable} - {""}) > 1 else [],
        timing=watch.timing(),
    )
