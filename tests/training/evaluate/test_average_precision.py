"""Average precision by hand, and against pycocotools through torchmetrics."""

import numpy as np
import pytest

from training.evaluate.average_precision import (
    Found,
    ap_statistic,
    match,
    overlaps,
    recall_statistic,
)
from training.evaluate.detect import mean_average_precision


def found(boxes: list[list[float]], scores: list[float], truths: list[list[float]]) -> Found:
    return Found(
        np.array(boxes, float).reshape(-1, 4),
        np.array(scores, float),
        np.array(truths, float).reshape(-1, 4),
    )


def drawn(images: int, seed: int = 1) -> list[Found]:
    """Truths and detections that hit some of them, with misses, doubles and empty images."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(images):
        corners = rng.uniform(0, 200, (rng.integers(0, 4), 2))
        truths = np.hstack([corners, corners + rng.uniform(20, 60, corners.shape)])
        kept = truths[rng.random(len(truths)) < 0.8]
        near = np.repeat(kept, 2, axis=0) + rng.normal(0, 5, (2 * len(kept), 4))
        corners = rng.uniform(0, 200, (rng.integers(0, 5), 2))
        wrong = np.hstack([corners, corners + rng.uniform(20, 60, corners.shape)])
        boxes = np.vstack([near, wrong])
        made.append(Found(boxes, rng.random(len(boxes)), truths))
    return made


def test_overlap_of_two_squares_by_hand() -> None:
    """Ten by ten and ten by ten, five of the columns shared: 50 / 150."""
    assert overlaps([[0, 0, 10, 10]], [[0, 5, 10, 15]])[0, 0] == pytest.approx(1 / 3)
    assert overlaps([[0, 0, 10, 10]], [[10, 0, 20, 10]])[0, 0] == 0
    assert overlaps([[0, 0, 0, 0]], [[0, 0, 0, 0]])[0, 0] == 0


def test_average_precision_by_hand() -> None:
    """Hit, miss, hit of two lesions: precision 1 up to recall 1/2, beyond it 2/3."""
    square, other, nowhere = [0, 0, 10, 10], [50, 50, 60, 60], [90, 90, 99, 99]
    one = found([square, nowhere, other], [0.9, 0.8, 0.7], [square, other])
    value = ap_statistic(match([one]))(np.ones((1, 1)))[0]
    assert value == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_a_second_detection_of_a_lesion_is_a_miss() -> None:
    square = [0, 0, 10, 10]
    matched = match([found([square, square], [0.9, 0.8], [square])])
    assert matched.hits.tolist() == [True, False]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_is_what_torchmetrics_and_pycocotools_say(seed: int) -> None:
    given = drawn(25, seed)
    ours = ap_statistic(match(given))(np.ones((1, 25)))[0]
    assert ours == pytest.approx(mean_average_precision(given), abs=1e-6)
    assert 0.2 < ours < 0.9


def test_an_image_drawn_twice_counts_as_two_images() -> None:
    given = drawn(8, seed=5)
    weights = np.array([2.0, 0, 1, 3, 0, 1, 1, 2])
    again = [one for one, times in zip(given, weights, strict=True) for _ in range(int(times))]
    assert ap_statistic(match(given))(weights[None])[0] == pytest.approx(
        ap_statistic(match(again))(np.ones((1, len(again))))[0]
    )
    assert recall_statistic(match(given))(weights[None])[0] == pytest.approx(
        recall_statistic(match(again))(np.ones((1, len(again))))[0]
    )


def test_healthy_images_with_detections_lower_it() -> None:
    square = [0, 0, 10, 10]
    sick = found([square], [0.5], [square])
    healthy = found([square], [0.9], [])
    assert ap_statistic(match([sick]))(np.ones((1, 1)))[0] == pytest.approx(1)
    assert ap_statistic(match([sick, healthy]))(np.ones((1, 2)))[0] == pytest.approx(0.5)


def test_without_a_lesion_there_is_no_figure() -> None:
    matched = match([found([[0, 0, 1, 1]], [0.5], [])])
    assert np.isnan(ap_statistic(matched)(np.ones((1, 1)))[0])
    assert np.isnan(recall_statistic(matched)(np.ones((1, 1)))[0])


def test_nothing_detected_is_nought() -> None:
    matched = match([found([], [], [[0, 0, 1, 1]])])
    assert ap_statistic(matched)(np.ones((1, 1)))[0] == 0
    assert recall_statistic(matched)(np.ones((1, 1)))[0] == 0
