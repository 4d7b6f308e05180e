"""Scores by hand arithmetic, and what must hold for any embedding."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_store.arrays import F32
from model_store.manifest import Calibration
from model_store.prompts import Question, all_sentences
from model_store.scoring import Score, aggregate, score_image, score_images

MASS = Question(name="mass", positive=("mass",), negative=("no mass",))
CALIBRATED = Question(
    name="mass",
    positive=("mass",),
    negative=("no mass",),
    calibration=Calibration(slope=2, intercept=-1),
    threshold=0.8,
)
seeds = st.integers(0, 2**32 - 1)
scales = st.floats(-2, 6)


def _vector(*values: float) -> F32:
    return np.array(values, dtype=np.float32)


def _random(questions: list[Question], seed: int) -> tuple[F32, dict[str, F32]]:
    rng = np.random.default_rng(seed)
    sentences = all_sentences(questions)
    rows = rng.standard_normal((len(sentences) + 1, 12)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows[0], dict(zip(sentences, rows[1:], strict=True))


def test_the_score_of_one_sentence_each_by_hand() -> None:
    embeddings = {"mass": _vector(0.6, 0.8), "no mass": _vector(0, 1)}
    (score,) = score_image(_vector(1, 0), [MASS], embeddings, math.log(5))
    # cosines 0.6 and 0: 1 / (1 + exp(-5 * 0.6)) = 0.9525741
    assert score.score == pytest.approx(0.9525741, abs=1e-6)
    assert score == Score(
        name="mass", score=score.score, calibrated=False, threshold=None, positive=None
    )


def test_an_ensemble_is_the_normalised_mean_of_normalised_sentences() -> None:
    question = Question(name="q", positive=("x", "y"), negative=("z",))
    embeddings = {"x": _vector(3, 0, 0), "y": _vector(0, 0.5, 0), "z": _vector(0, 0, 9)}
    (score,) = score_image(_vector(2, 0, 0), [question], embeddings, 0.0)
    # direction (1, 1, 0) / sqrt 2: 1 / (1 + exp(-0.7071068)) = 0.6697616
    assert score.score == pytest.approx(0.6697616, abs=1e-6)


def test_the_score_is_the_softmax_over_the_two_ensembles() -> None:
    image, embeddings = _random([MASS], seed=3)
    (score,) = score_image(image, [MASS], embeddings, math.log(10))
    positive, negative = (math.exp(10 * float(image @ embeddings[s])) for s in ("mass", "no mass"))
    assert score.score == pytest.approx(positive / (positive + negative), abs=1e-6)


def test_calibration_and_threshold_by_hand() -> None:
    embeddings = {"mass": _vector(0.6, 0.8), "no mass": _vector(0, 1)}
    (score,) = score_image(_vector(1, 0), [CALIBRATED], embeddings, math.log(2))
    # logit 2 * 0.6 = 1.2; sigmoid(2 * 1.2 - 1) = sigmoid(1.4) = 0.8021839
    assert score.score == pytest.approx(0.8021839, abs=1e-6)
    assert (score.calibrated, score.threshold, score.positive) == (True, 0.8, True)


def test_below_its_threshold_a_calibrated_score_is_negative() -> None:
    embeddings = {"mass": _vector(0, 1), "no mass": _vector(0.6, 0.8)}
    (score,) = score_image(_vector(1, 0), [CALIBRATED], embeddings, math.log(2))
    assert score.positive is False


def test_without_calibration_no_threshold_is_applied() -> None:
    question = Question(name="q", positive=("mass",), negative=("no mass",), threshold=0.1)
    image, embeddings = _random([question], seed=0)
    (score,) = score_image(image, [question], embeddings, 1.0)
    assert (score.calibrated, score.threshold, score.positive) == (False, None, None)


def test_calibrated_scores_next_to_1_keep_their_rank() -> None:
    steep = Question(
        name="q",
        positive=("a",),
        negative=("b",),
        calibration=Calibration(slope=0.1, intercept=-6),
    )
    embeddings = {"a": _vector(1, 0), "b": _vector(-1, 0)}
    images = _vector(1, 0.99, 0.98).reshape(3, 1) * _vector(1, 0)
    images[:, 1] = np.sqrt(1 - images[:, 0] ** 2)
    scores = [row[0].score for row in score_images(images, [steep], embeddings, math.log(100))]
    assert scores[0] > scores[1] > scores[2]


def test_large_scales_do_not_overflow() -> None:
    embeddings = {"mass": _vector(1, 0), "no mass": _vector(-1, 0)}
    up = score_image(_vector(1, 0), [MASS], embeddings, 20.0)[0].score
    down = score_image(_vector(-1, 0), [MASS], embeddings, 20.0)[0].score
    assert (up, down) == (1.0, 0.0)


def test_an_image_without_direction_is_undecided() -> None:
    image, embeddings = _random([MASS], seed=1)
    assert score_image(np.zeros_like(image), [MASS], embeddings, 2.0)[0].score == 0.5


def test_no_question_has_no_score() -> None:
    assert score_image(_vector(1, 0), [], {}, 0.0) == ()


def test_a_sentence_without_embedding_is_an_error() -> None:
    with pytest.raises(KeyError, match="no mass"):
        score_image(_vector(1, 0), [MASS], {"mass": _vector(1, 0)}, 0.0)


@settings(deadline=None)
@given(seeds, scales)
def test_swapping_the_ensembles_gives_one_minus_the_score(seed: int, scale: float) -> None:
    there = Question(name="q", positive=("a", "b"), negative=("c", "d", "e"))
    back = Question(name="q", positive=there.negative, negative=there.positive)
    image, embeddings = _random([there], seed)
    (one,) = score_image(image, [there], embeddings, scale)
    (other,) = score_image(image, [back], embeddings, scale)
    assert 0 <= one.score <= 1
    assert one.score + other.score == pytest.approx(1, abs=1e-12)


@settings(deadline=None)
@given(seeds, st.permutations(["a", "b", "c", "d"]))
def test_the_order_of_an_ensemble_does_not_change_one_bit(seed: int, order: list[str]) -> None:
    straight = Question(name="q", positive=("a", "b", "c", "d"), negative=("z",))
    shuffled = Question(name="q", positive=tuple(order), negative=("z",))
    image, embeddings = _random([straight], seed)
    assert score_image(image, [straight], embeddings, 3.0) == score_image(
        image, [shuffled], embeddings, 3.0
    )


@settings(deadline=None)
@given(seeds, st.integers(1, 6))
def test_images_together_score_as_alone(seed: int, n: int) -> None:
    questions = [
        MASS,
        Question(name="other", positive=("a", "b"), negative=("no mass",)),
        CALIBRATED,
    ]
    _, embeddings = _random(questions, seed)
    images = np.random.default_rng(seed).standard_normal((n, 12)).astype(np.float32)
    together = score_images(images, questions, embeddings, 2.0)
    for row, image in zip(together, images, strict=True):
        alone = score_image(image, questions, embeddings, 2.0)
        assert [s.name for s in row] == [q.name for q in questions]
        assert [s.score for s in row] == pytest.approx([s.score for s in alone], abs=1e-12)


def _scores(*values: float, question: Question = MASS) -> list[tuple[Score, ...]]:
    return [
        (
            Score(
                name=question.name,
                score=value,
                calibrated=question.calibration is not None,
                threshold=question.threshold,
                positive=None,
            ),
        )
        for value in values
    ]


def test_mean_and_maximum_by_hand() -> None:
    views = _scores(0.25, 0.75, 0.5)
    assert aggregate(views, "mean", [MASS])[0].score == 0.5
    assert aggregate(views, "max", [MASS])[0].score == 0.75


def test_one_view_stays_as_it_is() -> None:
    (view,) = _scores(0.1)
    assert aggregate([view], "mean", [MASS]) == aggregate([view], "max", [MASS]) == view


def test_the_threshold_is_applied_to_the_aggregated_score() -> None:
    views = _scores(0.9, 0.5, question=CALIBRATED)
    assert aggregate(views, "max", [CALIBRATED])[0].positive is True
    (mean,) = aggregate(views, "mean", [CALIBRATED])
    assert (mean.positive, mean.calibrated, mean.threshold) == (False, True, 0.8)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_views_does_not_change_one_bit(values: list[float], random: object) -> None:
    shuffled = values.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for how in ("mean", "max"):
        straight = aggregate(_scores(*values), how, [MASS])
        assert straight == aggregate(_scores(*shuffled), how, [MASS])
        assert min(values) <= straight[0].score <= max(values)


def test_nothing_to_aggregate_is_an_error() -> None:
    with pytest.raises(ValueError, match="no scores to aggregate"):
        aggregate([], "mean", [MASS])


def test_scores_of_other_questions_are_not_mixed_up() -> None:
    other = Question(name="other", positive=("a",), negative=("b",))
    with pytest.raises(ValueError, match="differ in order at 'other'"):
        aggregate(_scores(0.5), "mean", [other])
