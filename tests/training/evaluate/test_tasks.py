"""Subsets of patients that are learned from, and what cannot be measured."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.evaluate.canvases import make_canvases
from training.data.canvas_set import CanvasSet
from training.data.records import ImageRecord, Split
from training.evaluate.tasks import (
    NothingToMeasure,
    Part,
    limited,
    make_task,
    nested_subset,
)


@pytest.fixture(scope="module")
def canvases(tmp_path_factory: pytest.TempPathFactory) -> CanvasSet:
    return make_canvases(tmp_path_factory.mktemp("canvases"), patients=40)


def part(images: int = 60, patients: int = 20) -> Part:
    rows = np.arange(images)
    return Part(rows, rows // patients % 2, np.array([f"p{row % patients}" for row in rows]))


def test_a_task_holds_every_known_image_in_its_own_split(canvases: CanvasSet) -> None:
    task = make_task(canvases, "mass")
    for split, images in ((Split.TRAIN, 80), (Split.VALIDATION, 40), (Split.TEST, 40)):
        given = task.parts[split]
        assert len(given) == images
        for row, has_mass in zip(given.rows, given.classes, strict=True):
            record = canvases.records[row].image
            assert record.split is split
            assert bool(record.findings) == bool(has_mass)
    assert make_task(canvases, "density").outputs == 4


def test_a_smaller_share_of_the_patients_lies_within_a_larger_one() -> None:
    kept = [
        set(nested_subset(part(), share, rng=np.random.default_rng(3)).patients.tolist())
        for share in (0.1, 0.5, 1.0)
    ]
    assert [len(patients) for patients in kept] == [2, 10, 20]
    assert kept[0] < kept[1] < kept[2]


def test_a_patient_is_taken_with_all_her_images_or_not_at_all() -> None:
    chosen = nested_subset(part(), 0.3, rng=np.random.default_rng(1))
    assert len(chosen) == 3 * 6
    assert (np.unique(chosen.patients, return_counts=True)[1] == 3).all()


def test_another_draw_takes_others() -> None:
    first, second = (
        set(nested_subset(part(), 0.5, rng=np.random.default_rng(seed)).patients.tolist())
        for seed in (1, 2)
    )
    assert first != second


def test_the_order_of_the_images_does_not_change_who_is_drawn() -> None:
    given = part()
    turned = given.of(np.ones(60, bool))
    order = np.random.default_rng(9).permutation(60)
    turned = Part(given.rows[order], given.classes[order], given.patients[order])
    chosen = [
        set(nested_subset(one, 0.3, rng=np.random.default_rng(1)).rows.tolist())
        for one in (given, turned)
    ]
    assert chosen[0] == chosen[1]


def test_a_share_of_one_class_is_told_with_its_size() -> None:
    lonely = Part(np.arange(4), np.array([0, 0, 0, 1]), np.array(["a", "a", "b", "c"]))
    with pytest.raises(NothingToMeasure, match=r"10% of the patients: \d images of one class"):
        nested_subset(lonely, 0.1, rng=np.random.default_rng(0))


def test_a_limit_takes_whole_patients_and_one_at_least() -> None:
    assert len(limited(part(), 20, rng=np.random.default_rng(0))) == 18
    assert len(limited(part(), 1, rng=np.random.default_rng(0))) == 3
    assert len(limited(part(), None, rng=np.random.default_rng(0))) == 60


def test_what_nobody_looked_for_cannot_be_measured(canvases: CanvasSet) -> None:
    with pytest.raises(NothingToMeasure, match="nothing is known of skin thickening"):
        make_task(canvases, "skin thickening")


def test_a_split_of_one_class_cannot_be_measured(canvases: CanvasSet) -> None:
    with pytest.raises(NothingToMeasure, match="80 images of the train split, all of one class"):
        make_task(canvases, "suspicious calcification")


def test_an_empty_split_cannot_be_measured(tmp_path: Path) -> None:
    def without_validation(image: ImageRecord, _: int) -> ImageRecord:
        return image if image.split is not Split.VALIDATION else replace(image, split=Split.TEST)

    canvases = make_canvases(tmp_path / "set", patients=8, change=without_validation)
    with pytest.raises(NothingToMeasure, match="the validation split is empty"):
        make_task(canvases, "mass")
