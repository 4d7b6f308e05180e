"""A variant beyond its bounds is named with what it loses, one that answers nothing too."""

from dataclasses import replace

import numpy as np
import pytest

from training.variants.agreement import Agreement, Bounds, _auc, _flips

GOOD = Agreement(
    n=8,
    data="phantoms",
    image_cosine=1e-3,
    worst_image_cosine=0.1,
    text_cosine=0,
    flips={"mass": 0.01},
    auc={"mass": (0.9, 0.895)},
    speed=0.5,
    size=0.5,
)
NAN = float("nan")


def test_a_variant_within_its_bounds_is_let_through() -> None:
    assert GOOD.broken(Bounds()) == []


@pytest.mark.parametrize(
    ("worse", "told"),
    [
        (replace(GOOD, image_cosine=0.02), "1 - cosine of image embeddings 2.00e-02 > 1e-02"),
        (replace(GOOD, text_cosine=0.02), "1 - cosine of text embeddings 2.00e-02 > 1e-02"),
        (replace(GOOD, flips={"mass": 0.03}), "3.0% of pairs of mass change rank > 2%"),
        (replace(GOOD, auc={"mass": (0.9, 0.88)}), "AUC of mass 0.900 -> 0.880, allowed 0.01"),
        (replace(GOOD, image_cosine=NAN), "1 - cosine of image embeddings nan > 1e-02"),
        (replace(GOOD, auc={"mass": (0.9, NAN)}), "AUC of mass 0.900 -> nan, allowed 0.01"),
    ],
)
def test_what_lies_beyond_a_bound_is_told(worse: Agreement, told: str) -> None:
    assert worse.broken(Bounds()) == [told]


def test_an_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    labels = np.array([False, True, False, True])
    assert _auc(labels, np.array([0.1, 0.2, 0.3, 0.4])) == 0.75


def test_flips_are_the_share_of_pairs_that_two_order_differently() -> None:
    order = np.array([1.0, 2.0, 3.0, 4.0])
    assert _flips(order, order) == 0
    assert _flips(order, -order) == 1
    assert _flips(order, np.array([2.0, 1.0, 3.0, 4.0])) == 1 / 6
