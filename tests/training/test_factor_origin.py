"""Where a tower's cells are centred, from mirrored images of a tower whose answer is known."""

from pathlib import Path

import numpy as np
import pytest

from model_store.arrays import F32
from model_store.runtime import ModelRuntime
from tests.tiny_model import make_tiny_model, tiny_canvases
from training.factor_origin import measure_origin, origin_along

LENGTH, STRIDE, CELLS = 1520, 32, 48


def _features(places: np.ndarray, *, origin_px: float) -> F32:
    """(6, 48, 24): Gaussians around places along the rows, as cells at 32 i + origin see them."""
    rows = np.arange(CELLS) * STRIDE + origin_px
    seen = np.exp(-((rows - places[:, None]) ** 2) / (2 * 50**2))
    return np.repeat(seen[:, :, None], 24, axis=2).astype(np.float32)


@pytest.mark.parametrize("origin_px", [0, 2, 8, 16, 24])
def test_the_origin_is_found_to_a_pixel(origin_px: float) -> None:
    places = np.random.default_rng(3).uniform(300, 1200, size=6)
    straight = _features(places, origin_px=origin_px)
    mirrored = _features(LENGTH - places, origin_px=origin_px)
    found = origin_along(straight, mirrored, axis=1, length=LENGTH)
    assert found * STRIDE == pytest.approx(origin_px, abs=1)


def test_features_that_do_not_mirror_leave_the_middle() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.random((2, 6, 48, 24)).astype(np.float32)
    assert origin_along(one, other, axis=1, length=LENGTH) == 0.5


def test_a_grid_too_small_to_compare_leaves_the_middle(tmp_path: Path) -> None:
    runtime = ModelRuntime.load(make_tiny_model(tmp_path), threads=1)
    assert measure_origin(runtime, list(tiny_canvases(2))) == (0.5, 0.5)


def test_canvases_that_show_nothing_leave_the_middle() -> None:
    blank = np.ones((6, 48, 24), np.float32)
    assert origin_along(blank, blank, axis=1, length=LENGTH) == 0.5
