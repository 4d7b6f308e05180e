"""What is in any breast and concerns nobody: so that brightness alone tells nothing.

Coarse and round calcifications, single specks, calcified vessels, normal lymph nodes.
"""

import cv2
import numpy as np

from training.data.phantom.calcification import lay_calcium, speck
from training.data.phantom.field import PX_PER_MM, Projection, ViewField
from training.data.phantom.lymph_node import axillary_place, draw_lymph_node, sample_lymph_node
from training.data.phantom.patch import Patch, Point, centred, curve
from training.data.records import Box

COARSE_SHARE = 0.6  # of views with one to three coarse calcifications
SPECK_SHARE = 0.7  # with one to four single specks
VESSEL_SHARE = 0.12
NODE_SHARE = 0.45  # of MLO views with a normal axillary node
RIM_SHARE = 0.3  # of coarse calcifications that are eggshells


def draw_distractors(rng: np.random.Generator, field: ViewField, *, contrast: float) -> None:
    """Add benign things to a view, in place, wherever they happen to lie."""
    for _ in range(_count(rng, COARSE_SHARE, most=3)):
        if (place := _anywhere(rng, field)) is not None:
            lay_calcium(field, _coarse(rng, place, contrast=contrast))
    for _ in range(_count(rng, SPECK_SHARE, most=4)):
        if (place := _anywhere(rng, field)) is not None:
            single = speck(rng, "fine pleomorphic", np.asarray(place), heading=0.0)
            single.values *= np.float32(contrast * rng.uniform(1.0, 1.6))
            lay_calcium(field, single)
    if rng.random() < VESSEL_SHARE:
        _draw_vessel(rng, field, contrast=contrast)
    if field.outline.projection is Projection.MLO and rng.random() < NODE_SHARE:
        draw_normal_node(rng, field, contrast=contrast)


def draw_normal_node(rng: np.random.Generator, field: ViewField, *, contrast: float) -> Box | None:
    """A normal axillary node of an MLO view; None where there is no room for it."""
    node = sample_lymph_node(rng, suspicious=False)
    place = axillary_place(rng, field, margin_mm=node.size_mm / 2 + 2)
    if place is None:
        return None
    return draw_lymph_node(rng, field, node, centre_mm=place, contrast=contrast)


def _count(rng: np.random.Generator, share: float, *, most: int) -> int:
    return int(rng.integers(1, most + 1)) if rng.random() < share else 0


def _anywhere(rng: np.random.Generator, field: ViewField) -> Point | None:
    candidates = np.argwhere(field.skin_mm[::20, ::20] > 4)
    if len(candidates) == 0:
        return None
    row, column = candidates[int(rng.integers(len(candidates)))] * 20 / PX_PER_MM
    return float(row), float(column)


def _coarse(rng: np.random.Generator, place: Point, *, contrast: float) -> Patch:
    """A round calcification of 0.8 to 2.5 mm, solid or an eggshell."""
    diameter = float(rng.uniform(0.8, 2.5))
    half = round(diameter * PX_PER_MM / 2) + 4
    disc = np.zeros((2 * half + 1,) * 2, np.float32)
    axes = (diameter * PX_PER_MM, diameter * PX_PER_MM * float(rng.uniform(0.75, 1)))
    turned = float(rng.uniform(0, 180))
    cv2.ellipse(disc, ((half, half), axes, turned), 1.0, -1, cv2.LINE_AA)
    if rng.random() < RIM_SHARE:
        inner = (axes[0] * 0.65, axes[1] * 0.65)
        cv2.ellipse(disc, ((half, half), inner, turned), 0.35, -1, cv2.LINE_AA)
    soft = np.asarray(cv2.GaussianBlur(disc, (0, 0), 0.9), np.float32)
    return centred(soft * np.float32(rng.uniform(0.4, 0.9) * contrast), place)


def _draw_vessel(rng: np.random.Generator, field: ViewField, *, contrast: float) -> None:
    """Two broken parallel lines of calcium along a winding vessel: the tram-track."""
    start = _anywhere(rng, field)
    if start is None:
        return
    length, angle = float(rng.uniform(20, 50)), float(rng.uniform(-0.8, 0.8)) + np.pi
    reach = length * np.array([np.sin(angle), np.cos(angle)])
    line = curve(rng, start, (start[0] + reach[0], start[1] + reach[1]), bend=0.12, points=100)
    ahead = np.gradient(line, axis=0)
    across = np.stack([-ahead[:, 1], ahead[:, 0]], 1) / np.hypot(*ahead.T)[:, None]
    half_width = float(rng.uniform(0.5, 0.9))
    size = np.ptp(line, axis=0).max() / 2 + 3
    middle = (line.max(0) + line.min(0)) / 2
    drawn = np.zeros((2 * int(size * PX_PER_MM) + 1,) * 2, np.float32)
    for side in (-half_width, half_width):
        points = (line + side * across - middle + size) * PX_PER_MM
        corners = np.rint(points[:, ::-1] * 16).astype(np.int32)
        for step in np.flatnonzero(rng.random(len(corners) - 1) < 0.55):
            pair = corners[step : step + 2].reshape(1, 2, 2)
            cv2.polylines(drawn, [*pair], False, 1.0, int(rng.integers(1, 4)), cv2.LINE_AA, 4)
    drawn = np.asarray(cv2.GaussianBlur(drawn, (0, 0), 1.2), np.float32)
    drawn *= np.float32(rng.uniform(0.12, 0.3) * contrast)
    lay_calcium(field, centred(drawn, (float(middle[0]), float(middle[1]))))
