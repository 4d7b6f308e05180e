"""What a request asks -> questions with their sentences; refusals in the caller's words.

Knows nothing of images or queues.
"""

import json
from collections.abc import Mapping, Sequence

from model_store.prompts import BadPrompts, Question, UnknownFinding
from model_store.prompts import questions_for as ask
from model_store.store import ModelVersion
from service.errors import ErrorItem
from service.errors import UnknownFinding as NoSuchFinding
from service.parameters import MAX_TEXTS, invalid


def questions_for(
    version: ModelVersion, *, findings: Sequence[str] | None, prompts_json: str | None
) -> tuple[Question, ...]:
    """What is asked of each image. Raises UnknownFinding or InvalidParameter."""
    try:
        return ask(version.manifest, findings=findings, prompts_json=prompts_json)
    except UnknownFinding as error:
        listed = ", ".join(error.known) or "none"
        raise NoSuchFinding(
            f"The model has no such finding; known: {listed}.",
            errors=[ErrorItem(message=f"known: {listed}", parameter="findings")],
        ) from error
    except BadPrompts as error:
        raise invalid(error.where, _reason(error)) from error


def checked_texts(version: ModelVersion, texts: Sequence[str]) -> tuple[str, ...]:
    """NFC, bounded, no control characters: the rules of prompts. Raises InvalidParameter."""
    if not texts:
        return ()
    if len(texts) > MAX_TEXTS:
        raise invalid("texts", f"at most {MAX_TEXTS} sentences")
    try:
        return tuple(one.positive[0] for one in _questions(version, texts))
    except BadPrompts as error:
        raise invalid("texts", _reason(error)) from error


def report_questions(version: ModelVersion, sentences: Mapping[int, str]) -> tuple[Question, ...]:
    """Each sentence, by its number in the report, against the model's default negative.

    Raises InvalidParameter. No message holds a word of the report.
    """
    questions: list[Question] = []
    for number, sentence in sentences.items():
        try:
            questions += _questions(version, [sentence], first=number)
        except BadPrompts as error:
            raise invalid("report", f"sentence {number}: {_reason(error)}") from error
    return tuple(questions)


def _questions(
    version: ModelVersion, sentences: Sequence[str], *, first: int = 1
) -> tuple[Question, ...]:
    """Named by their number: a sentence that comes twice is asked twice. Raises BadPrompts."""
    prompts = [
        {"name": str(number), "positive": sentence}
        for number, sentence in enumerate(sentences, first)
    ]
    return ask(version.manifest, findings=None, prompts_json=json.dumps(prompts))


def _reason(error: BadPrompts) -> str:
    return f"expected {error.expected}, got {error.got}; {error.advice}"
