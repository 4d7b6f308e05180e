"""Figures against ones that can be counted by hand."""

import numpy as np
import pytest

from training.evaluate.calibration import best_threshold, fit_platt
from training.evaluate.metrics import auc


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def test_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    labels, scores = [0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]
    assert auc(labels, scores, patients=range(4), rng=rng()).value == pytest.approx(3 / 4)


def test_the_interval_holds_the_value_and_is_wider_for_fewer_patients() -> None:
    drawn = np.random.default_rng(2)
    labels = drawn.random(400) < 0.4
    scores = labels + drawn.normal(0, 1.2, 400)
    many = auc(labels, scores, patients=np.arange(400), rng=rng())
    few = auc(labels, scores, patients=np.arange(400) // 40, rng=rng())
    assert many.low < many.value < many.high
    assert few.n == many.n == 400
    one_patient_ten_times = auc(
        np.tile(labels[:40], 10),
        np.tile(scores[:40], 10),
        patients=np.tile(np.arange(40), 10),
        rng=rng(),
    )
    assert one_patient_ten_times.high - one_patient_ten_times.low > 2 * (many.high - many.low)


def test_auc_of_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="all labels are the same"):
        auc([1, 1], [0.1, 0.2], patients=[0, 1], rng=rng())


def test_platt_finds_the_parameters_the_labels_were_drawn_by() -> None:
    drawn = np.random.default_rng(3)
    logits = drawn.normal(0, 1, 20_000)
    labels = drawn.random(20_000) < 1 / (1 + np.exp(-(2.0 * logits - 0.7)))
    fitted = fit_platt(labels, 1 / (1 + np.exp(-logits)))
    assert fitted.slope == pytest.approx(2.0, abs=0.1)
    assert fitted.intercept == pytest.approx(-0.7, abs=0.1)


def test_separable_scores_do_not_make_a_probability_of_one() -> None:
    fitted = fit_platt([0] * 20 + [1] * 20, [0.2] * 20 + [0.8] * 20)
    assert fitted.apply(0.8) == pytest.approx(21 / 22, abs=1e-3)  # Platt's own target
    assert fitted.apply(0.2) == pytest.approx(1 / 22, abs=1e-3)


def test_scores_that_fall_with_the_finding_are_refused() -> None:
    with pytest.raises(ValueError, match="train longer"):
        fit_platt([1] * 20 + [0] * 20, [0.2] * 20 + [0.8] * 20)


def test_the_threshold_stands_between_the_classes() -> None:
    labels = [0, 0, 0, 1, 1, 1]
    assert best_threshold(labels, [0.1, 0.2, 0.3, 0.7, 0.8, 0.9]) == pytest.approx(0.5)
