"""Augmentation: ranges and not fixed values, boxes that stay on what they were drawn around."""

import cv2
import numpy as np
import pytest

from training.data.augment import AugmentRules, Flips, augment, draw_affine, draw_bend
from training.data.records import Box

OFF = AugmentRules(flip_columns=0, flip_rows=0, affine=0, elastic=0)
AFFINE = AugmentRules(flip_columns=0.5, flip_rows=0.5, affine=1, elastic=0)
SHAPE = (200, 120)


def blob(box: Box) -> np.ndarray:  # type: ignore[type-arg]
    canvas = np.zeros(SHAPE, np.uint8)
    canvas[int(box.top) : int(box.bottom), int(box.left) : int(box.right)] = 255
    return canvas


def test_rotation_scale_and_shear_are_drawn_from_ranges_and_to_both_sides() -> None:
    # albumentations 1.4.7 took the reference's scalars as fixed: always 20 degrees.
    rng = np.random.default_rng(0)
    turned = AugmentRules(affine=1, scale=(1, 1), shear_deg=(0, 0), translate=(0, 0))
    matrices = np.stack([draw_affine(rng, turned, SHAPE) for _ in range(400)])
    degrees = np.rad2deg(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    assert degrees.min() == pytest.approx(-20, abs=0.5)
    assert degrees.max() == pytest.approx(20, abs=0.5)
    assert len(np.unique(degrees)) == 400
    scaled = AugmentRules(affine=1, rotate_deg=(0, 0), shear_deg=(0, 0))
    scales = [draw_affine(rng, scaled, SHAPE)[0, 0] for _ in range(400)]
    assert (min(scales), max(scales)) == pytest.approx((0.8, 1.2), abs=0.01)


def test_half_of_the_images_are_left_alone_by_each_step() -> None:
    rng = np.random.default_rng(1)
    rules = AugmentRules()
    straight = sum(np.array_equal(draw_affine(rng, rules, SHAPE), np.eye(2, 3)) for _ in range(400))
    unbent = sum(draw_bend(rng, rules, (20, 20)) is None for _ in range(400))
    assert 160 < straight < 240
    assert 160 < unbent < 240


def test_the_centre_stays_where_nothing_is_translated() -> None:
    rules = AugmentRules(affine=1, translate=(0, 0))
    matrix = draw_affine(np.random.default_rng(2), rules, SHAPE)
    np.testing.assert_allclose(matrix @ [60, 100, 1], [60, 100])


@pytest.mark.parametrize("seed", range(8))
def test_a_box_goes_where_what_it_shows_goes(seed: int) -> None:
    box = Box(70, 40, 110, 70)
    canvas, (moved,) = augment(np.random.default_rng(seed), blob(box), rules=AFFINE, boxes=[box])
    left, top, width, height = cv2.boundingRect((canvas > 127).astype(np.uint8))
    assert moved is not None
    shown = (moved.top, moved.left, moved.bottom, moved.right)
    assert shown == pytest.approx((top, left, top + height, left + width), abs=2)


def test_mirroring_alone_is_exact() -> None:
    canvas = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
    rng, box = np.random.default_rng(3), Box(10, 20, 30, 50)
    image, boxes = augment(rng, canvas, rules=OFF, flips=Flips(True, False), boxes=[box])
    np.testing.assert_array_equal(image, canvas[:, ::-1])
    assert boxes == [Box(10, 70, 30, 100)]
    image, boxes = augment(rng, canvas, rules=OFF, flips=Flips(False, True), boxes=[box])
    np.testing.assert_array_equal(image, canvas[::-1])
    assert boxes == [Box(170, 20, 190, 50)]


def test_without_any_step_the_canvas_is_a_copy() -> None:
    canvas = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
    image, _ = augment(np.random.default_rng(4), canvas, rules=OFF)
    np.testing.assert_array_equal(image, canvas)
    assert not np.shares_memory(image, canvas)


def test_a_box_that_leaves_the_canvas_is_gone_and_one_that_reaches_out_is_cut() -> None:
    still = (0.0, 0.0)
    away = AugmentRules(
        affine=1,
        elastic=0,
        rotate_deg=still,
        shear_deg=still,
        scale=(1, 1),
        translate=(0.5, 0.5),
    )
    boxes = [Box(150, 0, 200, 10), Box(0, 50, 10, 80)]
    _, moved = augment(
        np.random.default_rng(5), blob(boxes[0]), rules=away, flips=Flips(), boxes=boxes
    )
    assert moved == [None, Box(100, 110, 110, 120)]


def test_bending_moves_pixels_by_what_the_rules_say() -> None:
    rules = AugmentRules(elastic=1, elastic_px=3.0)
    bend = draw_bend(np.random.default_rng(6), rules, (400, 300))
    assert bend is not None
    for along in bend:
        assert along.shape == (400, 300)
        assert np.sqrt(np.mean(along**2)) == pytest.approx(3.0, rel=0.05)
        assert np.abs(np.diff(along, axis=0)).max() < 1.5


def test_a_bent_image_differs_and_keeps_its_greys() -> None:
    smooth = cv2.GaussianBlur(np.random.default_rng(7).random(SHAPE, np.float32), (0, 0), 6)
    canvas = cv2.normalize(smooth, None, 60, 200, cv2.NORM_MINMAX).astype(np.uint8)
    rules = AugmentRules(flip_columns=0, flip_rows=0, affine=0, elastic=1)
    image, _ = augment(np.random.default_rng(8), canvas, rules=rules)
    inner = image[20:-20, 20:-20].astype(float) - canvas[20:-20, 20:-20]
    assert 1 < np.abs(inner).mean() < 40
    assert abs(inner.mean()) < 5


def test_the_same_generator_gives_the_same_image() -> None:
    canvas = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
    one, other = (augment(np.random.default_rng(9), canvas, rules=AugmentRules())[0] for _ in "ab")
    np.testing.assert_array_equal(one, other)
