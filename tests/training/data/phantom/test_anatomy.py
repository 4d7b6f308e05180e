"""One anatomy, four views: places agree between projections, and outlines are those of breasts."""

import numpy as np
import pytest

from training.data.phantom.anatomy import Anatomy, sample_anatomies, sample_outline
from training.data.phantom.field import Place, Projection, project
from training.data.phantom.outline import project_all
from training.data.phantom.silhouette import COARSE_MM, silhouette, width_mm
from training.data.phantom.texture import FIELD_SHAPE, lines, power_law_fields
from training.data.records import Density


@pytest.fixture(scope="module")
def breasts() -> list[Anatomy]:
    rng = np.random.default_rng(3)
    return [breast for density in Density for breast in sample_anatomies(rng, density)]


def test_a_place_is_as_far_from_the_nipple_in_both_views_of_a_breast(
    breasts: list[Anatomy],
) -> None:
    for breast in breasts:
        distances = []
        for projection in Projection:
            outline = sample_outline(np.random.default_rng(4), breast, projection)
            row, column = project(Place(0.4, 0.0, 0.0), projection, outline)
            distances.append(np.hypot(row - outline.nipple[0], column - outline.nipple[1]))
        assert distances[0] == pytest.approx(distances[1], rel=0.25)


@pytest.mark.parametrize("projection", Projection)
def test_places_that_lesions_take_lie_within_the_breast(
    breasts: list[Anatomy], projection: Projection
) -> None:
    rng = np.random.default_rng(5)
    for breast in breasts:
        outline = sample_outline(rng, breast, projection)
        form = silhouette(outline)
        places = rng.uniform([0.15, -0.75, -0.75], [0.8, 0.75, 0.75], (40, 3))
        points = project_all(places, projection, outline)
        points = points[points[:, 1] < width_mm(outline)]  # the largest breasts leave the frame
        assert len(points) >= 30
        rows, columns = (np.clip(points, 0, None) / COARSE_MM).astype(int).T
        assert form.inside[rows, columns].all()


def test_upper_places_are_above_in_mlo_and_outer_ones_in_cc(breasts: list[Anatomy]) -> None:
    rng = np.random.default_rng(6)
    for breast in breasts:
        oblique = sample_outline(rng, breast, Projection.MLO)
        frontal = sample_outline(rng, breast, Projection.CC)
        upper, lower = (
            project(Place(0.5, side * 0.6, 0.0), Projection.MLO, oblique)[0] for side in (1, -1)
        )
        outer, inner = (
            project(Place(0.5, 0.0, side * 0.6), Projection.CC, frontal)[0] for side in (1, -1)
        )
        assert upper < lower
        assert outer < inner


def test_left_and_right_of_a_woman_are_alike_and_not_equal() -> None:
    rng = np.random.default_rng(7)
    pairs = [sample_anatomies(rng, Density.B) for _ in range(60)]
    areas = np.log([[left.area_mm2, right.area_mm2] for left, right in pairs])
    assert np.corrcoef(areas.T)[0, 1] > 0.7
    assert (areas[:, 0] != areas[:, 1]).all()


def test_glandular_tissue_narrows_towards_the_nipple(breasts: list[Anatomy]) -> None:
    for breast in breasts:
        depth = breast.lumps[:, 0]
        spread = np.hypot(breast.lumps[:, 1], breast.lumps[:, 2])
        outline = sample_outline(np.random.default_rng(8), breast, Projection.CC)
        points = project_all(breast.lumps, Projection.CC, outline)
        across = np.abs(points[:, 0] - outline.nipple[0])
        assert across[depth > 0.8].mean() < 0.6 * across[depth < 0.6].mean()
        assert spread[depth > 0.9].mean() < spread.mean()


def test_the_lower_half_of_an_oblique_view_hangs_fuller_than_the_upper(
    breasts: list[Anatomy],
) -> None:
    for breast in breasts:
        outline = sample_outline(np.random.default_rng(9), breast, Projection.MLO)
        half_way = 0.75 * outline.depth
        above = outline.half_extent(half_way, up=True) / outline.above
        below = outline.half_extent(half_way, up=False) / outline.below
        assert below > above


def test_the_silhouette_is_one_piece_with_the_nipple_at_its_front(breasts: list[Anatomy]) -> None:
    for breast in breasts:
        outline = sample_outline(np.random.default_rng(10), breast, Projection.CC)
        form = silhouette(outline)
        reach = form.inside.sum(1) * COARSE_MM
        front = int(reach.argmax()) * COARSE_MM
        assert front == pytest.approx(outline.nipple[0], abs=5)
        assert reach.max() == pytest.approx(outline.nipple[1], abs=7)


def test_the_field_s_spectrum_falls_with_the_third_power() -> None:
    fields = power_law_fields(np.random.default_rng(5))
    frequency = np.hypot(
        np.fft.fftfreq(FIELD_SHAPE[0])[:, None], np.fft.rfftfreq(FIELD_SHAPE[1])[None]
    )
    chosen = (frequency > 0.01) & (frequency < 0.2)
    for field in fields:
        spectrum = np.abs(np.fft.rfft2(field)) ** 2
        slope = np.polyfit(np.log(frequency[chosen]), np.log(spectrum[chosen]), 1)[0]
        assert slope == pytest.approx(-3.0, abs=0.1)
    assert abs(np.corrcoef(fields[0].ravel(), fields[1].ravel())[0, 1]) < 0.3


def test_lines_are_as_wide_as_they_are_asked_to_be_however_steep_the_noise() -> None:
    column = np.arange(200, dtype=np.float32)
    for slope in (0.02, 0.5):
        noise = np.tile((column - 100) * np.float32(slope), (20, 1))
        drawn = lines(noise, half_width_mm=1.0)
        assert (drawn[10] > 0.5).sum() * COARSE_MM == pytest.approx(2.0, abs=0.5)
