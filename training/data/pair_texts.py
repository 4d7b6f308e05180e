"""Texts of a breast for Mammo-CLIP: a site's own report, or sentences made of labels.

Knows nothing of images or batches.
"""

from collections.abc import Sequence
from enum import StrEnum, unique

import numpy as np

from training.data.captioning import (
    Caption,
    draw_captions,
    report_caption,
    shuffle_sentences,
)
from training.data.facts import Facts, no_claims
from training.data.mirrored_text import mirrored_text
from training.data.records import Report

AUGMENTED_SHARE = 0.5  # of texts that are the site's back-translation where it has one
REPORT_SHARE = 0.7  # of templated texts that are a whole report, the others one sentence


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
    of each are shuffled. `mirror` makes them true of mirrored images. Raises ValueError for an
    empty report, and for one to be mirrored that `can_mirror` says cannot be.
    """
    sections = sections_of(report)
    if not sections:
        raise ValueError("expected a report with at least one sentence, got none")
    if mirror and not can_mirror(report):
        raise ValueError("expected a report whose sides can be mirrored; ask can_mirror first")
    order = [sections[int(index)] for index in rng.permutation(len(sections))]
    chosen = (order * 2)[:2]
    texts: list[Caption] = []
    for section in chosen:
        if report.text_augment and rng.random() < AUGMENTED_SHARE:
            section = report.text_augment
        said = _mirrored(section) if mirror else section
        texts.append(Caption(" ".join(shuffle_sentences(rng, said)), no_claims()))
    return texts[0], texts[1]


def sections_of(report: Report) -> list[tuple[str, ...]]:
    """Findings and impression, those of them that say something."""
    return [section for section in (report.findings, report.impression) if section]


def can_mirror(report: Report) -> bool:
    """Whether every sentence that may be drawn can be made true of the mirrored images."""
    sentences = (*report.findings, *report.impression, *report.text_augment)
    return all(mirrored_text(sentence) is not None for sentence in sentences)


def _mirrored(sentences: Sequence[str]) -> tuple[str, ...]:
    found = [mirrored_text(sentence) for sentence in sentences]
    return tuple(sentence for sentence in found if sentence is not None)


def label_text(rng: np.random.Generator, facts: Facts) -> Caption:
    """A templated report or one sentence; of an image of which nothing is known, no claim."""
    if rng.random() < REPORT_SHARE:
        caption = report_caption(rng, facts, local=False)
        if caption.text:
            return caption
    drawn = draw_captions(rng, facts, local=False, count=1)
    return drawn[0] if drawn else Caption("mammogram", no_claims())
