"""A report as it came in a form -> its sentences. No message holds a word of it."""

import json

from model_store.sentences import ReportSentence, report_sentences
from service.errors import InvalidParameter
from service.heat_parameters import MAX_REPORT_CHARS
from service.parameters import invalid
from service.queue.heat import MAX_SENTENCES

SECTIONS = ("findings", "impression")
AS_JSON = 'as JSON it is {"findings": "...", "impression": "..."}, either of them or both'


def sentences_of(report: str) -> tuple[ReportSentence, ...]:
    """The sentences of a text, or of a JSON object with a text a section.

    Raises InvalidParameter where there are none, too many, or the report is too long.
    """
    if len(report) > MAX_REPORT_CHARS:
        raise invalid(
            "report",
            f"at most {MAX_REPORT_CHARS} characters, got {len(report)}; send the sections that "
            "speak of the images",
        )
    found = tuple(
        sentence
        for section, text in _sections(report)
        for sentence in report_sentences(text, section=section)
    )
    if not found:
        raise invalid("report", "it holds no sentence")
    if len(found) > MAX_SENTENCES:
        raise invalid(
            "report",
            f"at most {MAX_SENTENCES} sentences, got {len(found)}; send the findings or the "
            "impression alone, or the report in parts",
        )
    return found


def _sections(report: str) -> list[tuple[str | None, str]]:
    if not report.lstrip().startswith("{"):
        return [(None, report)]
    try:
        sections = json.loads(report)
    except (ValueError, RecursionError):
        raise _no_sections() from None
    known = isinstance(sections, dict) and set(sections) <= set(SECTIONS)
    if not known or not all(isinstance(text, str) for text in sections.values()):
        raise _no_sections()
    return [(name, sections[name]) for name in SECTIONS if name in sections]


def _no_sections() -> InvalidParameter:
    return invalid("report", AS_JSON)
