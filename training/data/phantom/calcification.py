"""Clusters of suspicious calcifications: morphology and distribution as BI-RADS has them.

Specks are drawn at an eighth of a pixel and averaged down, as millimetres of calcium along the
beam; what the detector makes of them is not known here.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model_store.arrays import F32
from training.data.phantom.field import PX_PER_MM, ViewField
from training.data.phantom.patch import Patch, Point, curve, overlap
from training.data.records import Box

FINE = 8  # parts of a pixel
MORPHOLOGIES = {
    "fine pleomorphic": 664,
    "amorphous": 138,
    "coarse heterogeneous": 106,
    "fine linear branching": 77,
}
"""CBIS-DDSM's counts; its 106 punctate ones are left out, coarse heterogeneous ones take theirs."""
DISTRIBUTIONS = {"grouped": 740, "segmental": 168, "regional": 99, "linear": 90}
SIZE_MM, SIZE_SPREAD = 12.9, 0.88  # CBIS-DDSM's regions: median, sd of the logarithm
DIAMETER_MM = {
    "fine pleomorphic": (0.165, 0.5),
    "amorphous": (0.2, 0.4),
    "coarse heterogeneous": (0.5, 0.95),
    "fine linear branching": (0.165, 0.25),
}
CALCIUM = {
    "fine pleomorphic": (1.0, 1.8),
    "amorphous": (1.0, 1.4),
    "coarse heterogeneous": (0.5, 0.9),
    "fine linear branching": (1.2, 1.8),
}
"""Calcium along the beam, as a share of a speck's diameter. Over 1 for hydroxyapatite, which
attenuates more than the oxalate that millimetres of calcium are counted in."""
Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cluster:
    """`size_mm`: sqrt(height * width) of its region (for a linear one, its length)."""

    morphology: str
    distribution: str
    size_mm: float
    specks: int

    @property
    def attributes(self) -> dict[str, str]:
        """As records.Finding has them."""
        return {"morphology": self.morphology, "distribution": self.distribution}


def sample_cluster(rng: np.random.Generator) -> Cluster:
    """Grouped ones are the smaller of all regions, the other distributions the larger."""
    distribution = _draw(rng, DISTRIBUTIONS)
    share = DISTRIBUTIONS["grouped"] / sum(DISTRIBUTIONS.values())
    grouped = distribution == "grouped"
    rank = rng.uniform(0.01, share) if grouped else rng.uniform(share, 0.97)
    size = float(np.exp(np.log(SIZE_MM) + SIZE_SPREAD * _normal_quantile(rank)))
    morphology = _draw(rng, MORPHOLOGIES)
    many = {"amorphous": 1.4, "coarse heterogeneous": 0.6}.get(morphology, 1.0)
    mean = min(8 + 1.2 * size, 55.0) * many
    return Cluster(morphology, distribution, size, specks=max(int(rng.poisson(mean)), 6))


def _draw(rng: np.random.Generator, counts: dict[str, int]) -> str:
    shares = np.array([*counts.values()], float)
    return str(rng.choice([*counts], p=shares / shares.sum()))


def _normal_quantile(rank: float) -> float:
    # Tukey's lambda of 0.14 is the normal distribution to 0.01 between ranks of 0.03 and 0.97.
    return float((rank**0.135 - (1 - rank) ** 0.135) / 0.1975)


def draw_cluster(
    rng: np.random.Generator,
    field: ViewField,
    cluster: Cluster,
    *,
    centre_mm: Point,
    contrast: float,
) -> Box | None:
    """Add the specks around (row, column) in mm; the box holds every one that is in the breast."""
    to_nipple = np.arctan2(
        field.nipple_mm[0] - centre_mm[0], field.nipple_mm[1] - centre_mm[1]
    ) + rng.normal(0, 0.15)
    places = np.asarray(centre_mm) + positions(rng, cluster, heading=float(to_nipple))
    boxes = []
    for place in places:
        patch = speck(rng, cluster.morphology, place, heading=float(to_nipple))
        patch.values *= np.float32(contrast)
        if (box := lay_calcium(field, patch)) is not None:
            boxes.append(box)
    if not boxes:
        return None
    edges = np.array([(b.top, b.left, b.bottom, b.right) for b in boxes])
    top, left = edges[:, :2].min(0).tolist()
    bottom, right = edges[:, 2:].max(0).tolist()
    return Box(top, left, bottom, right)


def positions(rng: np.random.Generator, cluster: Cluster, *, heading: float) -> Points:
    """(specks, 2) row, column in mm from the centre; `heading` is the angle to the nipple."""
    count, size = cluster.specks, cluster.size_mm
    if cluster.distribution == "grouped":
        points = np.clip(rng.normal(0, 0.5, (count, 2)), -1.2, 1.2)
        points *= np.array([1.0, rng.uniform(0.65, 1.0)])
        points *= size / max(float(np.sqrt(np.prod(np.ptp(points, axis=0)))), 0.3)
        away = np.hypot(points[:5, 0], points[:5, 1])[:, None]
        points[:5] *= np.minimum(1, 2.5 / np.maximum(away, 0.1))  # five within a centimetre
        return _turned(points, rng.uniform(0, np.pi))
    if cluster.distribution == "linear":
        line = curve(rng, (0.0, -size / 2), (0.0, size / 2), bend=0.05, points=33)
        along = rng.uniform(0, 32, count)
        points = np.stack([np.interp(along, np.arange(33), line[:, axis]) for axis in (0, 1)], 1)
        return _turned(points + rng.normal(0, 0.45, (count, 2)), heading)
    if cluster.distribution == "segmental":  # a wedge, its tip towards the nipple
        along = 1 - np.sqrt(rng.uniform(0.01, 1, count))
        across = rng.uniform(-1, 1, count) * (1 - along) * 0.45
        return _turned(np.stack([across, along - 0.4], 1) * size * 1.35, heading)
    radius = np.sqrt(rng.uniform(0, 1, count)) * size / 1.7
    angle = rng.uniform(0, 2 * np.pi, count)
    return _turned(np.stack([radius * np.sin(angle), radius * np.cos(angle)], 1), heading)


def _turned(points: Points, angle: float) -> Points:
    sine, cosine = np.sin(angle), np.cos(angle)
    rows, columns = points[:, 0], points[:, 1]
    return np.stack([rows * cosine + columns * sine, columns * cosine - rows * sine], 1)


def speck(rng: np.random.Generator, morphology: str, place_mm: Points, *, heading: float) -> Patch:
    """One speck at (row, column) in mm: its calcium along the beam."""
    low, high = DIAMETER_MM[morphology]
    diameter = float(rng.uniform(low, high))
    linear = morphology == "fine linear branching"
    length = diameter * float(rng.uniform(3, 8)) if linear else diameter
    half = int(np.ceil(length * PX_PER_MM / 2)) + 3
    middle = np.rint(place_mm * PX_PER_MM).astype(int)
    offset = (place_mm * PX_PER_MM - middle + half + 0.5) * FINE  # in fine pixels of the patch
    canvas = np.zeros(((2 * half + 1) * FINE,) * 2, np.float32)
    scale = PX_PER_MM * FINE
    if linear:
        _draw_rod(rng, canvas, offset, length * scale, diameter * scale, heading)
    else:
        elongated = 0.5 if morphology == "fine pleomorphic" else 0.25
        corners = _polygon(rng, diameter * scale / 2, elongated) + offset
        cv2.fillPoly(canvas, [np.rint(corners[:, ::-1]).astype(np.int32)], 1.0)
    values = cv2.resize(canvas, (2 * half + 1,) * 2, interpolation=cv2.INTER_AREA)
    if morphology == "amorphous":
        values = cv2.GaussianBlur(values, (0, 0), 0.8)
    calcium = diameter * float(rng.uniform(*CALCIUM[morphology]))
    top, left = (middle - half).tolist()
    return Patch(np.asarray(values * calcium, np.float32), int(top), int(left))


def _polygon(rng: np.random.Generator, radius: float, elongated: float) -> Points:
    """Corners of an irregular grain of that mean radius around the origin."""
    count = int(rng.integers(6, 10))
    angle = np.arange(count) * 2 * np.pi / count + rng.normal(0, 0.15, count)
    radii = radius * np.clip(rng.normal(1, 0.16, count), 0.6, 1.5)
    stretch = 1 + elongated * rng.uniform(0, 1)
    grain = np.stack([radii * np.sin(angle) * stretch, radii * np.cos(angle) / stretch], 1)
    return _turned(grain, rng.uniform(0, np.pi))


def _draw_rod(
    rng: np.random.Generator,
    canvas: F32,
    middle: Points,
    length: float,
    width: float,
    heading: float,
) -> None:
    """A rod along the duct, at times with a branch: fine pixels, drawn in place."""
    angle = heading + float(rng.normal(0, 0.3))
    along = np.array([np.sin(angle), np.cos(angle)])
    start = middle - along * length / 2
    ends = [(start, middle + along * length / 2)]
    if rng.random() < 0.35:
        branch = angle + float(rng.choice([-1, 1]) * rng.uniform(0.4, 0.8))
        ends.append((middle, middle + np.array([np.sin(branch), np.cos(branch)]) * length * 0.45))
    for first, last in ends:
        corners = [tuple(np.rint(point[::-1]).astype(int).tolist()) for point in (first, last)]
        cv2.line(canvas, corners[0], corners[1], 1.0, max(round(width), 1), cv2.LINE_AA)


def lay_calcium(field: ViewField, patch: Patch) -> Box | None:
    """Add calcium where the breast is; the box around it, None if it lies outside."""
    here, there = overlap(patch, field.inside.shape)
    added = patch.values[here] * field.inside[there]
    if added.size == 0 or added.max() <= 0:
        return None
    field.calcium_mm[there] += added
    seen = added > 0.1 * added.max()
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    top, left = there[0].start, there[1].start
    return Box(
        float(top + rows[0]),
        float(left + columns[0]),
        float(top + rows[-1] + 1),
        float(left + columns[-1] + 1),
    )
