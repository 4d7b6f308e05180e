"""Captions: the same for the same generator, and true of what they were drawn for."""

import subprocess
import sys

import numpy as np
import pytest

from training.data.captions import (
    UNSTATED,
    Attribute,
    Facts,
    calcification_caption,
    crop_facts,
    draw_captions,
    facts_of,
    mass_caption,
    report,
    truth,
)
from training.data.phantom import PhantomRules, make_study, study_generator

SICK = np.array([1, 1, 2, 1, 4, 2, 1], np.int8)
HEALTHY = np.array([0, 0, 0, 0, 0, 1, 0], np.int8)

DRAW = """
import numpy as np
from training.data.captions import draw_captions
rng = np.random.default_rng(5)
facts = np.array([1, 1, 2, 1, 4, 2, 1], np.int8)
for _ in range(20):
    print([caption.text for caption in draw_captions(rng, facts, local=False)])
"""


def texts(facts: Facts, *, local: bool, times: int = 200) -> list[str]:
    rng = np.random.default_rng(1)
    return [c.text for _ in range(times) for c in draw_captions(rng, facts, local=local)]


def test_captions_do_not_depend_on_the_hash_seed() -> None:
    drawn = [
        subprocess.run(
            [sys.executable, "-c", DRAW],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert drawn[0] == drawn[1] != b""


@pytest.mark.parametrize("facts", [SICK, HEALTHY], ids=["sick", "healthy"])
@pytest.mark.parametrize("local", [True, False])
def test_every_caption_is_true_of_its_image(facts: Facts, local: bool) -> None:
    rng = np.random.default_rng(2)
    for _ in range(200):
        for caption in draw_captions(rng, facts, local=local):
            assert truth(facts[None], caption.claims[None]).all(), caption.text


def test_sick_and_healthy_share_no_caption_about_a_finding() -> None:
    rng = np.random.default_rng(3)
    for draw in (mass_caption, calcification_caption):
        sick = {draw(rng, SICK, local=True).text for _ in range(300)}
        healthy = {draw(rng, HEALTHY, local=True).text for _ in range(300)}
        assert not sick & healthy


def test_a_caption_of_a_crop_names_no_place_and_no_density() -> None:
    for text in texts(SICK, local=True):
        for word in ("left", "right", "upper", "lower", "dense", "density", "fatty"):
            assert word not in text


def test_the_place_of_a_lesion_is_named_as_a_report_would() -> None:
    assert any("in the upper outer right breast" in text for text in texts(SICK, local=False))
    assert any("in the lower inner right breast" in text for text in texts(SICK, local=False))


def test_a_caption_claims_only_what_it_says() -> None:
    rng = np.random.default_rng(4)
    for _ in range(100):
        caption = mass_caption(rng, SICK, local=False)
        assert caption.claims[Attribute.CALCIFICATION] == UNSTATED
        assert caption.claims[Attribute.DENSITY] == UNSTATED
        said_side = "right" in caption.text
        assert (caption.claims[Attribute.SIDE] == 1) == said_side
        said_margin = "spiculated" in caption.text or "stellate" in caption.text
        assert (caption.claims[Attribute.MARGIN] == 2) == said_margin


def test_the_truth_table_knows_captions_of_other_images_that_are_true_too() -> None:
    rng = np.random.default_rng(5)
    facts = np.stack([SICK, HEALTHY, HEALTHY])
    captions = [mass_caption(rng, one, local=True) for one in facts]
    table = truth(facts, np.stack([caption.claims for caption in captions]))
    np.testing.assert_array_equal(table, [[1, 0, 0], [0, 1, 1], [0, 1, 1]])


def test_the_sentences_of_a_report_come_in_any_order() -> None:
    rng = np.random.default_rng(6)
    first = [report(rng, SICK, local=True).text.split(". ")[0] for _ in range(60)]
    assert any("mass" in sentence for sentence in first)
    assert any("calcification" in sentence for sentence in first)


def test_a_crop_without_the_lesion_is_a_healthy_one() -> None:
    crop = crop_facts(SICK, mass=False, calcification=True)
    assert crop[Attribute.MASS] == crop[Attribute.MARGIN] == crop[Attribute.MASS_QUADRANT] == 0
    assert crop[Attribute.CALCIFICATION] == 1
    assert crop[Attribute.DENSITY] == SICK[Attribute.DENSITY]


def test_facts_are_those_of_the_breast() -> None:
    study = make_study(study_generator(1, 0), PhantomRules(1.0, 0.0))
    for number, breast in enumerate(study.breasts):
        facts = facts_of(breast)
        assert (facts[Attribute.MASS], facts[Attribute.CALCIFICATION]) == (1, 0)
        assert facts[Attribute.SIDE] == number
        assert 1 <= facts[Attribute.MASS_QUADRANT] <= 4
