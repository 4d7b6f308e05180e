import numpy as np
import pytest

from tests.training.data.phantom.flat_view import NIPPLE_MM, flat_view
from training.data.phantom.field import PX_PER_MM
from training.data.phantom.nipple import (
    NippleRetraction,
    draw_nipple_retraction,
    sample_nipple_retraction,
)
from training.data.phantom.skin import (
    SkinThickening,
    draw_skin_thickening,
    sample_skin_thickening,
)

LOCAL = SkinThickening(thickness_mm=5.0, reach_mm=25.0, diffuse=False)
UPPER_MM = (40.0, 50.0)
RETRACTION = NippleRetraction(depth_mm=6.0, width_mm=7.0, strands=7, height_mm=6.0)


def test_thick_skin_is_a_band_along_the_skin_line_as_thick_as_it_says() -> None:
    field = flat_view(gland=0.0)
    box = draw_skin_thickening(
        np.random.default_rng(1), field, LOCAL, centre_mm=UPPER_MM, contrast=1.0
    )
    assert box is not None
    dense = field.dense_mm > 0.5 * field.thickness_mm
    depth = field.skin_mm[dense & field.inside]
    assert 0.7 * LOCAL.thickness_mm < np.percentile(depth, 98) < 1.5 * LOCAL.thickness_mm
    assert box.bottom < NIPPLE_MM[0] * PX_PER_MM  # of the upper half only


def test_diffuse_thickening_reaches_both_sides_of_the_nipple() -> None:
    field = flat_view()
    diffuse = SkinThickening(thickness_mm=4.0, reach_mm=80.0, diffuse=True)
    box = draw_skin_thickening(
        np.random.default_rng(2), field, diffuse, centre_mm=UPPER_MM, contrast=1.0
    )
    assert box is not None
    assert box.top < (NIPPLE_MM[0] - 30) * PX_PER_MM
    assert box.bottom > (NIPPLE_MM[0] + 30) * PX_PER_MM


def test_no_thickening_is_within_what_is_normal() -> None:
    rng = np.random.default_rng(3)
    thickest = [sample_skin_thickening(rng).thickness_mm for _ in range(200)]
    assert min(thickest) > 2.5  # normal skin is up to 2 mm


def test_a_retracted_nipple_lies_behind_the_skin_beside_it() -> None:
    field = flat_view()
    row = round(NIPPLE_MM[0] * PX_PER_MM)
    before = field.inside[row].sum()
    box = draw_nipple_retraction(np.random.default_rng(4), field, RETRACTION, contrast=1.0)
    assert box is not None
    reach = field.inside.sum(1)
    assert reach[row] < before - 8 * PX_PER_MM  # the nipple's 4 mm and the dimple's 6, about
    assert reach[row] < reach[row - 150 : row - 100].max() - 2 * PX_PER_MM
    assert box.left < reach[row] < box.right


def test_what_became_air_holds_nothing_and_the_breast_thins_towards_it() -> None:
    field = flat_view()
    draw_nipple_retraction(np.random.default_rng(5), field, RETRACTION, contrast=1.0)
    for values in (field.dense_mm, field.thickness_mm, field.skin_mm):
        assert not values[~field.inside].any()
    row = round(NIPPLE_MM[0] * PX_PER_MM)
    edge = int(field.inside[row].sum())
    fall = field.thickness_mm[row, edge - 100 : edge : 20]
    assert (np.diff(fall) < 0).all()
    assert field.skin_mm[row, edge - 30] == pytest.approx(3.0, abs=0.3)


def test_strands_run_back_from_the_retracted_nipple() -> None:
    rng = np.random.default_rng(6)
    for _ in range(5):
        field = flat_view(gland=0.0)
        draw_nipple_retraction(rng, field, sample_nipple_retraction(rng), contrast=1.0)
        row, column = (round(at * PX_PER_MM) for at in NIPPLE_MM)
        across = field.dense_mm[row - 110 : row + 110, column - 200]
        assert 2 <= int((np.diff((across > 0.5).astype(int)) == 1).sum()) <= 9
