"""The contrastive loss against arithmetic that shares nothing with it."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from training.losses import Truth, clip_loss, mammo_clip_loss

F64 = NDArray[np.float64]


def unit_rows(rng: np.random.Generator, rows: int, columns: int) -> F64:
    drawn = rng.standard_normal((rows, columns))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def loss_by_hand(images: F64, texts: F64, scale: float, true: NDArray[np.bool_]) -> float:
    """Loop by loop: mean over rows of the mean of -log p over a row's positives, both ways."""
    logits = math.exp(scale) * images @ texts.T
    ways = []
    for table, positives in ((logits, true), (logits.T, true.T)):
        rows = []
        for row, positive in zip(table, positives, strict=True):
            if positive.any():
                total = sum(math.exp(value) for value in row)
                rows.append(-np.mean([math.log(math.exp(v) / total) for v in row[positive]]))
        ways.append(np.mean(rows))
    return float(np.mean(ways))


def as_loss(images: F64, texts: F64, scale: float, true: NDArray[np.bool_] | None) -> float:
    return float(
        clip_loss(
            torch.from_numpy(images),
            torch.from_numpy(texts),
            logit_scale=torch.tensor(scale, dtype=torch.float64),
            true=None if true is None else torch.from_numpy(true),
        )
    )


def test_without_a_truth_table_it_is_the_loss_of_clip() -> None:
    rng = np.random.default_rng(1)
    images, texts = unit_rows(rng, 6, 8), unit_rows(rng, 6, 8)
    by_hand = loss_by_hand(images, texts, 2.0, np.eye(6, dtype=bool))
    assert as_loss(images, texts, 2.0, None) == pytest.approx(by_hand, abs=1e-12)


def test_every_true_caption_is_a_positive_with_equal_weight() -> None:
    rng = np.random.default_rng(2)
    images, texts = unit_rows(rng, 5, 8), unit_rows(rng, 9, 8)
    true = rng.random((5, 9)) < 0.4
    true[:, 3] = False  # a caption that is true of no image is left out
    true[2] = False  # and an image without a true caption
    by_hand = loss_by_hand(images, texts, 1.5, true)
    assert as_loss(images, texts, 1.5, true) == pytest.approx(by_hand, abs=1e-12)


def test_captions_that_mean_the_same_do_not_push_each_other_away() -> None:
    """Two normal breasts and two captions alike: the plain loss is log 2 at best, ours is 0."""
    images = np.array([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    texts = images.copy()
    true = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], bool)
    plain, ours = as_loss(images, texts, 3.0, None), as_loss(images, texts, 3.0, true)
    gradient_free = 2 / 3 * math.log(2)  # entropy of the two equal positives, which cannot fall
    assert plain == pytest.approx(ours, abs=1e-6)
    assert ours == pytest.approx(gradient_free, abs=1e-6)
    moved = texts.copy()
    moved[1] = [math.cos(0.5), math.sin(0.5)]
    logits = torch.tensor(moved, requires_grad=True)
    clip_loss(
        torch.from_numpy(images),
        logits,
        logit_scale=torch.tensor(3.0, dtype=torch.float64),
        true=torch.from_numpy(true),
    ).backward()
    assert logits.grad is not None
    assert logits.grad[1, 0] < 0  # drawn towards the images it is true of


def cross_entropy_by_hand(logits: F64, smoothing: float = 0.0) -> float:
    """Mean of -log p on the diagonal, a share `smoothing` of it evenly over the row."""
    rows = len(logits)
    total = 0.0
    for number in range(rows):
        shifted = logits[number] - logits[number].max()
        minus_log_p = np.log(np.exp(shifted).sum()) - shifted
        total += (1 - smoothing) * minus_log_p[number] + smoothing * minus_log_p.mean()
    return total / rows


def symmetric_by_hand(a: F64, b: F64, scale: float, smoothing: float = 0.0) -> float:
    logits = math.exp(scale) * a @ b.T
    return (
        cross_entropy_by_hand(logits, smoothing) + cross_entropy_by_hand(logits.T, smoothing)
    ) / 2


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_mammo_clip_is_four_quarters_and_the_two_pairs_of_a_kind(smoothing: float) -> None:
    rng = np.random.default_rng(3)
    i1, i2, t1, t2 = (unit_rows(rng, 7, 16) for _ in range(4))
    scale = math.log(1 / 0.07)
    quarters = [symmetric_by_hand(i, t, scale, smoothing) for i in (i1, i2) for t in (t1, t2)]
    by_hand = (
        sum(quarters) / 4
        + 1.0 * symmetric_by_hand(i1, i2, scale)
        + 0.5 * symmetric_by_hand(t1, t2, scale)
    )
    ours = mammo_clip_loss(
        *(torch.from_numpy(rows).float() for rows in (i1, i2, t1, t2)),
        logit_scale=torch.tensor(scale),
        label_smoothing=smoothing,
    )
    assert float(ours) == pytest.approx(by_hand, abs=1e-5)


def test_each_pair_has_its_own_truth_and_weights_of_nothing_leave_their_part_out() -> None:
    rng = np.random.default_rng(4)
    i1, i2, t1, t2 = (unit_rows(rng, 5, 8) for _ in range(4))
    tables = [rng.random((5, 5)) < 0.5 for _ in range(4)]
    order = ((i1, t1), (i2, t1), (i1, t2), (i2, t2))
    by_hand = np.mean(
        [loss_by_hand(i, t, 1.0, table) for (i, t), table in zip(order, tables, strict=True)]
    )
    ours = mammo_clip_loss(
        *(torch.from_numpy(rows) for rows in (i1, i2, t1, t2)),
        logit_scale=torch.tensor(1.0, dtype=torch.float64),
        image_image=0.0,
        text_text=0.0,
        true=Truth(*(torch.from_numpy(table) for table in tables)),
    )
    assert float(ours) == pytest.approx(float(by_hand), abs=1e-12)


def test_in_half_precision_the_temperature_is_not_rounded() -> None:
    rng = np.random.default_rng(5)
    images, texts = (torch.from_numpy(unit_rows(rng, 6, 8)).bfloat16() for _ in range(2))
    scale = torch.tensor(math.log(1 / 0.07))
    exact = clip_loss(images.double(), texts.double(), logit_scale=scale.double())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = clip_loss(images, texts, logit_scale=scale)
    assert float(ours) == pytest.approx(float(exact), abs=1e-5)
