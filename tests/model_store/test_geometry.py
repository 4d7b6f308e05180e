"""Canvas coordinates and stored coordinates: exact both ways."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_store.dicom_input import read_mammogram
from model_store.geometry import Placement, spans
from model_store.manifest import Recipe
from model_store.render import render
from tests.dicom_factory import dicom_bytes, mammogram_dataset, set_pixels, stored_pixels


@st.composite
def placements(draw: st.DrawFn) -> Placement:
    """A random box of a random image on a random canvas."""
    stored = draw(st.integers(16, 6000)), draw(st.integers(16, 5000))
    top, left = draw(st.integers(0, stored[0] - 2)), draw(st.integers(0, stored[1] - 2))
    bottom, right = draw(st.integers(top + 1, stored[0])), draw(st.integers(left + 1, stored[1]))
    canvas = draw(st.integers(32, 1520)), draw(st.integers(32, 1520))
    return Placement(((top, bottom),), ((left, right),), *canvas, *stored)


def canvas_centres(placement: Placement, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    size = [placement.canvas_height, placement.canvas_width]
    return rng.integers(0, size, (50, 2)) + 0.5


@given(placement=placements(), seed=st.integers(0, 99))
def test_there_and_back_is_where_it_started(placement: Placement, seed: int) -> None:
    points = canvas_centres(placement, seed)
    assert np.abs(placement.to_canvas(placement.to_stored(points)) - points).max() < 1e-6


@given(placement=placements(), seed=st.integers(0, 99))
def test_a_whole_stored_pixel_comes_back_within_half_a_pixel(
    placement: Placement, seed: int
) -> None:
    """Half a canvas pixel, or half a stored one where the canvas is finer than the image."""
    points = canvas_centres(placement, seed)
    pixel_centres = np.floor(placement.to_stored(points)) + 0.5
    error = np.abs(placement.to_canvas(pixel_centres) - points)
    magnified = [
        placement.canvas_height / placement.height,
        placement.canvas_width / placement.width,
    ]
    assert (error <= 0.5 * np.maximum(magnified, 1) + 1e-6).all()


@given(placement=placements())
def test_the_corners_of_the_canvas_are_the_corners_of_the_box(placement: Placement) -> None:
    corners = [[0, 0], [placement.canvas_height, placement.canvas_width]]
    box = [
        [placement.top, placement.left],
        [placement.top + placement.height, placement.left + placement.width],
    ]
    assert np.allclose(placement.to_stored(corners), box)


def test_spans_that_stand_apart_meet_on_the_canvas() -> None:
    placement = Placement(
        rows=((0, 10),),
        columns=((10, 16), (20, 26)),
        canvas_height=10,
        canvas_width=12,
        stored_height=10,
        stored_width=30,
    )
    stored = placement.to_stored([[0, 0], [5, 5.5], [5, 6.5], [10, 12]])
    assert stored.tolist() == [[0, 10], [5, 15.5], [5, 20.5], [10, 26]]
    assert placement.to_canvas(stored).tolist() == [[0, 0], [5, 5.5], [5, 6.5], [10, 12]]
    assert placement.to_canvas([[5, 18]]).tolist() == [[5, 6]]  # in the gap: the seam
    assert (placement.left, placement.width) == (10, 16)


def test_indices_fall_into_runs() -> None:
    assert spans([3, 4, 5, 9, 11, 12]) == ((3, 6), (9, 10), (11, 13))


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(300, 1500),
    columns=st.integers(250, 1200),
    laterality=st.sampled_from("LR"),
    place=st.tuples(st.floats(0.35, 0.65), st.floats(0.15, 0.4)),
    seed=st.integers(0, 9),
)
def test_a_marker_drawn_into_the_image_is_where_the_placement_says(
    rows: int, columns: int, laterality: str, place: tuple[float, float], seed: int
) -> None:
    ds = mammogram_dataset(rows=rows, columns=columns, laterality=laterality, seed=seed)
    pixels = np.minimum(stored_pixels(ds), 2400)
    across = place[1] if laterality == "L" else 1 - place[1]
    row, column = int(place[0] * rows), int(across * columns)
    pixels[row - 4 : row + 5, column - 4 : column + 5] = 4095  # centred on a pixel centre
    rendered = render(read_mammogram(dicom_bytes(set_pixels(ds, pixels))), Recipe())
    bright = np.argwhere(rendered.canvas > 200) + 0.5
    expected = rendered.placement.to_canvas([[row + 0.5, column + 0.5]])[0]
    assert bright.mean(axis=0) == pytest.approx(expected, abs=1.0)
    found = rendered.placement.to_stored(bright.mean(axis=0))[0]
    assert found == pytest.approx([row + 0.5, column + 0.5], abs=0.5)
