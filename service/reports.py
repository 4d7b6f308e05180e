"""A report as it came in a form -> its sentences. No message holds a word of it."""

import json
import unicodedata
from typing import Any

from model_store.prompts import MAX_CHARS
from model_store.sentences import ReportSentence, report_sentences
from service.heat_parameters import MAX_REPORT_CHARS
from service.parameters import invalid

MAX_SENTENCES = 128
"""Of a report, those too long included: four passes of the model for each image."""
SECTIONS = ("findings", "impression")
AS_JSON = 'as JSON it is {"findings": "...", "impression": "..."}, either of them or both'
UNSEEN = ("Cf", "Cs")
"""Marks of order, soft hyphens, joiners, and halves of characters: nobody wrote them."""


def sentences_of(report: str) -> tuple[ReportSentence, ...]:
    """The sentences of a text, or of a JSON object with a text a section; NFC, visible alone.

    Raises InvalidParameter where there are none, too many, none short enough to be grounded, or
    the report is too long.
    """
    if len(report) > MAX_REPORT_CHARS:
        raise invalid(
            "report",
            f"at most {MAX_REPORT_CHARS} characters, got {len(report)}; send the sections that "
            "speak of the images",
        )
    found = tuple(
        ReportSentence(_composed(sentence.text), sentence.section)
        for section, text in _sections(_visible(report))
        for sentence in report_sentences(_visible(text), section=section)
    )
    if not found:
        raise invalid("report", "it holds no sentence")
    if len(found) > MAX_SENTENCES:
        raise invalid(
            "report",
            f"at most {MAX_SENTENCES} sentences, got {len(found)}; send the findings or the "
            "impression alone, or the report in parts",
        )
    if all(is_too_long(sentence) for sentence in found):
        raise invalid(
            "report",
            f"at most {MAX_CHARS} characters a sentence, and it holds none so short; end each with "
            "a full stop or its line",
        )
    return found


def is_too_long(sentence: ReportSentence) -> bool:
    """Whether a model is not asked for it."""
    return len(sentence.text) > MAX_CHARS


def _visible(text: str) -> str:
    return "".join(one for one in text if unicodedata.category(one) not in UNSEEN)


def _composed(text: str) -> str:
    """NFC of what may be short enough: its time grows with the square of a run of accents."""
    return unicodedata.normalize("NFC", text) if len(text) <= 2 * MAX_CHARS else text


def _sections(report: str) -> list[tuple[str | None, str]]:
    """A text that begins with a brace and is no JSON object is a text all the same."""
    sections = _json_object(report)
    if sections is None:
        return [(None, report)]
    if not set(sections) <= set(SECTIONS) or not all(
        isinstance(text, str) for text in sections.values()
    ):
        raise invalid("report", AS_JSON)
    return [(name, sections[name]) for name in SECTIONS if name in sections]


def _json_object(report: str) -> dict[str, Any] | None:
    if not report.lstrip().startswith("{"):
        return None
    try:
        read = json.loads(report)
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None
