import numpy as np
import pytest

from tests.training.data.phantom.flat_view import CENTRE_MM, flat_view
from training.data.phantom.asymmetry import Asymmetry, draw_asymmetry, sample_asymmetry
from training.data.phantom.field import PX_PER_MM
from training.data.phantom.mass import Mass, draw_mass
from training.data.records import Category


def test_a_global_asymmetry_takes_a_large_part_of_the_breast_and_a_focal_one_does_not() -> None:
    share = {}
    for category in (Category.ASYMMETRY, Category.FOCAL_ASYMMETRY, Category.GLOBAL_ASYMMETRY):
        rng, field = np.random.default_rng(1), flat_view()
        asymmetry = sample_asymmetry(rng, category)
        box = draw_asymmetry(rng, field, asymmetry, centre_mm=CENTRE_MM, contrast=1.0)
        assert box is not None
        share[category] = box.area / field.inside.sum()
    assert share[Category.GLOBAL_ASYMMETRY] > 0.3
    assert share[Category.ASYMMETRY] < share[Category.FOCAL_ASYMMETRY] < 0.2


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_it_is_made_of_tissue_and_a_mass_is_a_body(seed: int) -> None:
    def roughness(kind: str) -> float:
        rng, field = np.random.default_rng(seed), flat_view(gland=0.0)
        if kind == "mass":
            mass = Mass("oval", "circumscribed", "equal", size_mm=26.0, aspect=1.3)
            draw_mass(rng, field, mass, centre_mm=CENTRE_MM, contrast=1.0)
        else:
            lesion = Asymmetry(size_mm=26.0, height_mm=10.0, aspect=1.3)
            draw_asymmetry(rng, field, lesion, centre_mm=CENTRE_MM, contrast=1.0)
        row, column = (round(at * PX_PER_MM) for at in CENTRE_MM)
        middle = field.dense_mm[row - 50 : row + 50, column - 50 : column + 50]
        return float(middle.std() / middle.mean())

    assert roughness("asymmetry") > 1.5 * roughness("mass")
