"""Phantoms: the same for the same seed, lesions where their boxes say, nothing else that tells."""

import numpy as np
import pytest

from training.data.phantom import (
    COLUMNS,
    MAXIMUM,
    ROWS,
    PhantomRules,
    PhantomView,
    Projection,
    Side,
    make_study,
    study_generator,
)
from training.data.phantom_lesions import (
    draw_calcifications,
    draw_mass,
    sample_calcifications,
    sample_mass,
)
from training.data.phantom_tissue import power_law_field

BOTH = PhantomRules(mass_share=1.0, calcification_share=1.0)


@pytest.fixture(scope="module")
def views() -> list[PhantomView]:
    return [v for number in range(2) for v in make_study(study_generator(7, number), BOTH).views]


def test_a_study_is_a_function_of_its_seed_and_number() -> None:
    first, again = (make_study(study_generator(1, 2)) for _ in range(2))
    other = make_study(study_generator(1, 3))
    assert first.breasts == again.breasts
    for one, two in zip(first.views, again.views, strict=True):
        np.testing.assert_array_equal(one.pixels, two.pixels)
    assert not np.array_equal(first.views[0].pixels, other.views[0].pixels)


def test_a_study_has_the_four_standard_views_in_twelve_bits(views: list[PhantomView]) -> None:
    assert {(v.side, v.projection) for v in views[:4]} == {(s, p) for s in Side for p in Projection}
    for view in views:
        assert view.pixels.shape == (ROWS, COLUMNS)
        assert view.pixels.dtype == np.uint16
        assert view.pixels.max() == MAXIMUM  # the marker: the same maximum for sick and healthy


def test_boxes_lie_in_the_breast_and_are_as_large_as_their_lesions(
    views: list[PhantomView],
) -> None:
    for view in views:
        assert view.mass_box is not None
        assert view.calcifications_box is not None
        for box, low_px, high_px in (
            (view.mass_box, 70, 330),
            (view.calcifications_box, 20, 112),
        ):
            assert 0 <= box.top < box.bottom <= ROWS
            assert 0 <= box.left < box.right <= COLUMNS
            assert low_px <= max(box.bottom - box.top, box.right - box.left) <= high_px
            assert (view.pixels[box.top : box.bottom, box.left : box.right] > 0).mean() > 0.7


def test_the_chest_wall_is_left_in_left_breasts_and_right_in_right_ones(
    views: list[PhantomView],
) -> None:
    for view in views:
        edge = (
            view.pixels[ROWS // 2, :10] if view.side is Side.LEFT else view.pixels[ROWS // 2, -10:]
        )
        assert (edge > 0).all()


def test_air_is_exactly_zero(views: list[PhantomView]) -> None:
    for view in views:
        assert 0.2 < (view.pixels == 0).mean() < 0.85


def test_a_mass_is_brighter_than_the_ring_around_it(views: list[PhantomView]) -> None:
    """Against texture of twice its contrast this holds on average, not for each."""
    differences = []
    for view in views:
        box = view.mass_box
        assert box is not None
        pixels = view.pixels.astype(float)
        inner = pixels[box.top : box.bottom, box.left : box.right]
        ring = pixels[
            max(box.top - 60, 0) : box.bottom + 60, max(box.left - 60, 0) : box.right + 60
        ]
        differences.append(np.median(inner) - np.median(ring[ring > 0]))
    assert np.mean(differences) > 100


def test_a_lesion_share_of_zero_draws_none() -> None:
    study = make_study(study_generator(1, 0), PhantomRules(0.0, 0.0))
    assert all(v.mass_box is None and v.calcifications_box is None for v in study.views)


def test_texture_follows_a_power_law_of_exponent_three() -> None:
    field = power_law_field(np.random.default_rng(5))
    spectrum = np.abs(np.fft.rfft2(field)) ** 2
    frequency = np.hypot(
        np.fft.fftfreq(field.shape[0])[:, None], np.fft.rfftfreq(field.shape[1])[None]
    )
    chosen = (frequency > 0.01) & (frequency < 0.2)
    slope = np.polyfit(np.log(frequency[chosen]), np.log(spectrum[chosen]), 1)[0]
    assert slope == pytest.approx(-3.0, abs=0.1)


@pytest.mark.parametrize("seed", range(5))
def test_a_cluster_is_drawn_within_its_box_and_nowhere_else(seed: int) -> None:
    rng = np.random.default_rng(seed)
    air = np.zeros((400, 300), np.float32)
    box = draw_calcifications(
        rng, air, cluster=sample_calcifications(rng), centre_mm=(20, 15), contrast=1.0
    )
    drawn = air > 20
    assert drawn[box.top : box.bottom, box.left : box.right].sum() == drawn.sum() > 20


@pytest.mark.parametrize("seed", range(5))
def test_a_mass_fills_its_box_and_only_spicules_leave_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    air = np.zeros((600, 600), np.float32)
    mass = sample_mass(rng)
    box = draw_mass(rng, air, mass=mass, centre_mm=(30, 30), contrast=1.0)
    inside = air[box.top : box.bottom, box.left : box.right]
    assert (inside > 100).mean() > 0.6
    outside = air.sum() - inside.sum()
    assert outside / air.sum() < (0.3 if mass.spiculated else 0.02)


def test_contrast_scales_a_lesion() -> None:
    drawn = []
    for contrast in (1.0, 0.5):
        rng = np.random.default_rng(1)
        air = np.zeros((600, 600), np.float32)
        draw_mass(rng, air, mass=sample_mass(rng), centre_mm=(30, 30), contrast=contrast)
        drawn.append(air)
    np.testing.assert_allclose(drawn[1], drawn[0] / 2, rtol=1e-5)
