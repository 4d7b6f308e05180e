"""Where the breast is on a canvas, by drawings whose outline is known."""

import numpy as np
import pytest

from model_store.arrays import U8
from model_store.breast import breast_mask

HEIGHT, WIDTH = 760, 456


def _half_disc(radius: float = 0.9) -> np.ndarray:
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    return ((rows - HEIGHT / 2) / (HEIGHT / 2)) ** 2 + (columns / WIDTH) ** 2 < radius**2


def _canvas(inside: np.ndarray, level: int = 120, air: int = 0) -> U8:
    noise = np.random.default_rng(0).integers(-3, 4, size=inside.shape)
    return np.clip(np.where(inside, level, air) + noise, 0, 255).astype(np.uint8)


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("level", [16, 60, 120, 250])
def test_a_breast_of_any_brightness_is_found_to_its_edge(level: int) -> None:
    inside = _half_disc()
    assert _overlap(breast_mask(_canvas(inside, level)), inside) > 0.98


def test_air_that_is_not_quite_black_stays_out() -> None:
    inside = _half_disc()
    assert _overlap(breast_mask(_canvas(inside, 120, air=18)), inside) > 0.98


def test_a_dense_gland_does_not_cut_the_fat_around_it_off() -> None:
    inside = _half_disc()
    canvas = _canvas(inside, 55)
    canvas[_half_disc(0.5)] = 230
    assert _overlap(breast_mask(canvas), inside) > 0.98


def test_a_marker_in_the_air_and_a_dark_hole_in_the_breast_change_nothing() -> None:
    inside = _half_disc()
    canvas = _canvas(inside)
    canvas[5:60, WIDTH - 60 : WIDTH - 5] = 255
    canvas[370:390, 100:130] = 0
    assert _overlap(breast_mask(canvas), inside) > 0.98


def test_a_canvas_without_a_breast_is_not_masked() -> None:
    assert breast_mask(np.zeros((HEIGHT, WIDTH), np.uint8)).all()
    assert breast_mask(np.full((64, 48), 77, np.uint8)).all()
