import numpy as np
import pytest

from tests.training.data.phantom.flat_view import CENTRE_MM, flat_view
from training.data.phantom.distortion import Distortion, draw_distortion
from training.data.phantom.field import PX_PER_MM, Projection

DISTORTION = Distortion(size_mm=26.0, strands=20, pull=0.45, height_mm=5.0)
ROW, COLUMN = (round(at * PX_PER_MM) for at in CENTRE_MM)


@pytest.fixture(scope="module")
def added() -> np.ndarray:
    """(240, 240) around the middle."""
    field = flat_view(gland=0.0)
    draw_distortion(np.random.default_rng(1), field, DISTORTION, centre_mm=CENTRE_MM, contrast=1.0)
    return field.dense_mm[ROW - 120 : ROW + 120, COLUMN - 120 : COLUMN + 120]


def test_its_strands_radiate_from_the_middle(added: np.ndarray) -> None:
    down, right = np.gradient(added)
    rows, columns = np.mgrid[-119.5:120, -119.5:120]
    radius = np.hypot(rows, columns)
    outwards = (down * rows + right * columns) / radius
    around = (right * rows - down * columns) / radius
    ring = (radius > 25) & (radius < 100)
    assert np.square(around[ring]).sum() > 4 * np.square(outwards[ring]).sum()


def test_there_is_no_mass_in_the_middle(added: np.ndarray) -> None:
    def mean(radius_mm: float) -> float:
        rows, columns = np.mgrid[-119.5:120, -119.5:120]
        return float(added[np.hypot(rows, columns) < radius_mm * PX_PER_MM].mean())

    assert mean(5.0) < 0.45 * DISTORTION.height_mm  # in a mass of 10 mm it is 0.7


def test_tissue_is_pulled_towards_the_middle() -> None:
    field = flat_view(gland=0.0)
    field.dense_mm[ROW - 2 : ROW + 3, COLUMN + 60 : COLUMN + 65] = 20.0  # 6 mm beside it
    draw_distortion(np.random.default_rng(1), field, DISTORTION, centre_mm=CENTRE_MM, contrast=1.0)
    line = field.dense_mm[ROW, COLUMN + 20 : COLUMN + 80]
    assert 20 + int(line.argmax()) < 56


def test_the_muscle_stays_where_it_is() -> None:
    field = flat_view(Projection.MLO)
    before = field.dense_mm.copy()
    edge = (30.0, 26.0)  # on the muscle's edge
    draw_distortion(np.random.default_rng(1), field, DISTORTION, centre_mm=edge, contrast=1.0)
    lost = (before - field.dense_mm)[field.muscle]
    assert float(lost.max()) < 0.5
