"""Pairs: two views of one breast, two texts that are true of it, the same for the same seed."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.data.canvas_sets import HEIGHT, WIDTH, image, write_canvases
from training.data.augment import AugmentRules
from training.data.canvas_set import CanvasSet
from training.data.facts import UNSTATED, Attribute, truth
from training.data.pair_texts import Texts, report_texts
from training.data.pairs import (
    BreastPairs,
    MixedPairs,
    collate_pairs,
    epoch_indices,
    nth_row,
    shares,
)
from training.data.records import Category, Density, Finding, Report

REPORT = Report(
    findings=("There is a mass in the left breast.", "The nipple is normal.", "Scattered."),
    impression=("Suspicious.", "Biopsy of the left breast."),
    text_augment=("A lump on the left.",),
)
MASS = Finding((Category.MASS,), attributes={"quadrant": "upper outer", "depth": "middle"})
ALL = frozenset(Category)


@pytest.fixture(scope="module")
def canvases(tmp_path_factory: pytest.TempPathFactory) -> CanvasSet:
    images = [
        image("a", "L", "CC", report=REPORT, annotated=ALL),
        image("a", "L", "MLO", report=REPORT, findings=(MASS,), annotated=ALL),
        image("b", "R", "CC", findings=(MASS,), annotated=ALL, density=Density.C),
        image("b", "R", "CC", findings=(MASS,), annotated=ALL, density=Density.C),
        image("b", "R", "MLO", findings=(MASS,), annotated=ALL, density=Density.C),
        image("c", "L", "ML", annotated=ALL),
        image("d", "R", "LM"),
    ]
    return write_canvases(tmp_path_factory.mktemp("canvases"), images)


def pairs(
    canvases: CanvasSet, texts: Texts = Texts.LABELS, rules: AugmentRules | None = None
) -> BreastPairs:
    return BreastPairs(canvases, texts=texts, seed=[7], rules=rules)


def number(canvas: np.ndarray) -> int:  # type: ignore[type-arg]
    return 255 - int(canvas[0, 0])


def test_a_breast_gives_its_cc_and_its_mlo_view(canvases: CanvasSet) -> None:
    labels = pairs(canvases)
    assert len(labels) == 4
    drawn = {tuple(map(number, labels[1 + 4 * i].images)) for i in range(20)}
    assert drawn == {(2, 4), (3, 4)}


def test_a_lone_image_is_shown_twice_each_time_augmented_anew(canvases: CanvasSet) -> None:
    first, second = pairs(canvases)[2].images
    assert number(first) == number(second) == 5
    rules = AugmentRules(affine=1.0)
    first, second = pairs(canvases, rules=rules)[2].images
    assert (first != second).mean() > 0.5


def test_only_breasts_with_a_report_are_among_the_reports(canvases: CanvasSet) -> None:
    reports = pairs(canvases, Texts.REPORTS)
    assert len(reports) == 1
    item = reports[0]
    assert all((text.claims == UNSTATED).all() for text in item.texts)
    assert item.facts[Attribute.MASS] == 1


def test_a_set_without_a_report_is_refused(canvases: CanvasSet) -> None:
    rest = canvases.where(lambda record: record.patient != "a")
    with pytest.raises(ValueError, match="no breast with reports among 5"):
        pairs(rest, Texts.REPORTS)


def test_a_breast_has_what_either_view_shows(canvases: CanvasSet) -> None:
    facts = pairs(canvases)[0].facts
    assert facts[Attribute.MASS] == 1
    assert facts[Attribute.MASS_VERTICAL] == 1
    assert facts[Attribute.LYMPH_NODE] == 0


def test_texts_of_labels_stay_true_when_the_images_are_mirrored(canvases: CanvasSet) -> None:
    labels = pairs(canvases, rules=AugmentRules(affine=0, elastic=0))
    upright = canvases.canvas(canvases.records[4])
    sides = Counter[tuple[bool, bool, bool]]()
    for index in range(1, 400, 4):
        item = labels[index]
        for text in item.texts:
            assert truth(item.facts[None], text.claims[None]).all()
        mlo = item.images[1]
        columns = np.array_equal(mlo, upright[:, ::-1]) or np.array_equal(mlo, upright[::-1, ::-1])
        rows = np.array_equal(mlo, upright[::-1]) or np.array_equal(mlo, upright[::-1, ::-1])
        assert item.facts[Attribute.SIDE] == (0 if columns else 1)
        assert item.facts[Attribute.MASS_VERTICAL] == (2 if rows else 1)
        sides[columns, rows, bool(item.facts[Attribute.MASS_LATERAL] == 2)] += 1
    assert len(sides) == 8


def test_a_mirrored_breast_has_a_mirrored_report(canvases: CanvasSet) -> None:
    upright = np.load(canvases.folder / canvases.records[0].file)
    reports = pairs(canvases, Texts.REPORTS, AugmentRules(affine=0, elastic=0))
    seen = set()
    for index in range(60):
        item = reports[index]
        flipped = np.array_equal(item.images[0], upright[:, ::-1])
        assert flipped or np.array_equal(item.images[0], upright)
        said = {w for text in item.texts for w in re.findall("left|right", text.text)}
        assert said <= {"right" if flipped else "left"}
        seen.add(flipped)
    assert seen == {True, False}


def test_a_breast_whose_report_cannot_be_mirrored_is_not_flipped(tmp_path: Path) -> None:
    unclear = Report(("There is a mass in the left breast.", "Sent for RT at 2:30."))
    images = [image("a", "L", view, report=unclear, annotated=ALL) for view in ("CC", "MLO")]
    canvases = write_canvases(tmp_path, images)
    upright = np.load(canvases.folder / canvases.records[0].file)
    reports = pairs(canvases, Texts.REPORTS, AugmentRules(affine=0, elastic=0))
    for index in range(20):
        item = reports[index]
        np.testing.assert_array_equal(item.images[0], upright)
        assert item.facts[Attribute.SIDE] == 0
        assert "left breast" in item.texts[0].text
    with pytest.raises(ValueError, match="ask can_mirror first"):
        report_texts(np.random.default_rng(0), unclear, mirror=True)


def test_the_two_texts_are_the_two_sections_shuffled() -> None:
    rng = np.random.default_rng(0)
    plain = Report(REPORT.findings, REPORT.impression)
    first_is_findings = Counter[bool]()
    orders = set()
    for _ in range(100):
        one, other = (text.text for text in report_texts(rng, plain, mirror=False))
        findings, impression = (one, other) if "nipple" in one else (other, one)
        assert sorted(findings) == sorted(" ".join(REPORT.findings))
        assert sorted(impression) == sorted(" ".join(REPORT.impression))
        first_is_findings[findings is one] += 1
        orders.add(findings)
    assert len(orders) == 6
    assert 30 < first_is_findings[True] < 70


def test_half_of_the_texts_are_the_back_translation_where_there_is_one() -> None:
    rng = np.random.default_rng(0)
    texts = [t.text for _ in range(200) for t in report_texts(rng, REPORT, mirror=False)]
    assert 160 < texts.count("A lump on the left.") < 240


def test_one_section_serves_twice_and_none_is_refused() -> None:
    rng = np.random.default_rng(0)
    one, other = report_texts(rng, Report(impression=("Normal.",)), mirror=False)
    assert one.text == other.text == "Normal."
    with pytest.raises(ValueError, match="at least one sentence, got none"):
        report_texts(rng, Report(), mirror=False)


def test_of_an_unlabelled_image_only_the_side_is_told(canvases: CanvasSet) -> None:
    labels = pairs(canvases)
    texts = {text.text for i in range(3, 203, 4) for text in labels[i].texts}
    assert "right breast" in texts
    assert all("right" in text for text in texts)


def test_an_item_depends_on_the_seed_and_its_number_alone(canvases: CanvasSet) -> None:
    rules = AugmentRules()
    one, again = pairs(canvases, rules=rules), pairs(canvases, rules=rules)
    _ = [one[index] for index in range(4)]
    np.testing.assert_array_equal(one[5].images[0], again[5].images[0])
    assert [t.text for t in one[5].texts] == [t.text for t in again[5].texts]
    assert not np.array_equal(one[5].images[0], one[9].images[0])


def test_a_batch_holds_images_texts_and_claims(canvases: CanvasSet) -> None:
    labels = pairs(canvases, rules=AugmentRules())
    batch = collate_pairs([labels[0], labels[1], labels[2]])
    for images in (batch.images1, batch.images2):
        assert images.shape == (3, HEIGHT, WIDTH)
        assert images.dtype == torch.uint8
    assert len(batch.texts1) == len(batch.texts2) == 3
    for vector in (batch.facts, batch.claims1, batch.claims2):
        assert vector.shape == (3, len(Attribute))
        assert vector.dtype == np.int8


def test_sets_are_mixed_by_their_weights_and_gone_through_whole(canvases: CanvasSet) -> None:
    reports, labels = pairs(canvases, Texts.REPORTS), pairs(canvases)
    mixed = MixedPairs([reports, labels], weights=[1, 2], length=6, seed=[1])
    items = [mixed[index] for index in range(12)]
    free = [bool((item.texts[0].claims == UNSTATED).all()) for item in items]
    labelled = [number(i.images[1]) for i, is_free in zip(items, free, strict=True) if not is_free]
    assert sum(free[:6]) == sum(free[6:]) == 2
    assert Counter(labelled) == {1: 2, 4: 2, 5: 2, 6: 2}
    again = MixedPairs([reports, labels], weights=[1, 2], length=6, seed=[1])
    assert [i.texts[0].text for i in items] == [again[n].texts[0].text for n in range(12)]


def test_shares_add_up_and_bad_weights_are_refused(canvases: CanvasSet) -> None:
    assert shares([1, 1, 1], 10) == (3, 4, 3)
    with pytest.raises(ValueError, match="a weight above 0 for each of 1 sets"):
        MixedPairs([pairs(canvases)], weights=[0], length=4, seed=[1])


def test_rows_come_once_a_turn_in_another_order_each() -> None:
    turns = [[nth_row(use, 9, seed=(1,)) for use in range(t * 9, t * 9 + 9)] for t in range(2)]
    assert sorted(turns[0]) == sorted(turns[1]) == list(range(9))
    assert turns[0] != turns[1]


def test_ranks_share_an_epoch_and_epochs_share_nothing() -> None:
    parts = [epoch_indices(11, epoch=2, seed=[1], rank=rank, ranks=2) for rank in (0, 1)]
    assert [len(part) for part in parts] == [5, 5]
    assert len({*parts[0], *parts[1]}) == 10
    assert set(parts[0] + parts[1]) <= set(range(22, 33))
