import numpy as np
import pytest

from tests.training.data.phantom.flat_view import CENTRE_MM, flat_view
from training.data.phantom.distractors import draw_distractors, draw_normal_node
from training.data.phantom.field import PX_PER_MM, Projection
from training.data.phantom.lymph_node import (
    LymphNode,
    axillary_place,
    draw_lymph_node,
    sample_lymph_node,
)

ROW, COLUMN = (round(at * PX_PER_MM) for at in CENTRE_MM)


def test_a_suspicious_node_is_over_ten_mm_and_rounder_and_denser_than_a_normal_one() -> None:
    rng = np.random.default_rng(1)
    for _ in range(100):
        bad, good = (sample_lymph_node(rng, suspicious=is_bad) for is_bad in (True, False))
        assert bad.size_mm / bad.aspect >= 10
        assert bad.aspect < good.aspect
        assert bad.height_mm > good.height_mm


@pytest.mark.parametrize("hilum", [True, False])
def test_a_normal_node_has_fat_within_and_a_suspicious_one_has_none(hilum: bool) -> None:
    field = flat_view(gland=0.0)
    node = LymphNode(size_mm=14.0, aspect=1.2, height_mm=8.0, hilum=hilum)
    draw_lymph_node(np.random.default_rng(2), field, node, centre_mm=CENTRE_MM, contrast=1.0)
    within = field.dense_mm[ROW - 35 : ROW + 36, COLUMN - 35 : COLUMN + 36]
    assert (float(within.min()) < 0.3 * node.height_mm) is hilum


def test_nodes_lie_in_the_axilla_of_an_mlo_view_and_a_cc_view_has_no_room_for_one() -> None:
    field = flat_view(Projection.MLO)
    for seed in range(20):
        place = axillary_place(np.random.default_rng(seed), field, margin_mm=8.0)
        assert place is not None
        assert place[0] < 50
        assert field.inside[round(place[0] * PX_PER_MM), round(place[1] * PX_PER_MM)]
    assert axillary_place(np.random.default_rng(0), flat_view(), margin_mm=8.0) is None
    assert draw_normal_node(np.random.default_rng(0), flat_view(), contrast=1.0) is None


def test_what_is_benign_is_in_most_views_and_in_the_breast_only() -> None:
    rng = np.random.default_rng(3)
    changed = 0
    for _ in range(12):
        field = flat_view(Projection.MLO)
        before = field.dense_mm.copy()
        draw_distractors(rng, field, contrast=1.0)
        changed += bool(field.calcium_mm.any())
        assert not field.calcium_mm[~field.inside].any()
        assert not (field.dense_mm - before)[~field.inside].any()
    assert changed >= 8
