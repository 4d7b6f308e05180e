"""Probabilities and thresholds fitted on cases whose truth was drawn by known rules."""

from collections.abc import Callable

import numpy as np
import pytest

from model_store.manifest import Calibration, Finding, sigmoid
from training.evaluate.calibration import (
    best_threshold,
    calibrated,
    fit_platt_logits,
    fit_temperature,
    sensitive_threshold,
)

MASS = Finding(name="mass", positive=("mass",), negative=("no mass",))


def drawn(slope: float, intercept: float, n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 1, n)
    return rng.random(n) < 1 / (1 + np.exp(-(slope * logits + intercept))), logits


def test_platt_finds_the_parameters_the_labels_were_drawn_by() -> None:
    labels, logits = drawn(2.0, -0.7)
    fitted = fit_platt_logits(labels, logits)
    assert fitted.slope == pytest.approx(2.0, abs=0.1)
    assert fitted.intercept == pytest.approx(-0.7, abs=0.1)


def test_platt_on_logits_far_from_one_half_finds_them_too() -> None:
    """A score of 1 - 1e-12 has lost its logit; the logit itself has not."""
    labels, logits = drawn(2.0, -0.7)
    fitted = fit_platt_logits(labels, 10 * logits + 30)
    assert fitted.slope == pytest.approx(0.2, abs=0.01)
    assert fitted.intercept == pytest.approx(-0.7 - 6, abs=0.3)


def test_a_temperature_is_found_and_leaves_one_half_where_it_is() -> None:
    labels, logits = drawn(0.4, 0)
    fitted = fit_temperature(labels, logits)
    assert 1 / fitted.slope == pytest.approx(2.5, abs=0.15)
    assert fitted.method == "temperature"
    assert fitted.apply(0.5) == pytest.approx(0.5)


def test_separable_scores_do_not_make_a_probability_of_one() -> None:
    logit = np.log(0.8 / 0.2)
    fitted = fit_platt_logits([0] * 20 + [1] * 20, [-logit] * 20 + [logit] * 20)
    assert fitted.apply(0.8) == pytest.approx(21 / 22, abs=1e-3)  # Platt's own target
    assert fitted.apply(0.2) == pytest.approx(1 / 22, abs=1e-3)


@pytest.mark.parametrize("fit", [fit_platt_logits, fit_temperature])
def test_scores_that_fall_with_the_finding_are_refused(
    fit: Callable[..., Calibration],
) -> None:
    with pytest.raises(ValueError, match="train longer"):
        fit([1] * 20 + [0] * 20, [-2.0] * 20 + [2.0] * 20)


def test_the_threshold_stands_between_the_classes() -> None:
    labels = [0, 0, 0, 1, 1, 1]
    assert best_threshold(labels, [0.1, 0.2, 0.3, 0.7, 0.8, 0.9]) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("sensitivity", "expected"),
    [(1.0, 0.15), (0.9, 0.15), (0.75, 0.35), (0.5, 0.55), (0.01, 0.85)],
)
def test_the_threshold_finds_the_share_asked_for_and_no_more_than_needed(
    sensitivity: float, expected: float
) -> None:
    """Positives at .2 .4 .6 .9; the threshold lies midway to the next lower score."""
    labels = [0, 1, 0, 1, 0, 1, 0, 1]
    scores = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 0.9]
    found = sensitive_threshold(labels, scores, sensitivity=sensitivity)
    assert found == pytest.approx(expected)
    positives = np.array(scores)[np.array(labels) > 0]
    assert (positives >= found).mean() >= sensitivity


def test_a_calibrated_finding_is_ready_for_the_manifest() -> None:
    labels, logits = drawn(2.0, -0.7, n=2000)
    finding = calibrated(MASS, labels=labels, logits=logits, sensitivity=0.8)
    assert finding.calibration is not None
    assert finding.threshold is not None
    p = np.array([sigmoid(2.0 * logit - 0.7) for logit in logits])
    assert finding.calibration.apply_to_logit(1.0) == pytest.approx(sigmoid(1.3), abs=0.05)
    at_threshold = np.array([finding.calibration.apply_to_logit(x) for x in logits])
    assert (at_threshold[labels] >= finding.threshold).mean() == pytest.approx(0.8, abs=0.002)
    assert np.abs(at_threshold - p).mean() < 0.02


def test_four_positive_cases_are_too_few_to_fit() -> None:
    with pytest.raises(ValueError, match="4 of 40 cases are positive: too few"):
        calibrated(MASS, labels=[1] * 4 + [0] * 36, logits=np.linspace(2, -2, 40))
