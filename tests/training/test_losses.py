"""The contrastive loss against arithmetic that shares nothing with it."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from training.losses import clip_loss

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
