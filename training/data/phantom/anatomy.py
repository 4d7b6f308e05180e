"""What both views of a breast share: its size, its form and where its glandular tissue lies.

A woman's breasts are alike and not equal: the left is drawn from her plan, and so is the right.
Area and dense share by density class: 403 women (facts in LOG.md).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.phantom.outline import Outline, Projection
from training.data.phantom.silhouette import fitted
from training.data.records import Density

Points = NDArray[np.float64]

AREA_CM2 = {Density.A: 239.0, Density.B: 156.0, Density.C: 119.0, Density.D: 96.0}
AREA_SPREAD, AREA_RANGE = 0.16, (70.0, 300.0)
DENSE_SHARE = {  # mean, sd and limits; the limits lie midway between the means
    Density.A: (0.040, 0.022, 0.008, 0.118),
    Density.B: (0.193, 0.045, 0.118, 0.298),
    Density.C: (0.404, 0.050, 0.298, 0.513),
    Density.D: (0.623, 0.055, 0.513, 0.800),
}
THICKNESS_MM = {Density.A: 60.0, Density.B: 55.0, Density.C: 45.0, Density.D: 35.0}  # VICTRE
LOBES, CLUSTERS, LUMPS = 15, 8, 12


@dataclass(frozen=True, slots=True, eq=False)
class Anatomy:
    """One breast. Places are depth, upper, outer, as in Place.

    ducts: (lobes, points, 3) from the nipple backwards. lumps: (N, 3); lump_mm: (N,) their sizes.
    slenderness: height over depth; powers: the tip's, outer or upper side's, inner or lower side's.
    """

    density: Density
    dense_share: float
    area_mm2: float
    thickness_mm: float
    slenderness: float
    powers: tuple[float, float, float]
    sag: float
    muscle_share: float
    ducts: Points
    lumps: Points
    lump_mm: Points


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """Of a woman: numbers as of Anatomy, and her lobes' directions, lengths and widths."""

    density: Density
    dense_share: float
    area_cm2: float
    thickness_mm: float
    slenderness: float
    powers: Points
    sag: float
    muscle_share: float
    direction: Points
    end: Points
    width: Points
    hollow: float


def sample_anatomies(rng: np.random.Generator, density: Density) -> tuple[Anatomy, Anatomy]:
    """A woman's two breasts."""
    plan = _sample_plan(rng, density)
    return _breast(rng, plan), _breast(rng, plan)


def _sample_plan(rng: np.random.Generator, density: Density) -> _Plan:
    area = AREA_CM2[density] * np.exp(rng.normal(0, AREA_SPREAD) - AREA_SPREAD**2 / 2)
    dense = _dense_share(rng, density)
    turn = rng.uniform(0, 2 * np.pi)
    direction = turn + (np.arange(LOBES) + rng.normal(0, 0.3, LOBES)) * 2 * np.pi / LOBES
    # Dense breasts are filled to the back and sides; most tissue lies above and outwards.
    upper_outer = 0.5 + 0.5 * np.cos(direction - np.pi / 4)
    end = rng.uniform(0.3, 0.6, LOBES) - 0.25 * dense - 0.12 * upper_outer
    width = rng.uniform(0.3, 0.75, LOBES) * (0.75 + 0.6 * dense) + 0.25 * upper_outer
    return _Plan(
        density=density,
        dense_share=dense,
        area_cm2=float(np.clip(area, *AREA_RANGE)),
        thickness_mm=THICKNESS_MM[density] * float(np.exp(rng.normal(0, 0.1))),
        slenderness=float(rng.uniform(0.95, 1.22)),
        powers=rng.uniform([1.6, 1.75, 1.8], [2.1, 2.15, 2.35]),
        sag=float(rng.uniform(0.0, 1.0)),
        muscle_share=float(rng.uniform(0.15, 0.21)),
        direction=direction,
        end=np.clip(end, 0.08, 0.6),
        width=np.clip(width, 0.2, 1.05),
        hollow=float(rng.uniform(0.0, 0.6)),
    )


def _dense_share(rng: np.random.Generator, density: Density) -> float:
    mean, spread, low, high = DENSE_SHARE[density]
    while not low < (share := float(rng.normal(mean, spread))) < high:
        pass
    return share


def _breast(rng: np.random.Generator, plan: _Plan) -> Anatomy:
    lobe = rng.normal(0, [0.08, 0.03, 0.05], (LOBES, 3))
    ducts = _ducts(rng, plan, lobe)
    lumps, sizes = _lumps(rng, ducts, plan)
    _, _, low, high = DENSE_SHARE[plan.density]
    return Anatomy(
        density=plan.density,
        dense_share=float(np.clip(plan.dense_share * np.exp(rng.normal(0, 0.05)), low, high)),
        area_mm2=100 * plan.area_cm2 * float(np.exp(rng.normal(0, 0.04))),
        thickness_mm=plan.thickness_mm * float(np.exp(rng.normal(0, 0.03))),
        slenderness=plan.slenderness * float(np.exp(rng.normal(0, 0.03))),
        powers=tuple((plan.powers + rng.normal(0, 0.03, 3)).tolist()),
        sag=plan.sag,
        muscle_share=plan.muscle_share * float(np.exp(rng.normal(0, 0.04))),
        ducts=ducts,
        lumps=lumps,
        lump_mm=sizes,
    )


def _ducts(rng: np.random.Generator, plan: _Plan, lobe: Points) -> Points:
    """(lobes, 24, 3): each winds backwards and outwards from the nipple."""
    t = np.linspace(0, 1, 24)[None, :]
    direction = (plan.direction + lobe[:, 0])[:, None] + 0.25 * np.sin(
        4 * t + rng.uniform(0, 6, (LOBES, 1))
    ) * t
    out = (plan.width + lobe[:, 2])[:, None] * t**0.85
    depth = 1 - t * (1 - (plan.end + lobe[:, 1])[:, None])
    return np.stack([depth, out * np.sin(direction), out * np.cos(direction)], -1)


def _lumps(rng: np.random.Generator, ducts: Points, plan: _Plan) -> tuple[Points, Points]:
    """Lobules in clusters along the ducts: a clustered lumpy background (Bochud 1999), in 3-D."""
    shape = (LOBES, CLUSTERS)
    at = rng.beta(1.25, 1.2, shape) * (ducts.shape[1] - 1)
    centre = ducts[np.arange(LOBES)[:, None], at.astype(int)]
    centre = centre + rng.normal(0, [0.02, 0.07, 0.07], (*shape, 3))
    spread = rng.uniform(0.4, 1.6, (*shape, 1, 1))
    scatter = rng.normal(0, [0.035, 0.07, 0.07], (*shape, LUMPS, 3)) * spread
    lumps = (centre[:, :, None] + scatter).reshape(-1, 3)
    kept = rng.random(len(lumps)) < 1 - 0.5 * plan.hollow * (np.hypot(*lumps[:, 1:].T) < 0.3)
    lumps = np.clip(lumps, [0.02, -1.1, -1.1], [0.99, 1.1, 1.1])[kept]
    return lumps, rng.choice([1.4, 2.4, 4.2], len(lumps), p=[0.4, 0.35, 0.25])


def sample_outline(rng: np.random.Generator, anatomy: Anatomy, projection: Projection) -> Outline:
    """The silhouette of one view: its compression and position differ, its size does not."""
    depth = float(np.sqrt(anatomy.area_mm2 / (1.58 * anatomy.slenderness)))
    half = depth * anatomy.slenderness
    tip, above, _ = anatomy.powers
    ripple = tuple(rng.normal(0, [1.1, 0.7, 0.5]).tolist())
    if projection is Projection.CC:
        upper = float(rng.uniform(0.92, 1.12))
        outline = Outline(
            projection,
            nipple=(115 + float(rng.uniform(-5, 5)), depth - float(rng.uniform(2, 7))),
            depth=depth,
            above=half * upper,
            below=half * (2 - upper),
            tilt=float(rng.normal(0.02, 0.05)),
            tip_power=tip,
            above_power=above,
            below_power=above - float(rng.uniform(0.0, 0.25)),
            ripple=ripple,
        )
        return fitted(outline, area_mm2=anatomy.area_mm2, muscle_share=0)
    return _oblique(rng, anatomy, depth=depth, ripple=ripple)


def _oblique(
    rng: np.random.Generator,
    anatomy: Anatomy,
    *,
    depth: float,
    ripple: tuple[float, float, float],
) -> Outline:
    half = depth * anatomy.slenderness
    tip, above, below = anatomy.powers
    tilt = float(rng.uniform(0.16, 0.26)) + 0.1 * anatomy.sag
    foot_row = float(rng.uniform(102, 112)) - 0.10 * half * anatomy.sag
    foot_column = float(rng.uniform(6, 14))
    muscle = float(np.sqrt(anatomy.area_mm2 * anatomy.muscle_share / 0.5 / 2.6))
    bottom = 2.6 * muscle
    outline = Outline(
        Projection.MLO,
        nipple=(foot_row + depth * float(np.sin(tilt)), foot_column + depth * float(np.cos(tilt))),
        depth=depth,
        above=half * (1.0 - 0.05 * anatomy.sag),
        below=half * (0.86 - 0.06 * anatomy.sag),
        tilt=tilt,
        tip_power=tip + 0.1,
        above_power=above - 0.15 - 0.2 * anatomy.sag,
        below_power=below + 0.25 * anatomy.sag,
        ripple=ripple,
        muscle_top=muscle,
        muscle_bottom=bottom,
        muscle_bulge=muscle * float(rng.uniform(0.05, 0.16)),
        axilla=muscle + float(rng.uniform(16, 34)),
        axilla_bottom=foot_row + float(rng.uniform(0, 25)),
        abdomen=float(rng.uniform(4, 18)),
        abdomen_top=foot_row + 0.72 * half + float(rng.uniform(0, 8)),
    )
    return fitted(outline, area_mm2=anatomy.area_mm2, muscle_share=anatomy.muscle_share)
