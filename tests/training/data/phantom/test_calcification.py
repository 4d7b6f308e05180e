from dataclasses import replace

import cv2
import numpy as np
import pytest

from tests.training.data.phantom.flat_view import CENTRE_MM, NIPPLE_MM, flat_view
from training.data.phantom.calcification import (
    Cluster,
    draw_cluster,
    positions,
    sample_cluster,
    speck,
)
from training.data.phantom.field import PX_PER_MM

GROUPED = Cluster("fine pleomorphic", "grouped", size_mm=9.0, specks=14)


def test_regions_are_as_large_as_cbis_ddsm_has_them() -> None:
    rng = np.random.default_rng(1)
    sizes = [sample_cluster(rng).size_mm for _ in range(3000)]
    cbis = [4.2, 7.0, 12.9, 24.0, 41.0]
    np.testing.assert_allclose(np.percentile(sizes, [10, 25, 50, 75, 90]), cbis, rtol=0.2)


def test_a_grouped_cluster_has_five_specks_within_a_centimetre() -> None:
    rng = np.random.default_rng(2)
    for _ in range(100):
        cluster = replace(sample_cluster(rng), distribution="grouped")
        points = positions(rng, cluster, heading=0.0)
        near = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1)) <= 5
        assert near.sum(1).max() >= 5
        assert len(points) == cluster.specks


def test_the_specks_drawn_can_be_counted() -> None:
    field = flat_view()
    rng = np.random.default_rng(4)
    draw_cluster(rng, field, replace(GROUPED, size_mm=18.0), centre_mm=CENTRE_MM, contrast=1.0)
    seen = (field.calcium_mm > 0.02).astype(np.uint8)
    assert GROUPED.specks - 3 <= cv2.connectedComponents(seen)[0] - 1 <= GROUPED.specks


@pytest.mark.parametrize(
    ("morphology", "low", "high"),
    [("fine pleomorphic", 0.15, 0.62), ("coarse heterogeneous", 0.45, 1.1)],
)
def test_specks_are_as_large_as_their_morphology_says(
    morphology: str, low: float, high: float
) -> None:
    rng = np.random.default_rng(5)
    diameters = []
    for _ in range(60):
        values = speck(rng, morphology, np.array([10.0, 10.0]), heading=0.0).values
        area = values.sum() / values.max() / PX_PER_MM**2  # of an even disc; small ones look larger
        diameters.append(2 * (area / np.pi) ** 0.5)
    assert low < min(diameters)
    assert max(diameters) < high


@pytest.mark.parametrize("shift_mm", [0.03, 0.05, 0.08])
def test_the_calcium_of_a_speck_does_not_depend_on_where_in_a_pixel_it_lies(
    shift_mm: float,
) -> None:
    total = [
        speck(np.random.default_rng(6), "fine pleomorphic", place, heading=0.0).values.sum()
        for place in (np.array([10.0, 10.0]), np.array([10.0 + shift_mm, 10.0 - shift_mm]))
    ]
    assert total[0] == pytest.approx(total[1], rel=0.06)


def test_a_linear_distribution_is_a_line_and_a_segmental_one_a_wedge_towards_the_nipple() -> None:
    rng = np.random.default_rng(7)
    heading = 0.6
    axis = np.array([np.sin(heading), np.cos(heading)])
    linear = positions(
        rng, Cluster("amorphous", "linear", size_mm=30.0, specks=60), heading=heading
    )
    across = linear @ np.array([axis[1], -axis[0]])
    assert np.ptp(linear @ axis) > 4 * np.ptp(across)
    wedge = positions(
        rng, Cluster("amorphous", "segmental", size_mm=30.0, specks=300), heading=heading
    )
    along, across = wedge @ axis, wedge @ np.array([axis[1], -axis[0]])
    front, back = along > np.quantile(along, 0.8), along < np.quantile(along, 0.2)
    assert np.ptp(across[front]) < 0.7 * np.ptp(across[back])


def test_fine_linear_specks_are_rods_along_the_duct() -> None:
    field = flat_view()
    cluster = Cluster("fine linear branching", "linear", size_mm=24.0, specks=20)
    draw_cluster(np.random.default_rng(8), field, cluster, centre_mm=CENTRE_MM, contrast=1.0)
    down, right = np.gradient(field.calcium_mm)
    assert CENTRE_MM[0] == NIPPLE_MM[0]  # the duct runs along the row
    assert np.square(down).sum() > 1.5 * np.square(right).sum()


def test_coarse_specks_are_thicker_than_fine_and_those_than_amorphous_ones() -> None:
    calcium = {}
    for morphology in ("coarse heterogeneous", "fine pleomorphic", "amorphous"):
        rng = np.random.default_rng(9)
        calcium[morphology] = np.mean(
            [
                speck(rng, morphology, np.array([5.0, 5.0]), heading=0.0).values.max()
                for _ in range(50)
            ]
        )
    coarse, fine, amorphous = calcium.values()
    assert coarse > fine > amorphous
