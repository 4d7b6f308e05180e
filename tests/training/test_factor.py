"""Mammo-FActOR's loss by hand, its gradient, and a mapper that learns where a blob is."""

from pathlib import Path

import numpy as np
import pytest
import torch

from model_store.factor import heat_map
from training.factor import FactorConfig, Lesson, batch_loss, train_factor, typical_lengths
from training.factor_loss import factor_loss
from training.models.factor import Factor, Scale

CONFIG = FactorConfig(
    hidden=8, epochs=3, batch=8, channels=4, learning_rate=0.01, shift=1, images=2
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def _by_hand(scores: np.ndarray, true: np.ndarray, false: np.ndarray) -> float:
    losses = []
    for n, m in zip(*np.nonzero(true), strict=True):
        if false[:, m].any():
            others = np.exp(scores[false[:, m], m]).sum()
            losses.append(-np.log(np.exp(scores[n, m]) / (np.exp(scores[n, m]) + others)))
    return float(np.mean(losses))


def test_the_loss_equals_its_formula_in_numpy() -> None:
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((7, 5)) * 3
    kind = rng.integers(-1, 2, size=(7, 5))
    kind[:, 4] = 1  # false of no image: it contrasts with nothing
    true, false = kind == 1, kind == 0
    got = factor_loss(
        torch.from_numpy(scores), true=torch.from_numpy(true), false=torch.from_numpy(false)
    )
    assert got.item() == pytest.approx(_by_hand(scores, true, false), abs=1e-9)


def test_positives_add_nothing_to_the_sum_where_the_reference_adds_one_each() -> None:
    scores = np.array([[5.0], [4.0], [-9.0]])
    true = np.array([[True], [True], [False]])
    ours = _by_hand(scores, true, ~true)
    y = true[:, 0]
    total = np.exp(scores[:, 0] * ~y).sum()  # e^(S (1 - y)): the two positives give e^0 = 1 each
    reference = np.mean(-np.log(np.exp(scores[y, 0]) / (np.exp(scores[y, 0]) + total)))
    got = factor_loss(
        torch.from_numpy(scores), true=torch.from_numpy(true), false=torch.from_numpy(~true)
    )
    assert got.item() == pytest.approx(ours)
    assert ours < 1e-4 < 0.01 < reference


def test_a_batch_that_teaches_nothing_has_loss_nought_and_a_gradient() -> None:
    scores = torch.randn(3, 2, requires_grad=True)
    nothing = torch.zeros(3, 2, dtype=torch.bool)
    loss = factor_loss(scores, true=~nothing, false=nothing)
    loss.backward()
    assert loss.item() == 0
    assert scores.grad is not None
    assert not scores.grad.any()


def test_what_is_not_known_moves_nothing() -> None:
    scores = torch.randn(4, 1, requires_grad=True)
    true = torch.tensor([[True], [False], [False], [False]])
    false = torch.tensor([[False], [True], [False], [False]])
    factor_loss(scores, true=true, false=false).backward()
    assert scores.grad is not None
    assert (scores.grad[:, 0] != 0).tolist() == [True, True, False, False]


def test_the_gradient_is_that_of_the_maximum_over_all_channels() -> None:
    factor, maps, lessons = _batch()
    config = CONFIG.model_copy(update={"pooling": "maximum"})
    batch_loss(factor, [maps, maps], lessons, config, channels=torch.arange(7)).backward()
    got = [
        parameter.grad.clone() for parameter in factor.parameters() if parameter.grad is not None
    ]
    factor.zero_grad()
    total = torch.zeros(())
    for head, lesson in enumerate(lessons):
        cosines = factor(maps.unflatten(2, (3, 4)))[:, head] @ torch.from_numpy(lesson.directions).T
        truth = torch.from_numpy(lesson.truth)
        scores = cosines.amax(dim=1) / CONFIG.temperature
        total = total + factor_loss(scores, true=truth == 1, false=truth == 0)
    total.backward()
    for parameter, one in zip(factor.parameters(), got, strict=True):
        torch.testing.assert_close(one, parameter.grad, rtol=1e-4, atol=2e-5)


def test_the_smooth_score_is_the_logarithm_of_all_channels_exponentials() -> None:
    factor, maps, lessons = _batch()
    config = CONFIG.model_copy(update={"pooling": "smooth"})
    got = batch_loss(factor, [maps, maps], lessons, config, channels=torch.arange(7))
    expected = torch.zeros(())
    for head, lesson in enumerate(lessons):
        cosines = factor(maps.unflatten(2, (3, 4)))[:, head] @ torch.from_numpy(lesson.directions).T
        truth = torch.from_numpy(lesson.truth)
        scores = (cosines / config.temperature).exp().sum(dim=1).log()
        expected = expected + factor_loss(scores, true=truth == 1, false=truth == 0)
    torch.testing.assert_close(got, expected)


def test_a_channels_typical_length_is_the_root_mean_square_of_its_maps() -> None:
    features = np.zeros((2, 3, 2, 2), np.float16)
    features[0, 0], features[1, 0, 0, 0] = 1, 6  # lengths 2 and 6
    features[:, 1] = 2  # length 4, and the third channel is silent
    expected = [np.sqrt((4 + 36) / 2), 4, 0.04]
    np.testing.assert_allclose(typical_lengths(features), expected, rtol=1e-6)


def _batch() -> tuple[Factor, torch.Tensor, list[Lesson]]:
    torch.manual_seed(0)
    factor = Factor(positions=12, hidden=6, embedding_size=5, heads=2, channels=7)
    rng = np.random.default_rng(1)
    return factor, torch.rand(4, 7, 12), [_lesson(rng, sentences) for sentences in (1, 3)]


def _lesson(rng: np.random.Generator, sentences: int) -> Lesson:
    directions = rng.standard_normal((sentences, 5)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return Lesson("*", directions, rng.integers(-1, 2, size=(4, sentences)).astype(np.int8))


def _blobs(images: int, seed: int) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int]]]:
    """Features (V, 6, 12, 8): channels 2 and 4 have a blob in half of the images, others noise."""
    rng = np.random.default_rng(seed)
    features = rng.random((images, 6, 12, 8)).astype(np.float16)
    present, places = np.arange(images) % 2 == 0, []
    for image in range(images):
        row, column = int(rng.integers(1, 10)), int(rng.integers(1, 6))
        places.append((row, column))
        features[image, [2, 4]] *= 0.3
        if present[image]:
            features[image, [2, 4], row : row + 2, column : column + 2] = 3
    return features, present.astype(np.int8)[:, None], places


def _train(work: Path, epochs: int, images: int = 96, **changes: object) -> Factor:
    features, truth, _ = _blobs(images, seed=0)
    directions = np.eye(1, 16, dtype=np.float32)
    config = CONFIG.model_copy(update={"epochs": epochs, "batch": 16, "channels": 6, **changes})
    lesson = Lesson("mass", directions, truth)
    return train_factor(features, [lesson], config, work=work, say=lambda _: None)


@pytest.mark.parametrize("channel_bias", [True, False])
@pytest.mark.parametrize("scale", [Scale.TYPICAL, Scale.MAXIMUM])
def test_it_learns_which_maps_show_a_blob_and_its_heat_is_there(
    tmp_path: Path, channel_bias: bool, scale: Scale
) -> None:
    factor = _train(tmp_path, 40, scale=scale, channel_bias=channel_bias, hidden=16)
    features, truth, places = _blobs(40, seed=7)
    with torch.inference_mode():
        channels = factor(torch.from_numpy(features.astype(np.float32)))[:, 0].numpy()
    direction = np.eye(1, 16, dtype=np.float32)[0]
    hits = []
    for image in np.flatnonzero(truth[:, 0]):
        grid = heat_map(
            features[image].astype(np.float32), channels[image], direction, top_channels=2
        ).grid
        row, column = np.unravel_index(int(grid.argmax()), grid.shape)
        top, left = places[image]
        hits.append(top <= row < top + 2 and left <= column < left + 2)
    assert np.mean(hits) >= 0.9


def test_killed_and_begun_again_it_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = _train(tmp_path / "whole", 4)
    said: list[str] = []
    _stopped_after(tmp_path / "cut", epochs=2)
    features, truth, _ = _blobs(96, seed=0)
    config = CONFIG.model_copy(update={"epochs": 4, "batch": 16, "channels": 6})
    lesson = Lesson("mass", np.eye(1, 16, dtype=np.float32), truth)
    resumed = train_factor(features, [lesson], config, work=tmp_path / "cut", say=said.append)
    assert len(said) == 2  # of four epochs, two were left
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_a_checkpoint_of_other_features_or_lessons_is_not_gone_on_with(tmp_path: Path) -> None:
    features, truth, _ = _blobs(32, seed=0)
    direction = np.eye(1, 16, dtype=np.float32)
    config = CONFIG.model_copy(update={"epochs": 2, "batch": 16, "channels": 6})

    def lines(features: np.ndarray, truth: np.ndarray) -> list[str]:
        said: list[str] = []
        lesson = Lesson("mass", direction, truth)
        train_factor(features, [lesson], config, work=tmp_path, say=said.append)
        return said

    assert len(lines(features, truth)) == 2
    assert len(lines(features, truth)) == 0
    assert len(lines(2 * features, truth)) == 2
    assert len(lines(2 * features, 1 - truth)) == 2


def test_maps_smaller_than_the_shift_are_moved_as_far_as_they_reach(tmp_path: Path) -> None:
    factor = _train(tmp_path, 1, images=32, shift=50)
    assert all(torch.isfinite(weight).all() for weight in factor.parameters())


class _Killed(Exception):
    pass


def _stopped_after(work: Path, *, epochs: int) -> None:
    features, truth, _ = _blobs(96, seed=0)
    config = CONFIG.model_copy(update={"epochs": 4, "batch": 16, "channels": 6})
    lesson = Lesson("mass", np.eye(1, 16, dtype=np.float32), truth)

    def say(line: str) -> None:
        if f"epoch {epochs}/" in line:
            raise _Killed

    with pytest.raises(_Killed):
        train_factor(features, [lesson], config, work=work, say=say)


def test_maps_of_a_placed_lesson_stay_where_they_are(tmp_path: Path) -> None:
    features, truth, _ = _blobs(32, seed=0)
    direction = np.eye(1, 16, dtype=np.float32)
    config = CONFIG.model_copy(update={"epochs": 1, "batch": 16})

    def trained(placed: bool, shift: int) -> Factor:
        lesson = Lesson("mass", direction, truth, placed=placed)
        changed = config.model_copy(update={"shift": shift})
        folder = tmp_path / f"{placed}-{shift}"
        return train_factor(features, [lesson], changed, work=folder, say=lambda _: None)

    weights = [trained(*one).first.weight for one in ((True, 0), (True, 5), (False, 5))]
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=0)
    assert not torch.equal(weights[0], weights[2])
