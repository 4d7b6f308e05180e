"""Texts of a breast for Mammo-CLIP: a site's own report, or sentences made of labels.

Knows nothing of images or batches.
"""

import re
from enum import StrEnum, unique

import numpy as np

from training.data.captioning import (
    Caption,
    draw_captions,
    report_caption,
    shuffle_sentences,
)
from training.data.facts import Facts, no_claims
from training.data.records import Report

AUGMENTED_SHARE = 0.5  # of texts that are the site's back-translation where it has one
REPORT_SHARE = 0.7  # of templated texts that are a whole report, the others one sentence
SIDE_WORDS = {"left": "right", "right": "left"}


@unique
class Texts(StrEnum):
    """Where an image's texts come from."""

    REPORTS = "reports"
    LABELS = "labels"


def report_texts(
    rng: np.random.Generator, report: Report, *, mirror: bool
) -> tuple[Caption, Caption]:
    """Two texts of a report: its two sections in either order, or its one section twice.

    Half of the time the site's back-translation stands for a text, if there is one. The sentences
    of each are shuffled. `mirror` swaps left and right. Raises ValueError for an empty report.
    """
    sections = sections_of(report)
    if not sections:
        raise ValueError("expected a report with at least one sentence, got none")
    order = [sections[int(index)] for index in rng.permutation(len(sections))]
    chosen = (order * 2)[:2]
    texts: list[Caption] = []
    for section in chosen:
        if report.text_augment and rng.random() < AUGMENTED_SHARE:
            section = report.text_augment
        text = " ".join(shuffle_sentences(rng, section))
        texts.append(Caption(mirrored_text(text) if mirror else text, no_claims()))
    return texts[0], texts[1]


def sections_of(report: Report) -> list[tuple[str, ...]]:
    """Findings and impression, those of them that say something."""
    return [section for section in (report.findings, report.impression) if section]


def mirrored_text(text: str) -> str:
    """The text with left and right swapped, as an image flipped left to right needs it."""
    return re.sub(r"\b(left|right)\b", _other_side, text, flags=re.IGNORECASE)


def _other_side(match: re.Match[str]) -> str:
    said = match.group()
    other = SIDE_WORDS[said.lower()]
    if said.isupper():
        return other.upper()
    return other.capitalize() if said[0].isupper() else other


def label_text(rng: np.random.Generator, facts: Facts) -> Caption:
    """A templated report or one sentence; of an image of which nothing is known, no claim."""
    if rng.random() < REPORT_SHARE:
        caption = report_caption(rng, facts, local=False)
        if caption.text:
            return caption
    drawn = draw_captions(rng, facts, local=False, count=1)
    return drawn[0] if drawn else Caption("mammogram", no_claims())
