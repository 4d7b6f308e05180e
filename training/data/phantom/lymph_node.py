"""Axillary lymph nodes: a suspicious one is round, dense, over 10 mm and has no fatty hilum."""

from dataclasses import dataclass

import numpy as np

from model_store.arrays import F32
from training.data.phantom.field import PX_PER_MM, ViewField
from training.data.phantom.patch import (
    STEPS_OF_CIRCLE,
    Point,
    by_angle,
    centred,
    lay,
    polar,
    smooth,
    texture,
    visible_box,
)
from training.data.records import Box

SUSPICIOUS_MM = (13.0, 24.0)
NORMAL_MM = (7.0, 13.0)
HIGHEST_MM, LOWEST_MM = 10.0, 48.0  # rows of the axilla in an MLO view


@dataclass(frozen=True, slots=True)
class LymphNode:
    """`size_mm`: its longer axis; `aspect`: that over the shorter; height_mm: gland-equivalent."""

    size_mm: float
    aspect: float
    height_mm: float
    hilum: bool


def sample_lymph_node(rng: np.random.Generator, *, suspicious: bool) -> LymphNode:
    """A suspicious one, or a normal one with its hilum of fat."""
    return LymphNode(
        size_mm=float(rng.uniform(*(SUSPICIOUS_MM if suspicious else NORMAL_MM))),
        aspect=float(rng.uniform(1.0, 1.3) if suspicious else rng.uniform(1.4, 2.2)),
        height_mm=float(rng.uniform(10.0, 15.0) if suspicious else rng.uniform(5.0, 9.0)),
        hilum=not suspicious,
    )


def axillary_place(rng: np.random.Generator, field: ViewField, *, margin_mm: float) -> Point | None:
    """(row, column) in mm near the muscle's edge in the upper part of an MLO view.

    None if no place there is `margin_mm` away from the skin, as in a view without axilla.
    """
    rows = slice(round(HIGHEST_MM * PX_PER_MM), round(LOWEST_MM * PX_PER_MM), PX_PER_MM)
    skin, muscle = field.skin_mm[rows, ::PX_PER_MM], field.muscle[rows, ::PX_PER_MM]
    columns = np.arange(skin.shape[1])[None, :]
    edge = muscle.sum(1)[:, None]
    free = (skin > margin_mm) & (columns > margin_mm) & (np.abs(columns - edge) < 14)
    free &= edge > 0
    candidates = np.argwhere(free)
    if len(candidates) == 0:
        return None
    row, column = candidates[int(rng.integers(len(candidates)))]
    return HIGHEST_MM + float(row), float(column)


def draw_lymph_node(
    rng: np.random.Generator,
    field: ViewField,
    node: LymphNode,
    *,
    centre_mm: Point,
    contrast: float,
) -> Box | None:
    """Add the node around (row, column) in mm; the box holds its body."""
    half = node.size_mm / 2
    radius, angle = polar(1.25 * half + 1)
    tilt = float(rng.uniform(0, np.pi))
    relative = radius / by_angle(angle, _border(rng, node, tilt))
    body = np.sqrt(np.clip(1 - np.minimum(relative, 1) ** 3, 0, None))
    body *= np.clip(1 + 0.06 * texture(rng, body.shape, longest_mm=half), 0.5, 1.5)
    if node.hilum:
        body *= 1 - 0.95 * _hilum(rng, node, radius, angle, tilt)
    body = smooth(body, 0.25)
    patch = centred(body * np.float32(node.height_mm * contrast), centre_mm)
    evened = np.clip(1.5 * body, 0, 1) * np.float32(0.6 * min(contrast, 1.0))
    lay(field, patch, evened=evened, grain_mm=node.size_mm / 3, denser=0.5)
    return visible_box(field, patch, share=0.12)


def _border(rng: np.random.Generator, node: LymphNode, tilt: float) -> F32:
    angle = np.linspace(0, 2 * np.pi, STEPS_OF_CIRCLE, endpoint=False)
    half = node.size_mm / 2
    radii = 1 / np.hypot(np.cos(angle - tilt) / half, np.sin(angle - tilt) / (half / node.aspect))
    for order in (2, 3, 4):
        radii *= 1 + rng.normal(0, 0.025) * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    return np.asarray(radii, np.float32)


def _hilum(rng: np.random.Generator, node: LymphNode, radius: F32, angle: F32, tilt: float) -> F32:
    """Where the fat of the hilum lies, 0 to 1: a notch that opens to one of the long sides."""
    short = node.size_mm / 2 / node.aspect
    side = float(rng.choice([-1.0, 1.0]))
    along = radius * np.cos(angle - np.float32(tilt))
    across = radius * np.sin(angle - np.float32(tilt)) * np.float32(side)
    notch = np.hypot(along / (0.55 * node.size_mm / 2), (across - 0.55 * short) / (0.75 * short))
    return smooth((notch < 1).astype(np.float32), 0.35)
