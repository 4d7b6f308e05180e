"""What POST /v1/heatmap and POST /v1/ground answer: heat told in each file's stored pixels.

Knows nothing of HTTP.
"""

import asyncio
import base64
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from model_store.prompts import Question, prompts_digest
from model_store.sentences import ReportSentence
from service.errors import DeadlineExceeded
from service.heat_parameters import (
    MAX_GRIDS,
    MAX_OVERLAYS,
    GroundRequest,
    HeatmapRequest,
    Wanted,
)
from service.heat_results import Asked, heat_maps, on_image
from service.heat_schemas import (
    GroundAnswer,
    GroundedSentence,
    HeatImage,
    HeatmapAnswer,
    SentenceOnImage,
)
from service.looking import Looking, heads_for
from service.parameters import invalid
from service.questions import questions_for, report_questions
from service.queue.heat import MAX_SENTENCES
from service.reports import is_too_long, sentences_of
from service.results import model_used
from service.stopwatch import Stopwatch
from service.upload_files import UploadedFile

MAX_PLACES = 2048
"""Of a report's answer: sentences on images, each with its boxes; 128 sentences on 16 images."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HeatMaps:
    """What the routes call; one for an application."""

    looking: Looking

    async def heatmap(
        self, files: Sequence[UploadedFile], request: HeatmapRequest, *, upload_s: float = 0
    ) -> HeatmapAnswer:
        """Scores and heat maps of every file that is a usable mammogram.

        Raises UnknownModel, LicenceNotAccepted, NoHeatMaps, UnknownFinding, InvalidParameter,
        NoUsableImage (not one could be used), InferenceFailed, DeadlineExceeded, and what Embedder
        raises.
        """
        watch = Stopwatch(upload_s)
        until = time.monotonic() + request.deadline_s
        version = self.looking.version(request.model)
        questions = questions_for(
            version, findings=request.findings, prompts_json=request.prompts_json
        )
        asked = Asked(questions, heads_for(version, questions), request.wanted)
        check_questions(questions, request)
        check_amount(files, len(questions), request.wanted)
        look = await self.looking.look(version, files, questions, until=until, watch=watch)
        images = [
            HeatImage(
                **result.model_dump(),
                heat_maps=await _in_time(partial(heat_maps, it, asked), until)
                if (it := look.seen.get(index))
                else [],
            )
            for index, result in enumerate(look.files)
        ]
        watch.lap("score")
        return HeatmapAnswer(
            id=uuid.uuid4().hex,
            model=model_used(version),
            prompts_digest=prompts_digest(questions),
            images=images,
            timing=watch.timing(),
        )

    async def picture(
        self, files: Sequence[UploadedFile], request: HeatmapRequest, *, upload_s: float = 0
    ) -> bytes:
        """The overlay of one image and one question, as PNG. Raises as `heatmap`."""
        if len(files) != 1:
            raise invalid("files", "a PNG shows one image: send one file, or accept JSON")
        version = self.looking.version(request.model)
        questions = questions_for(
            version, findings=request.findings, prompts_json=request.prompts_json
        )
        if len(questions) != 1:
            raise invalid(
                "findings", "a PNG shows one question: ask one finding or prompt, or accept JSON"
            )
        wanted = replace(request.wanted, grid=False, overlay=True)
        answer = await self.heatmap(files, replace(request, wanted=wanted), upload_s=upload_s)
        overlay = answer.images[0].heat_maps[0].overlay
        assert overlay is not None
        return base64.b64decode(overlay.png)

    async def ground(
        self, files: Sequence[UploadedFile], request: GroundRequest, *, upload_s: float = 0
    ) -> GroundAnswer:
        """Each sentence of the report on each usable image. Raises as `heatmap`."""
        watch = Stopwatch(upload_s)
        until = time.monotonic() + request.deadline_s
        version = self.looking.version(request.model)
        sentences = await _in_time(partial(sentences_of, request.report), until)
        numbered = {
            number: sentence.text
            for number, sentence in enumerate(sentences, 1)
            if not is_too_long(sentence)
        }
        questions = report_questions(version, numbered)
        asked = Asked(questions, heads_for(version, questions), request.wanted)
        check_places(files, len(questions))
        check_amount(files, len(questions), request.wanted)
        look = await self.looking.look(version, files, questions, until=until, watch=watch)
        columns = [
            dict(zip(numbered, rows, strict=True))
            for index, it in look.seen.items()
            for rows in [await _in_time(partial(on_image, it, asked, image=index), until)]
        ]
        grounded = [
            _grounded(sentence, [column[number] for column in columns if number in column])
            for number, sentence in enumerate(sentences, 1)
        ]
        watch.lap("score")
        return GroundAnswer(
            id=uuid.uuid4().hex,
            model=model_used(version),
            prompts_digest=prompts_digest(questions),
            negative=list(version.manifest.default_negative),
            images=look.files,
            sentences=grounded,
            timing=watch.timing(),
        )


def check_questions(questions: Sequence[Question], request: HeatmapRequest) -> None:
    """How much may be asked. Raises InvalidParameter, which says what was sent."""
    if len(questions) <= MAX_SENTENCES:
        return
    parameter = "findings" if request.prompts_json is None else "prompts"
    findings = sum(question.is_finding for question in questions)
    came = [(findings, "finding"), (len(questions) - findings, "prompt")]
    got = " and ".join(f"{many} {kind}{'s' * (many > 1)}" for many, kind in came if many)
    advice = "ask in several"
    if parameter == "findings" and not request.findings:
        got, advice = f"all {got} of the model", "name some of them"
    raise invalid(
        parameter,
        f"at most {MAX_SENTENCES} questions in a request for heat maps, got {got}; {advice}",
    )


def check_places(files: Sequence[UploadedFile], sentences: int) -> None:
    """How long a report may be for so many files. Raises InvalidParameter."""
    if len(files) * sentences > MAX_PLACES:
        raise invalid(
            "report",
            f"at most {MAX_PLACES} places in an answer, got {len(files)} files x {sentences} "
            "sentences; send fewer files, or the report in parts",
        )


def check_amount(files: Sequence[UploadedFile], questions: int, wanted: Wanted) -> None:
    """What one answer may hold. Raises InvalidParameter."""
    if not files:
        raise invalid("files", "no file came: send DICOM files as `files`")
    most = MAX_OVERLAYS if wanted.overlay else MAX_GRIDS if wanted.grid else None
    if most is not None and len(files) * questions > most:
        kind = "overlays" if wanted.overlay else "grids"
        raise invalid(
            "include",
            f"at most {most} {kind} in an answer, got {len(files)} files x {questions} questions; "
            "send fewer files, ask fewer questions, or say include=none",
        )


def _grounded(sentence: ReportSentence, images: list[SentenceOnImage]) -> GroundedSentence:
    best = max(images, key=lambda one: one.score, default=None)
    return GroundedSentence(
        text=sentence.text,
        section=sentence.section,
        not_grounded="too_long" if is_too_long(sentence) else None,
        best_image=best.image if best else None,
        images=images,
    )


async def _in_time(make: Callable[[], T], until: float) -> T:
    """On a thread: pictures of an image, a report's sentences. Raises DeadlineExceeded."""
    try:
        async with asyncio.timeout(max(until - time.monotonic(), 0)):
            return await asyncio.to_thread(make)
    except TimeoutError:
        raise DeadlineExceeded("The answer did not come before the deadline.") from None
