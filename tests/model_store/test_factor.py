"""Heat maps and boxes, by hand arithmetic and by blobs whose place is known."""

import math

import numpy as np
import pytest

from model_store.arrays import F32
from model_store.factor import (
    HeatBox,
    Weighting,
    aligned,
    cell_px,
    gate,
    heat_boxes,
    heat_map,
    on_canvas,
    peak,
)
from model_store.scoring import Score

CANVAS = (1520, 912)
GRID = (48, 29)
INSIDE = np.ones(CANVAS, np.bool_)


def _blob(row: float, column: float, *, sigma_px: float = 40, height: float = 1.0) -> F32:
    """A Gaussian around a place on the canvas, as sampled by cells of 32 px."""
    rows, columns = np.mgrid[0 : GRID[0], 0 : GRID[1]] * 32 + 16.0
    distance = (rows - row) ** 2 + (columns - column) ** 2
    return (height * np.exp(-distance / (2 * sigma_px**2))).astype(np.float32)


def _overlap(box: HeatBox, truth: tuple[float, float, float, float]) -> float:
    top, left = np.maximum(box.box[:2], truth[:2])
    bottom, right = np.minimum(box.box[2:], truth[2:])
    common = max(bottom - top, 0) * max(right - left, 0)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (box.box, truth)]
    return float(common / (sum(areas) - common))


def test_the_nearest_channels_are_added_up_and_named_best_first() -> None:
    features = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
    embeddings = np.array([[0, 1], [1, 0], [0.8, 0.6], [-1, 0]], np.float32)
    heat = heat_map(features, embeddings, np.array([2, 0], np.float32), top_channels=2)
    assert heat.channels == (1, 2)
    assert heat.weights == (1, 1)
    assert heat.similarities == pytest.approx((1, 0.8))
    np.testing.assert_allclose(heat.grid, features[1] + features[2])


def test_softmax_weights_are_those_of_the_similarities_over_the_temperature() -> None:
    features = np.ones((2, 1, 1), np.float32)
    embeddings = np.array([[1, 0], [0.93, math.sqrt(1 - 0.93**2)]], np.float32)
    direction = np.array([1, 0], np.float32)
    heat = heat_map(features, embeddings, direction, weighting=Weighting.SOFTMAX)
    assert heat.weights == pytest.approx((1 / (1 + math.exp(-1)), 1 / (1 + math.e)), abs=1e-5)
    assert heat.grid[0, 0] == pytest.approx(1)


def test_heat_is_never_negative_and_equal_channels_come_in_their_order() -> None:
    features = np.full((5, 2, 2), -1, np.float32)
    heat = heat_map(features, np.ones((5, 3), np.float32), np.ones(3, np.float32))
    assert heat.channels == (0, 1, 2)
    assert not heat.grid.any()


@pytest.mark.parametrize(
    ("length", "cells", "pixels"), [(1520, 48, 32), (912, 29, 32), (64, 4, 16), (518, 37, 14)]
)
def test_a_cell_is_the_stride_of_the_tower(length: int, cells: int, pixels: int) -> None:
    assert cell_px(length, cells) == pixels


def test_a_cell_shows_on_the_canvas_where_its_convolution_looks() -> None:
    grid = np.zeros(GRID, np.float32)
    grid[47, 28] = 1  # centred at (1520, 912), the corner
    heat = on_canvas(grid, CANVAS)
    assert heat.shape == CANVAS
    assert np.unravel_index(heat.argmax(), CANVAS) == (1519, 911)
    grid[:] = 0
    grid[10, 5] = 1
    rows, columns = np.nonzero(on_canvas(grid, CANVAS) > 0.99 * on_canvas(grid, CANVAS).max())
    assert rows.mean() + 0.5 == pytest.approx(10.5 * 32, abs=0.01)
    assert columns.mean() + 0.5 == pytest.approx(5.5 * 32, abs=0.01)


def test_a_grid_that_begins_at_the_corner_is_moved_by_half_a_cell() -> None:
    grid = np.array([[8, 0, 0], [0, 4, 0]], np.float32)
    np.testing.assert_array_equal(aligned(grid, (0.5, 0.5)), grid)
    np.testing.assert_allclose(aligned(grid, (0, 0.5)), [[4, 2, 0], [0, 4, 0]])
    np.testing.assert_allclose(aligned(grid, (0.5, 0.25)), [[6, 0, 0], [1, 3, 0]])
    np.testing.assert_allclose(aligned(grid, (0.5, 1)), [[8, 4, 0], [0, 2, 2]])


@pytest.mark.parametrize("origin", [(0.5, 0.5), (0.0, 0.06), (1.0, 0.5)])
def test_heat_is_where_the_tower_looked(origin: tuple[float, float]) -> None:
    rows, columns = (np.arange(n) + o for n, o in zip(GRID, origin, strict=True))
    distance = (32 * rows[:, None] - 700) ** 2 + (32 * columns - 400) ** 2
    features = np.exp(-distance / (2 * 60**2)).astype(np.float32)[None]
    heat = heat_map(features, np.ones((1, 2), np.float32), np.ones(2, np.float32), origin=origin)
    row, column = peak(heat.grid, INSIDE)
    assert abs(row - 700) <= 16
    assert abs(column - 400) <= 16
    (box,) = heat_boxes(heat.grid, INSIDE)
    assert (box.box[0] + box.box[2]) / 2 == pytest.approx(700, abs=6)
    assert (box.box[1] + box.box[3]) / 2 == pytest.approx(400, abs=6)


@pytest.mark.parametrize("place", [(200, 300), (1490, 40), (760, 880)])
def test_the_peak_is_where_the_blob_is(place: tuple[int, int]) -> None:
    row, column = peak(_blob(*place), INSIDE)
    assert abs(row - place[0]) <= 16
    assert abs(column - place[1]) <= 16


def test_the_peak_is_sought_inside_the_breast_alone() -> None:
    inside = INSIDE.copy()
    inside[:, 450:] = False
    row, column = peak(_blob(300, 700, height=5) + _blob(1000, 200), inside)
    assert (abs(row - 1000) <= 16, column < 450) == (True, True)


def test_a_box_stands_around_a_blob_at_its_half_maximum() -> None:
    boxes = heat_boxes(_blob(600, 400, sigma_px=60), INSIDE, floor=0.5)
    half = 60 * math.sqrt(2 * math.log(2))
    assert len(boxes) == 1
    assert boxes[0].score == pytest.approx(1, abs=0.05)
    assert _overlap(boxes[0], (600 - half, 400 - half, 600 + half, 400 + half)) > 0.8


def test_two_blobs_are_two_boxes_the_hotter_first() -> None:
    heat = _blob(300, 300, height=0.8) + _blob(1200, 600)
    boxes = heat_boxes(heat, INSIDE)
    assert [box.box[0] > 760 for box in boxes] == [True, False]
    assert boxes[0].score > boxes[1].score
    assert len(heat_boxes(heat, INSIDE, floor=0.9)) == 1


def test_the_quantile_is_of_the_breast_and_not_of_the_air() -> None:
    inside = np.zeros(CANVAS, np.bool_)
    inside[:, :456] = True
    heat = np.tile(np.linspace(1, 0, GRID[1], dtype=np.float32), (GRID[0], 1))
    (box,) = heat_boxes(heat, inside, quantile=0.75, floor=0)
    assert box.box[2:] == (1520, pytest.approx(456 / 4, abs=8))


def test_a_region_smaller_than_the_smallest_is_none() -> None:
    heat = _blob(600, 400) + _blob(1000, 600, sigma_px=9, height=4)
    assert len(heat_boxes(heat, INSIDE, floor=0.1, smallest_cells=4)) == 1


def test_one_hot_cell_is_a_region() -> None:
    grid = np.zeros(GRID, np.float32)
    grid[20, 10] = 3
    (box,) = heat_boxes(grid, INSIDE)
    assert box.score == pytest.approx(3, rel=0.15)  # no sample is at the cell's very centre
    assert _overlap(box, (20 * 32, 10 * 32, 21 * 32, 11 * 32)) > 0.7


def test_a_cold_map_has_no_boxes() -> None:
    assert heat_boxes(np.zeros(GRID, np.float32), INSIDE) == []
    assert heat_boxes(np.ones(GRID, np.float32), INSIDE) == []
    assert heat_boxes(_blob(600, 400), np.zeros(CANVAS, np.bool_)) == []


@pytest.mark.parametrize("origin", [(0.5, 0.5), (0.03, 0.03)])
@pytest.mark.parametrize("cells", [4, 8, 12])
def test_a_lesion_that_is_its_own_quantile_has_its_box(
    cells: int, origin: tuple[float, float]
) -> None:
    grid = np.zeros(GRID, np.float32)
    grid[12 : 12 + cells, 6 : 6 + cells] = 6  # where ReLU6 saturates: 1 to 10 % of the canvas
    (box,) = heat_boxes(aligned(grid, origin), INSIDE)
    down, right = (32 * (centre - 0.5) for centre in origin)
    top, left, side = 12 * 32 + down, 6 * 32 + right, 32 * cells
    assert _overlap(box, (top, left, top + side, left + side)) > 0.8


def test_heat_over_more_than_half_of_the_breast_shows_no_place() -> None:
    grid = np.zeros(GRID, np.float32)
    grid[:28] = 6
    assert heat_boxes(grid, INSIDE) == []


def test_boxes_end_with_the_canvas() -> None:
    (box,) = heat_boxes(_blob(1515, 905, sigma_px=90), INSIDE)
    assert box.box[2:] == CANVAS


@pytest.mark.parametrize(
    ("value", "threshold", "present"),
    [(0.5, None, True), (0.49, None, False), (0.3, 0.2, True), (0.7, 0.8, False)],
)
def test_boxes_are_for_findings_whose_score_says_present(
    value: float, threshold: float | None, present: bool
) -> None:
    score = Score("mass", value, threshold is not None, threshold, None)
    assert gate(score) is present
