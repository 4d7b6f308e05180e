import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.training.data.phantom.flat_view import flat_view, share_inside
from training.data.phantom.calcification import Cluster
from training.data.phantom.field import Place, Projection, Side, ViewField
from training.data.phantom.lesions import (
    DRAWN,
    Lesion,
    draw_lesion,
    sample_lesions,
    words_of,
)
from training.data.phantom.patch import FULL
from training.data.phantom.rules import PhantomRules
from training.data.records import Box, Category

DIGEST = "import sys; from {} import digest; sys.stdout.write(digest())"


def one(category: Category, rng: np.random.Generator) -> Lesion:
    rules = PhantomRules(lesion_share={category: 1.0})
    (lesion,) = sample_lesions(rng, rules, side=Side.LEFT)
    return lesion


def drawn(
    category: Category, *, seed: int, contrast: float = 1.0, gland: float = 0.1
) -> tuple[np.ndarray, Box, ViewField]:
    """What a finding changed in one of the views that show it, its box, the field after."""
    rng = np.random.default_rng([seed, DRAWN.index(category)])
    lesion = one(category, rng)
    projection = lesion.seen_in[seed % len(lesion.seen_in)]
    before, field = (flat_view(projection, gland=gland) for _ in range(2))
    box = draw_lesion(rng, field, lesion, projection=projection, contrast=contrast)
    assert box is not None
    changed = np.abs(field.dense_mm - before.dense_mm) + 20 * field.calcium_mm
    return changed, box, field


def digest() -> str:
    """Of every category, drawn."""
    total = hashlib.sha256()
    for category in DRAWN:
        changed, box, _ = drawn(category, seed=7)
        total.update(changed.tobytes() + repr(box).encode())
    return total.hexdigest()


@pytest.mark.parametrize("category", DRAWN)
def test_a_box_holds_what_was_drawn_and_little_else_was(category: Category) -> None:
    for seed in range(4):
        changed, box, field = drawn(category, seed=seed)
        assert share_inside(changed, box) >= 0.9
        assert share_inside(changed, box, margin_mm=12) >= 0.999
        assert 0 <= box.top < box.bottom <= changed.shape[0]
        assert 0 <= box.left < box.right <= changed.shape[1]
        assert not changed[~field.inside & (field.dense_mm > 0)].any()


@pytest.mark.parametrize("category", [Category.MASS, Category.LYMPH_NODE, Category.DISTORTION])
def test_a_box_holds_what_was_drawn_into_dense_tissue(category: Category) -> None:
    for seed in range(3):
        changed, box, _ = drawn(category, seed=seed, gland=0.5)
        assert share_inside(changed, box) >= 0.9


@pytest.mark.parametrize("category", DRAWN)
def test_a_box_is_tight(category: Category) -> None:
    """Within a quarter of its size there is something visible at each of its edges."""
    changed, box, _ = drawn(category, seed=1)
    seen = changed > 0.03 * changed.max()
    height, width = box.bottom - box.top, box.right - box.left
    rows, columns = slice(int(box.top), int(box.bottom)), slice(int(box.left), int(box.right))
    inner = seen[rows, columns]
    assert inner[: int(height / 4) + 3].any()
    assert inner[-int(height / 4) - 3 :].any()
    assert inner[:, : int(width / 4) + 3].any()
    assert inner[:, -int(width / 4) - 3 :].any()


@pytest.mark.parametrize("category", DRAWN)
def test_tissue_never_exceeds_the_breast(category: Category) -> None:
    _, _, field = drawn(category, seed=2, contrast=3.0)
    assert float((field.dense_mm - FULL * field.thickness_mm).max()) <= 1e-3


@pytest.mark.parametrize("category", [Category.MASS, Category.LYMPH_NODE, Category.CALCIFICATION])
def test_half_the_contrast_adds_half_the_tissue(category: Category) -> None:
    (whole, _, _), (half, _, _) = (
        drawn(category, seed=3, contrast=contrast) for contrast in (0.5, 0.25)
    )
    assert float(half.sum() / whole.sum()) == pytest.approx(0.5, abs=0.02)


def test_an_asymmetry_is_seen_in_one_view_and_a_focal_one_in_both() -> None:
    rng = np.random.default_rng(4)
    seen = {one(Category.ASYMMETRY, rng).seen_in for _ in range(20)}
    assert seen == {(Projection.CC,), (Projection.MLO,)}
    lesion = one(Category.ASYMMETRY, rng)
    (other,) = {*Projection} - {*lesion.seen_in}
    field = flat_view(other)
    assert draw_lesion(rng, field, lesion, projection=other, contrast=1.0) is None
    np.testing.assert_array_equal(field.dense_mm, flat_view(other).dense_mm)
    assert len(one(Category.FOCAL_ASYMMETRY, rng).seen_in) == 2


def test_a_breast_has_at_most_one_of_a_kind_as_often_as_the_rules_say() -> None:
    rng, rules = np.random.default_rng(5), PhantomRules()
    breasts = [sample_lesions(rng, rules, side=Side.RIGHT) for _ in range(1500)]
    for category in DRAWN:
        counts = [sum(lesion.category is category for lesion in breast) for breast in breasts]
        assert max(counts) == 1
        assert np.mean(counts) == pytest.approx(rules.share(category), abs=0.04)
    assert np.mean([not breast for breast in breasts]) > 0.12


def test_a_category_of_share_nought_never_appears() -> None:
    rng = np.random.default_rng(6)
    rules = PhantomRules(lesion_share={Category.MASS: 1.0})
    assert all(
        [lesion.category for lesion in sample_lesions(rng, rules, side=Side.LEFT)]
        == [Category.MASS]
        for _ in range(20)
    )


def test_words_say_where_a_place_is() -> None:
    assert words_of(Place(0.7, 0.5, 0.5)) == {"quadrant": "upper outer", "depth": "anterior"}
    assert words_of(Place(0.5, -0.5, 0.5)) == {"quadrant": "lower outer", "depth": "middle"}
    assert words_of(Place(0.2, -0.5, -0.5)) == {"quadrant": "lower inner", "depth": "posterior"}


def test_a_mass_and_calcifications_are_told_in_words_of_the_atlas() -> None:
    rng = np.random.default_rng(8)
    mass, cluster = one(Category.MASS, rng), one(Category.CALCIFICATION, rng)
    assert set(mass.attributes) == {"shape", "margin", "density", "quadrant", "depth"}
    assert set(cluster.attributes) == {"morphology", "distribution", "quadrant", "depth"}


def test_a_lesion_that_needs_a_place_says_so() -> None:
    lesion = Lesion(Category.CALCIFICATION, None, {}, Cluster("amorphous", "grouped", 8.0, 8))
    with pytest.raises(ValueError, match="Suspicious Calcification needs a place"):
        draw_lesion(
            np.random.default_rng(0),
            flat_view(),
            lesion,
            projection=Projection.CC,
            contrast=1.0,
        )


def test_the_same_generator_draws_the_same_whatever_the_hash_seed() -> None:
    other = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    drawn_elsewhere = subprocess.run(
        [sys.executable, "-c", DIGEST.format(__name__)],
        env=os.environ | {"PYTHONHASHSEED": other},
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    assert drawn_elsewhere == digest()
