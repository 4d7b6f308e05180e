"""Facts of images and claims of captions: which is true of which, and what nobody knows."""

import numpy as np
import pytest

from training.data.breast_facts import joined, mirrored
from training.data.facts import (
    ABSENT,
    PRESENCE,
    PRESENT,
    UNKNOWN,
    UNSTATED,
    Attribute,
    contradiction,
    crop_facts,
    facts_of,
    merged_claims,
    no_claims,
    truth,
    word,
)
from training.data.records import Category, Density, Finding, ImageRecord

MASS = Finding(
    (Category.MASS,),
    attributes={
        "shape": "irregular",
        "margin": "ill-defined",
        "quadrant": "upper outer",
        "depth": "anterior",
    },
)


def image(
    *findings: Finding,
    annotated: frozenset[Category] = frozenset(Category),
    malignancy: bool | None = None,
    density: Density | None = None,
) -> ImageRecord:
    return ImageRecord(
        source="vindr",
        patient="p",
        study="s",
        image="i",
        laterality="R",
        view="CC",
        path="i.dcm",
        density=density,
        findings=findings,
        annotated=annotated,
        labels={} if malignancy is None else {"malignancy": malignancy},
    )


def test_every_category_has_its_column_in_order() -> None:
    assert [PRESENCE[category] for category in Category] == list(Attribute)[:10]


def test_what_nobody_looked_for_is_unknown_and_not_absent() -> None:
    facts = facts_of(image(annotated=frozenset({Category.MASS})))
    assert facts[Attribute.MASS] == facts[Attribute.MASS_MARGIN] == ABSENT
    assert facts[Attribute.CALCIFICATION] == facts[Attribute.CALC_MORPHOLOGY] == UNKNOWN
    assert facts[Attribute.DENSITY] == facts[Attribute.MALIGNANCY] == UNKNOWN


def test_words_of_a_finding_become_numbers_and_words_again() -> None:
    facts = facts_of(image(MASS, density=Density.C, malignancy=True))
    said = {column.name: word(facts, column) for column in Attribute if column >= 13}
    assert {name: text for name, text in said.items() if text} == {
        "MASS_SHAPE": "irregular",
        "MASS_MARGIN": "indistinct",
        "MASS_VERTICAL": "upper",
        "MASS_LATERAL": "outer",
        "MASS_DEPTH": "anterior",
    }
    assert facts[Attribute.MASS_DENSITY] == UNKNOWN
    assert facts[Attribute.DISTORTION_DEPTH] == ABSENT
    assert (facts[Attribute.DENSITY], facts[Attribute.SIDE]) == (2, 1)


def test_two_masses_that_differ_leave_unknown_what_they_differ_in() -> None:
    other = Finding((Category.MASS,), attributes={"shape": "oval", "quadrant": "upper inner"})
    facts = facts_of(image(MASS, other))
    assert facts[Attribute.MASS] == PRESENT
    assert facts[Attribute.MASS_SHAPE] == facts[Attribute.MASS_LATERAL] == UNKNOWN
    assert word(facts, Attribute.MASS_VERTICAL) == "upper"


def test_the_three_asymmetries_share_their_place() -> None:
    focal = Finding((Category.FOCAL_ASYMMETRY,), attributes={"quadrant": "lower inner"})
    facts = facts_of(image(focal))
    assert facts[Attribute.ASYMMETRY] == ABSENT
    assert word(facts, Attribute.ASYMMETRY_VERTICAL) == "lower"


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"margin": "fuzzy"}, "vindr image i: MASS_MARGIN: expected one of circ.* got 'fuzzy'"),
        ({"quadrant": "northern"}, r"vindr image i: quadrant of Mass: .* got \['northern'\]"),
    ],
)
def test_a_word_outside_the_lists_is_refused(attributes: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        facts_of(image(Finding((Category.MASS,), attributes=attributes)))


def test_a_crop_has_no_more_than_it_shows() -> None:
    node = Finding((Category.LYMPH_NODE,))
    facts = facts_of(image(MASS, node, malignancy=True))
    crop = crop_facts(facts, {Category.LYMPH_NODE})
    assert crop[Attribute.LYMPH_NODE] == PRESENT
    assert crop[Attribute.MASS] == crop[Attribute.MASS_SHAPE] == crop[Attribute.MASS_DEPTH] == 0
    assert crop[Attribute.MALIGNANCY] == UNKNOWN
    whole = crop_facts(facts, {Category.LYMPH_NODE, Category.MASS})
    np.testing.assert_array_equal(whole, facts)


def test_a_caption_is_true_false_or_undecided() -> None:
    looked = facts_of(image())
    sick = facts_of(image(MASS))
    not_looked = facts_of(image(annotated=frozenset()))
    no_mass, silent = no_claims(), no_claims()
    no_mass[Attribute.MASS] = ABSENT
    images, captions = np.stack([looked, sick, not_looked]), np.stack([no_mass, silent])
    np.testing.assert_array_equal(truth(images, captions), [[1, 1], [0, 1], [0, 1]])
    np.testing.assert_array_equal(contradiction(images, captions), [[0, 0], [1, 0], [0, 0]])


def test_sentences_claim_together_what_each_claims() -> None:
    one, other = no_claims(), no_claims()
    one[Attribute.MASS], other[Attribute.DENSITY] = ABSENT, 2
    merged = merged_claims([one, other])
    assert merged[Attribute.MASS] == ABSENT
    assert merged[Attribute.DENSITY] == 2
    assert (merged == UNSTATED).sum() == len(Attribute) - 2
    assert (merged_claims([]) == UNSTATED).all()


def test_a_mirrored_image_shows_the_other_side_and_half() -> None:
    facts = facts_of(image(MASS))
    seen = mirrored(facts, sides=True, outer=True, upper=False)
    assert seen[Attribute.SIDE] == 0
    assert word(seen, Attribute.MASS_LATERAL) == "inner"
    assert word(seen, Attribute.MASS_VERTICAL) == "upper"
    assert word(mirrored(facts, sides=False, outer=False, upper=True), Attribute.MASS_VERTICAL) == (
        "lower"
    )
    back = mirrored(seen, sides=True, outer=True, upper=False)
    np.testing.assert_array_equal(back, facts)


def test_two_views_make_a_breast() -> None:
    with_mass, without = image(MASS, density=Density.B), image()
    both = joined(facts_of(with_mass), facts_of(without))
    np.testing.assert_array_equal(both, facts_of(with_mass))
    not_looked = facts_of(image(annotated=frozenset()))
    assert joined(facts_of(without), not_looked)[Attribute.MASS] == UNKNOWN
    oval = Finding((Category.MASS,), attributes={**MASS.attributes, "shape": "oval"})
    differ = joined(facts_of(with_mass), facts_of(image(oval)))
    assert differ[Attribute.MASS_SHAPE] == UNKNOWN
    assert word(differ, Attribute.MASS_DEPTH) == "anterior"
