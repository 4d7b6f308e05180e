from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.training.data.phantom.flat_view import CENTRE_MM, flat_view
from training.data.phantom.field import PX_PER_MM
from training.data.phantom.mass import MARGINS, SHARES, Mass, draw_mass, outline, sample_mass

ROUND = Mass("round", "circumscribed", "equal", size_mm=14.0, aspect=1.0)


def added_by(mass: Mass, *, seed: int = 0) -> np.ndarray:
    """(300, 300) millimetres added around the mass's centre."""
    field = flat_view(gland=0.0)
    draw_mass(np.random.default_rng(seed), field, mass, centre_mm=CENTRE_MM, contrast=1.0)
    row, column = (round(at * PX_PER_MM) for at in CENTRE_MM)
    return field.dense_mm[row - 150 : row + 150, column - 150 : column + 150]


def edge_by_sector(mass: Mass, *, seed: int) -> np.ndarray:
    """(12,) steepest fall towards the outside by sector, relative to the mass's height, a mm."""
    added = added_by(mass, seed=seed)
    steepest = []
    for angle in np.deg2rad(np.arange(0, 360, 30)):
        along = np.arange(40, 110)
        rows = np.rint(150 + along * np.sin(angle)).astype(int)
        columns = np.rint(150 + along * np.cos(angle)).astype(int)
        profile = added[rows, columns]
        steepest.append((profile[:-5] - profile[5:]).max() / added.max() * PX_PER_MM / 5)
    return np.array(steepest)


def test_boxes_are_as_large_as_cbis_ddsm_has_them() -> None:
    rng = np.random.default_rng(1)
    field = flat_view()
    sizes = []
    for _ in range(150):
        box = draw_mass(rng, field, sample_mass(rng), centre_mm=CENTRE_MM, contrast=0.01)
        assert box is not None
        sizes.append(box.area**0.5 / PX_PER_MM)
    cbis = [8.4, 10.6, 13.3, 16.9, 21.9]
    np.testing.assert_allclose(np.percentile(sizes, [10, 25, 50, 75, 90]), cbis, rtol=0.15)


def test_shapes_and_margins_are_as_frequent_as_in_cbis_ddsm() -> None:
    shares = np.array([*SHARES.values()])
    shapes, margins = np.array([123, 321, 305, 351]), np.array([305, 197, 108, 278, 281])
    assert tuple(SHARES) == MARGINS
    np.testing.assert_allclose(shares.sum(0), 100 * shapes / shapes.sum(), atol=0.6)
    np.testing.assert_allclose(shares.sum(1), 100 * margins / margins.sum(), atol=0.6)
    rng = np.random.default_rng(2)
    drawn = Counter(sample_mass(rng).margin for _ in range(2000))
    assert drawn["spiculated"] / 2000 == pytest.approx(0.24, abs=0.04)


def test_a_circumscribed_margin_is_steeper_than_an_indistinct_one() -> None:
    sharp = np.median([edge_by_sector(ROUND, seed=seed) for seed in range(6)])
    vague = np.median(
        [edge_by_sector(replace(ROUND, margin="indistinct"), seed=seed) for seed in range(6)]
    )
    assert sharp > 1.6 * vague


def test_an_obscured_margin_is_steep_in_places_only() -> None:
    for seed in range(4):
        steep = edge_by_sector(replace(ROUND, margin="obscured"), seed=seed)
        clear = edge_by_sector(ROUND, seed=seed)
        assert steep.max() > 0.7 * clear.max()
        assert steep.min() < 0.6 * clear.min()


def test_a_spiculated_mass_has_rays_around_its_body_and_no_other_has() -> None:
    angle = np.linspace(0, 2 * np.pi, 720)
    rows, columns = (150 + 82 * wave(angle) for wave in (np.sin, np.cos))
    rays = {}
    for margin in MARGINS:
        added = added_by(replace(ROUND, margin=margin), seed=3)
        ring = added[np.rint(rows).astype(int), np.rint(columns).astype(int)]
        around = np.convolve(np.concatenate([ring, ring]), np.full(60, 1 / 60), "same")[360:1080]
        rays[margin] = float(np.std(np.roll(ring, -360) - around) / added.max())
    del rays["obscured"]  # by the texture of what covers it
    assert rays.pop("spiculated") > 3 * max(rays.values())


@pytest.mark.parametrize("shape", ["round", "oval", "lobulated", "irregular"])
def test_the_outline_is_as_large_as_it_says(shape: str) -> None:
    angle = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        radii = outline(rng, replace(ROUND, shape=shape), body_mm=12.0)
        box = np.ptp(radii * np.sin(angle)) * np.ptp(radii * np.cos(angle))
        assert box**0.5 == pytest.approx(12.0, abs=0.05)


def test_an_irregular_outline_is_rougher_than_a_lobulated_and_that_than_an_oval_one() -> None:
    rough = {}
    for shape, aspect in (("oval", 1.5), ("lobulated", 1.2), ("irregular", 1.2)):
        mass = replace(ROUND, shape=shape, aspect=aspect)
        rough[shape] = np.mean(
            [
                np.abs(np.fft.rfft(np.log(outline(np.random.default_rng(s), mass, body_mm=12.0))))[
                    3:12
                ].sum()
                for s in range(30)
            ]
        )
    assert rough["irregular"] > rough["lobulated"] > 1.5 * rough["oval"]


def test_a_mass_of_high_density_adds_more_than_an_equal_and_that_more_than_a_low_one() -> None:
    low, equal, high = (
        added_by(replace(ROUND, density=word)).max() for word in ("low", "equal", "high")
    )
    assert 0.3 * ROUND.size_mm < low < equal < high < ROUND.size_mm
