"""Figures against ones that can be counted by hand, and against sklearn."""

import numpy as np
import pytest
from numpy.typing import ArrayLike
from sklearn.metrics import roc_auc_score

from training.evaluate.metrics import (
    Interval,
    among,
    as_metric,
    auc_statistic,
    difference,
    ece_statistic,
    interval,
    mean_of,
    mean_statistic,
    metric_line,
)


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def seeds(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(count)]


def auc(labels: ArrayLike, scores: ArrayLike, patients: ArrayLike) -> Interval:
    return interval(auc_statistic(labels, scores), patients=patients, rng=rng())


def test_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    labels, scores = [0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]
    assert auc(labels, scores, patients=range(4)).value == pytest.approx(3 / 4)


def test_auc_of_weighted_cases_with_ties_is_sklearns() -> None:
    drawn = np.random.default_rng(4)
    labels, scores = drawn.random(200) < 0.3, drawn.integers(0, 12, 200) / 12
    weights = drawn.integers(0, 4, (5, 200)).astype(float)
    expected = [roc_auc_score(labels, scores, sample_weight=row) for row in weights]
    np.testing.assert_allclose(auc_statistic(labels, scores)(weights), expected, rtol=1e-12)


def test_the_interval_holds_the_value_and_is_wider_for_fewer_patients() -> None:
    drawn = np.random.default_rng(2)
    labels = drawn.random(400) < 0.4
    scores = labels + drawn.normal(0, 1.2, 400)
    many = auc(labels, scores, patients=np.arange(400))
    few = auc(labels, scores, patients=np.arange(400) // 40)
    assert many.low < many.value < many.high
    assert few.n == many.n == 400
    one_patient_ten_times = auc(
        np.tile(labels[:40], 10),
        np.tile(scores[:40], 10),
        patients=np.tile(np.arange(40), 10),
    )
    assert one_patient_ten_times.high - one_patient_ten_times.low > 2 * (many.high - many.low)


def test_the_interval_of_a_share_is_the_binomials() -> None:
    right = np.repeat([1, 0], [300, 100])
    measured = interval(mean_statistic(right), patients=np.arange(400), rng=rng(), resamples=4000)
    half_width = 1.96 * np.sqrt(0.75 * 0.25 / 400)
    assert measured.low == pytest.approx(0.75 - half_width, abs=0.004)
    assert measured.high == pytest.approx(0.75 + half_width, abs=0.004)


def test_the_order_and_the_names_of_patients_do_not_matter_to_the_value() -> None:
    drawn = np.random.default_rng(5)
    right, patients = drawn.random(60) < 0.5, drawn.integers(0, 9, 60)
    turned = drawn.permutation(60)
    first = interval(mean_statistic(right), patients=patients, rng=rng())
    second = interval(
        mean_statistic(right[turned]), patients=[f"p{p}" for p in patients[turned]], rng=rng()
    )
    assert first == second


def test_auc_of_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="all labels are the same"):
        auc_statistic([1, 1], [0.1, 0.2])


def test_resamples_without_a_positive_case_are_left_out() -> None:
    """One positive patient of three: of 27 resamples 8 hold no positive, one no negative."""
    measured = auc([1, 0, 0], [0.5, 0.2, 0.9], patients=[0, 1, 2])
    assert measured == Interval(value=0.5, low=0, high=1, n=3)


def test_one_patient_gives_a_figure_and_no_interval() -> None:
    labels, scores = [1, 1, 1, 0, 0, 0], [0.9, 0.4, 0.8, 0.1, 0.7, 0.5]
    measured = auc(labels, scores, patients=["a"] * 6)
    assert measured == Interval(value=pytest.approx(7 / 9), low=None, high=None, n=6)
    metric = as_metric("AUC", measured, data="made")
    assert (metric.low, metric.high) == (None, None)
    assert metric_line(metric) == "AUC: 0.778 (no interval), n 6"
    assert type(metric).model_validate_json(metric.model_dump_json()) == metric


def test_patients_whose_resamples_all_say_nothing_give_no_interval() -> None:
    """The one resample of two patients, one sick and one healthy, drew the same one twice."""
    statistic = auc_statistic([1, 0], [0.9, 0.1])
    alone = (interval(statistic, patients=[0, 1], rng=r, resamples=1) for r in seeds(20))
    assert {(one.value, one.low, one.high) for one in alone} == {(1, None, None), (1, 1, 1)}


def test_a_difference_sees_the_same_patients_on_both_sides() -> None:
    """Two methods that agree but for one case differ far less than either is uncertain."""
    first = np.repeat([1, 0], [60, 40])
    second = first.copy()
    second[0] = 0
    patients = np.arange(100)
    found = difference(mean_statistic(first), mean_statistic(second), patients=patients, rng=rng())
    alone = interval(mean_statistic(first), patients=patients, rng=rng())
    assert found.value == pytest.approx(0.01)
    assert found.low >= 0
    assert found.high - found.low < (alone.high - alone.low) / 4


def test_calibration_error_by_hand() -> None:
    """Two bins of two cases: |0.1 - 0.5| and |0.8 - 1.0|, each with half the weight."""
    labels, p = [0, 1, 1, 1], [0.1, 0.1, 0.8, 0.8]
    for binning in ("equal-mass", "equal-width"):
        error = ece_statistic(labels, p, bins=2, binning=binning)(np.ones((1, 4)))
        assert error[0] == pytest.approx(0.4 / 2 + 0.2 / 2)
    without_the_last_two = ece_statistic(labels, p, bins=2)(np.array([[1.0, 1.0, 0.0, 0.0]]))
    assert without_the_last_two[0] == pytest.approx(0.4)


def test_probabilities_that_are_right_have_next_to_no_calibration_error() -> None:
    drawn = np.random.default_rng(6)
    p = drawn.beta(0.5, 2, 20_000)
    labels = drawn.random(20_000) < p
    error = interval(
        ece_statistic(labels, p), patients=np.arange(20_000), rng=rng(), upward_bias=True
    )
    assert error.value < 0.012
    assert error.low <= error.value <= error.high
    halved = ece_statistic(labels, p / 2)(np.ones((1, 20_000)))[0]
    assert halved == pytest.approx(p.mean() / 2, abs=0.01)


def test_a_mean_of_figures_takes_each_from_its_own_cases() -> None:
    values = np.array([1.0, 0.0, 1.0, 1.0])
    first = among(lambda rows: mean_statistic(values[rows]), [True, True, False, False])
    second = among(lambda rows: mean_statistic(values[rows]), [False, False, True, True])
    weights = np.array([[1.0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]])
    np.testing.assert_allclose(mean_of([first, second])(weights), [0.75, 1.0, np.nan])


def test_more_cases_than_fit_one_chunk_give_the_same_kind_of_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("training.evaluate.metrics.CHUNK", 500)
    right = np.repeat([1, 0], [75, 25])
    measured = interval(mean_statistic(right), patients=np.arange(100), rng=rng(), resamples=2003)
    assert measured.low == pytest.approx(0.665, abs=0.02)
    assert measured.high == pytest.approx(0.835, abs=0.02)
