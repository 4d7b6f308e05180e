"""Probes on features whose truth is known by construction."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from training.data.records import Split
from training.evaluate.config import ProbeConfig
from training.evaluate.linear_probe import compare_probes, fit_and_score, probe, probe_figures
from training.evaluate.tasks import Part, Task

CONFIG = ProbeConfig(fractions=(0.1, 1.0), draws=3, strengths=(1e-3, 1.0))


def made_task(classes: np.ndarray, outputs: int = 2) -> Task:
    """Thirds of the rows are the three splits; two images a patient."""
    rows = np.arange(len(classes))
    owners = np.array([f"p{row // 2}" for row in rows])
    cuts = np.array_split(rows, 3)
    parts = {
        split: Part(cut, classes[cut], owners[cut])
        for split, cut in zip((Split.TRAIN, Split.VALIDATION, Split.TEST), cuts, strict=True)
    }
    return Task("mass" if outputs == 2 else "density", outputs, parts)


def features(classes: np.ndarray, strength: float, seed: int = 1) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(len(classes), 6))
    noise[:, 2] += strength * classes
    noise[:, 4] *= 1e4  # a channel that is large and says nothing
    return noise.astype(np.float32)


def classes(n: int = 600, outputs: int = 2) -> np.ndarray:
    return np.random.default_rng(7).integers(0, outputs, n)


def test_a_separable_feature_is_found_behind_a_large_one_that_says_nothing() -> None:
    task = made_task(classes())
    scores = fit_and_score(
        features(classes(), 8.0), task, task.parts[Split.TRAIN], strengths=(1e-3, 1.0)
    )
    assert roc_auc_score(task.parts[Split.TEST].classes, scores) > 0.999


def test_features_that_say_nothing_give_one_half_with_an_interval_around_it() -> None:
    task = made_task(classes())
    found = probe_figures(features(classes(), 0.0), task, config=CONFIG, seed=1)
    whole = found[-1]
    assert whole.setting == "LP 100%"
    assert whole.low is not None
    assert whole.high is not None
    assert whole.low < 0.5 < whole.high
    assert whole.n == 200


def test_more_labels_make_a_better_probe_and_the_draws_are_told() -> None:
    task = made_task(classes())
    few, many = probe_figures(features(classes(), 1.5), task, config=CONFIG, seed=1)
    assert few.value is not None
    assert many.value is not None
    assert many.value > few.value > 0.6
    assert few.note.startswith("20 images, 3 draws 0.")
    assert many.note == "200 images"


def test_density_is_an_accuracy_of_four_classes() -> None:
    given = classes(outputs=4)
    task = made_task(given, outputs=4)
    found = probe(features(given, 20.0), task, fraction=1.0, config=CONFIG, seed=1)
    assert found.scores[0].shape == (200, 4)
    assert task.score(task.parts[Split.TEST], found.scores[0]) > 0.9


def test_a_class_never_seen_in_training_is_never_answered() -> None:
    given = classes(outputs=4)
    task = made_task(given, outputs=4)
    train = task.parts[Split.TRAIN]
    without = train.of(train.classes != 1)
    scores = fit_and_score(features(given, 20.0), task, without, strengths=(1.0,))
    assert (scores[:, 1] == 0).all()
    assert scores.argmax(axis=1).max() == 3


def test_a_better_tower_is_told_from_a_worse_one_on_the_same_images() -> None:
    task = made_task(classes())
    better = compare_probes(
        features(classes(), 2.0),
        features(classes(), 1.0),
        task,
        fraction=1.0,
        config=CONFIG,
        seed=1,
    )
    assert better.low > 0
    same = compare_probes(
        features(classes(), 1.0),
        features(classes(), 1.0),
        task,
        fraction=0.1,
        config=CONFIG,
        seed=1,
    )
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_the_same_seed_gives_the_same_figures() -> None:
    task = made_task(classes())
    first = probe_figures(features(classes(), 1.0), task, config=CONFIG, seed=4, resamples=50)
    assert probe_figures(features(classes(), 1.0), task, config=CONFIG, seed=4, resamples=50) == (
        first
    )


def test_the_penalty_is_chosen_on_validation_and_not_on_test() -> None:
    """Validation and test are given opposite truths: the choice follows validation."""
    given = classes()
    task = made_task(given)
    turned = task.with_part(
        Split.TEST,
        Part(
            task.parts[Split.TEST].rows,
            1 - task.parts[Split.TEST].classes,
            task.parts[Split.TEST].patients,
        ),
    )
    pooled = features(given, 1.0)
    train = task.parts[Split.TRAIN]
    np.testing.assert_array_equal(
        fit_and_score(pooled, task, train, strengths=(1e-4, 1e-2, 1.0)),
        fit_and_score(pooled, turned, train, strengths=(1e-4, 1e-2, 1.0)),
    )
    with pytest.raises(AssertionError):
        fit_and_score(pooled, task, train, strengths=())
