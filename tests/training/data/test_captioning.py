"""Captions: the same for the same generator, and true of what they were drawn for."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

from model_store.prompts import read_prompt_set
from training.data.captioning import (
    Caption,
    draw_captions,
    is_normal,
    normal_caption,
    report_caption,
    report_of,
    shuffle_sentences,
)
from training.data.facts import (
    DISTRIBUTIONS,
    PRESENCE,
    PRESENT,
    SHAPES,
    UNKNOWN,
    UNSTATED,
    Attribute,
    Facts,
    truth,
)
from training.data.finding_captions import can_be_told, told_caption
from training.data.records import Category, Density
from training.data.sentences import (
    DENSITY_SENTENCES,
    DETAIL_WORDS,
    MALIGNANT,
    NORMAL,
    NOT_MALIGNANT,
)
from training.evaluate.density import SENTENCES


def facts_with(*present: Category, unknown: tuple[Category, ...] = ()) -> Facts:
    """A right breast of density C; places and kinds are the first word of each list but two."""
    facts = np.zeros(len(Attribute), np.int8)
    if present:
        facts[Attribute.MASS_SHAPE :] = 1
        facts[Attribute.MASS_SHAPE] = 1 + SHAPES.index("irregular")
        facts[Attribute.CALC_DISTRIBUTION] = 1 + DISTRIBUTIONS.index("grouped")
    for category in present:
        facts[PRESENCE[category]] = PRESENT
    for category in unknown:
        facts[PRESENCE[category]] = UNKNOWN
    facts[Attribute.DENSITY], facts[Attribute.SIDE] = 2, 1
    facts[Attribute.MALIGNANCY] = bool(present)
    return facts


SICK = facts_with(*Category)
HEALTHY = facts_with()
BLANK = np.full(len(Attribute), UNKNOWN, np.int8)

DRAW = """
import numpy as np
from training.data.captioning import draw_captions, report_of
facts = np.ones(30, np.int8)
rng = np.random.default_rng(5)
for _ in range(40):
    print([caption.text for caption in draw_captions(rng, facts, local=False)])
    print(report_of(rng, facts))
"""


def captions(facts: Facts, *, local: bool, times: int = 400) -> list[Caption]:
    rng = np.random.default_rng(1)
    return [c for _ in range(times) for c in draw_captions(rng, facts, local=local)]


def told(facts: Facts, category: Category, *, local: bool, times: int = 300) -> list[Caption]:
    rng = np.random.default_rng(2)
    draw = told_caption
    return [draw(rng, facts, category=category, local=local) for _ in range(times)]


def test_captions_do_not_depend_on_the_hash_seed() -> None:
    drawn = [
        subprocess.run(
            [sys.executable, "-c", DRAW],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert drawn[0] == drawn[1] != b""


@pytest.mark.parametrize("facts", [SICK, HEALTHY], ids=["sick", "healthy"])
@pytest.mark.parametrize("local", [True, False])
def test_every_caption_is_true_of_its_image(facts: Facts, local: bool) -> None:
    for caption in captions(facts, local=local):
        assert truth(facts[None], caption.claims[None]).all(), caption.text
        assert (caption.claims != UNSTATED).any(), caption.text


@pytest.mark.parametrize("category", list(Category))
def test_presence_and_absence_share_no_sentence(category: Category) -> None:
    there = {caption.text for caption in told(facts_with(category), category, local=True)}
    gone = {caption.text for caption in told(HEALTHY, category, local=True)}
    assert not there & gone
    assert min(len(there), len(gone)) >= 15


@pytest.mark.parametrize("finding", read_prompt_set("phantom").findings, ids=lambda f: f.name)
def test_what_zero_shot_asks_was_drawn_as_a_caption(finding: object) -> None:
    (prompts,) = [f for f in read_prompt_set("phantom").findings if f == finding]
    category = next(c for c in Category if c.value.lower() == prompts.name)
    there = {c.text for c in told(facts_with(category), category, local=True, times=8000)}
    gone = {c.text for c in told(HEALTHY, category, local=True, times=4000)}
    assert set(prompts.positive) <= there
    assert set(prompts.negative) <= gone


def test_the_other_prompts_are_in_the_tables_too() -> None:
    assert set(read_prompt_set("phantom").default_negative) <= set(NORMAL)
    assert {"malignancy", "no malignancy"} <= {*MALIGNANT, *NOT_MALIGNANT}
    for density in Density:
        assert set(SENTENCES[density]) <= set(DENSITY_SENTENCES[density])


def test_no_word_stands_for_two_values() -> None:
    for column, words in DETAIL_WORDS.items():
        texts = [text for synonyms in words.values() for text in set(synonyms)]
        assert len(texts) == len(set(texts)), column.name
    densities = [text for texts in DENSITY_SENTENCES.values() for text in texts]
    assert len(densities) == len(set(densities))


def test_the_sentence_of_the_paper_for_localisation_can_be_drawn() -> None:
    texts = {c.text for c in told(SICK, Category.MASS, local=False, times=20_000)}
    assert "there is an irregular mass in the upper right breast at anterior depth" in texts
    plain = SICK.copy()
    plain[Attribute.MASS_SHAPE : Attribute.MASS_DENSITY + 1] = UNKNOWN
    likely = "suspicious|possible|questioned|questionable|indeterminate"
    paper = rf"there is an? ({likely}) mass in the (upper|outer) right breast at anterior depth"
    told_of_it = told(plain, Category.MASS, local=False, times=20_000)
    assert any(re.fullmatch(paper, caption.text) for caption in told_of_it)


def test_a_crop_names_neither_side_nor_place_nor_density() -> None:
    for caption in captions(SICK, local=True) + captions(HEALTHY, local=True):
        for text in (" left", " right", "upper", "lower", "depth", "dense", "fatty"):
            assert text not in caption.text


def test_a_caption_claims_what_it_says_and_no_more() -> None:
    for caption in told(SICK, Category.MASS, local=False):
        claims, text = caption.claims, caption.text
        assert (claims[Attribute.SIDE] == 1) == ("right" in text)
        assert (claims[Attribute.MASS_VERTICAL] == 1) == ("upper" in text)
        assert (claims[Attribute.MASS_LATERAL] == 1) == ("outer" in text)
        assert (claims[Attribute.MASS_DEPTH] == 1) == ("anterior" in text)
        assert (claims[Attribute.MASS_SHAPE] == 4) == ("irregular" in text)
        assert claims[Attribute.CALCIFICATION] == claims[Attribute.DENSITY] == UNSTATED


def test_nothing_is_said_of_what_nobody_knows() -> None:
    assert draw_captions(np.random.default_rng(0), BLANK, local=False) == []
    assert report_caption(np.random.default_rng(0), BLANK, local=False).text == ""
    facts = facts_with(unknown=(Category.MASS, Category.LYMPH_NODE))
    for caption in captions(facts, local=False):
        assert caption.claims[Attribute.MASS] == UNSTATED
        assert not is_normal(facts)
    assert not can_be_told(facts, Category.MASS)


def test_a_side_that_nobody_knows_is_not_named() -> None:
    facts = SICK.copy()
    facts[Attribute.SIDE] = UNKNOWN
    texts = [c.text for c in told(facts, Category.MASS, local=False)]
    assert not [text for text in texts if "left" in text or "right" in text]
    assert [text for text in texts if "upper" in text]


def test_no_asymmetry_means_none_of_the_three() -> None:
    focal = facts_with(Category.FOCAL_ASYMMETRY)
    no_asymmetry = told(HEALTHY, Category.ASYMMETRY, local=True)
    assert not truth(focal[None], np.stack([c.claims for c in no_asymmetry])).any()
    assert not can_be_told(focal, Category.ASYMMETRY)


def test_normal_is_true_of_every_normal_image_and_of_no_other() -> None:
    caption = normal_caption(np.random.default_rng(0), HEALTHY)
    others = [facts_with(category) for category in Category]
    assert truth(HEALTHY[None], caption.claims[None]).all()
    assert not truth(np.stack(others), caption.claims[None]).any()


def test_findings_that_are_there_are_told_more_often_than_what_is_not() -> None:
    drawn = captions(facts_with(Category.SKIN_THICKENING), local=True)
    thickened = sum(c.claims[Attribute.SKIN_THICKENING] == 1 for c in drawn)
    no_retraction = sum(c.claims[Attribute.SKIN_RETRACTION] == 0 for c in drawn)
    assert thickened > 2 * no_retraction


def test_a_report_tells_every_finding_in_sentences() -> None:
    rng = np.random.default_rng(3)
    facts = facts_with(Category.MASS, Category.NIPPLE_RETRACTION)
    for _ in range(20):
        report = report_of(rng, facts)
        for section in (report.findings, report.impression):
            text = " ".join(section).lower()
            assert "mass" in text
            assert "nipple" in text
            assert all(s[0].isupper() and s.endswith(".") and s[-2] != "." for s in section)


def test_the_sentences_of_a_report_come_in_any_order() -> None:
    rng = np.random.default_rng(4)
    facts = facts_with(Category.MASS, Category.CALCIFICATION)
    firsts = [report_caption(rng, facts, local=True).text.split(". ")[0] for _ in range(60)]
    assert {"mass" in first for first in firsts} == {True, False}


def test_a_shuffle_changes_the_order_and_loses_nothing() -> None:
    # The reference's loop assigns to its own variable and changes nothing.
    sentences = ("one.", "two.", "three.", "four.")
    rng = np.random.default_rng(5)
    orders = {shuffle_sentences(rng, sentences) for _ in range(300)}
    assert len(orders) == 24
    assert all(sorted(order) == sorted(sentences) for order in orders)
