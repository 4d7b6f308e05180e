"""Canvases seen a little otherwise: mirrored, turned, moved, scaled, sheared, bent.

Pure functions of a generator. Works on uint8 canvases before normalisation, which is in the graph.
Knows nothing of sentences: who mirrors an image mirrors its facts with breast_facts.mirrored.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model_store.arrays import U8
from training.data.records import Box

Range = tuple[float, float]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AugmentRules:
    """How much a canvas is changed; each range is drawn from evenly.

    As Mammo-CLIP's data_utils.py:47-62 reads: rotate 20, translate 0.1, scale 0.8 to 1.2, shear 20,
    each half of the time. There the scalars became fixed values (every turned image was turned by
    20 degrees to one side); here they are ranges about 0. Its elastic alpha 10, sigma 15 moves a
    pixel by 0.11 px (root mean square: 10 x 0.577 / (2 sqrt(pi) 15)), which is nothing; here the
    movement itself is set.
    """

    flip_columns: float = 0.5
    flip_rows: float = 0.5
    affine: float = 0.5
    elastic: float = 0.5
    rotate_deg: Range = (-20.0, 20.0)
    translate: Range = (-0.1, 0.1)
    scale: Range = (0.8, 1.2)
    shear_deg: Range = (-20.0, 20.0)
    elastic_px: float = 3.0
    elastic_sigma_px: float = 15.0


@dataclass(frozen=True, slots=True)
class Flips:
    """Which way an image is mirrored: `columns` left to right, `rows` top to bottom."""

    columns: bool = False
    rows: bool = False


def draw_flips(rng: np.random.Generator, rules: AugmentRules) -> Flips:
    """Drawn apart from the rest, since both views of a breast must agree on the side."""
    columns, rows = rng.random(2)
    return Flips(bool(columns < rules.flip_columns), bool(rows < rules.flip_rows))


def draw_affine(rng: np.random.Generator, rules: AugmentRules, shape: tuple[int, int]) -> F64:
    """(2, 3) matrix that takes (x, y, 1) of pixel edges to where they go; about the centre."""
    if rng.random() >= rules.affine:
        return np.eye(2, 3)
    height, width = shape
    angle, shear = np.deg2rad([rng.uniform(*rules.rotate_deg), rng.uniform(*rules.shear_deg)])
    scale = rng.uniform(*rules.scale)
    move = np.array([rng.uniform(*rules.translate), rng.uniform(*rules.translate)])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = scale * turn @ np.array([[1.0, np.tan(shear)], [0.0, 1.0]])
    centre = np.array([width, height]) / 2
    offset = centre - linear @ centre + move * (width, height)
    return np.column_stack([linear, offset])


def augment(
    rng: np.random.Generator,
    canvas: U8,
    *,
    rules: AugmentRules,
    flips: Flips | None = None,
    boxes: Sequence[Box] = (),
) -> tuple[U8, list[Box | None]]:
    """(H, W) uint8 and boxes in canvas pixels -> the same, changed; what comes in is dark (0).

    `flips` None: drawn here. A box is the hull of where its corners go, cut at the canvas, and None
    where nothing of it is left; the bending, some pixels, is not taken into it.
    """
    flips = flips if flips is not None else draw_flips(rng, rules)
    shape = (canvas.shape[0], canvas.shape[1])
    matrix = draw_affine(rng, rules, shape) @ _flip_matrix(flips, shape)
    bend = draw_bend(rng, rules, shape)
    return _warp(canvas, matrix, bend), [moved(box, matrix[:2], shape) for box in boxes]


def _flip_matrix(flips: Flips, shape: tuple[int, int]) -> F64:
    """(3, 3), as one sees the canvas: matrices of pixel edges."""
    height, width = shape
    matrix = np.eye(3)
    if flips.columns:
        matrix[0] = -1, 0, width
    if flips.rows:
        matrix[1] = 0, -1, height
    return matrix


def draw_bend(
    rng: np.random.Generator, rules: AugmentRules, shape: tuple[int, int]
) -> tuple[F32, F32] | None:
    """How far from its place each pixel is taken, along x and y, in px; None for not at all.

    Smooth, with a root mean square of `elastic_px` each.
    """
    if rng.random() >= rules.elastic:
        return None
    coarse = 4  # a field this smooth is drawn at a quarter of the size
    size = (-(-shape[0] // coarse), -(-shape[1] // coarse))
    along: list[F32] = []
    for _ in range(2):
        noise = rng.standard_normal(size, dtype=np.float32)
        smooth = cv2.GaussianBlur(noise, (0, 0), rules.elastic_sigma_px / coarse)
        smooth = smooth * np.float32(rules.elastic_px / max(np.sqrt(np.mean(smooth**2)), 1e-9))
        wide = cv2.resize(smooth, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
        along.append(np.asarray(wide, np.float32))
    return along[0], along[1]


def _warp(canvas: U8, matrix: F64, bend: tuple[F32, F32] | None) -> U8:
    height, width = canvas.shape
    to_centres = matrix.copy()  # OpenCV counts from pixel centres
    to_centres[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5
    if bend is None:
        if np.array_equal(matrix, np.eye(2, 3)):
            return canvas.copy()
        warped = cv2.warpAffine(canvas, to_centres, (width, height), flags=cv2.INTER_LINEAR)
        return np.asarray(warped, np.uint8)
    back = cv2.invertAffineTransform(to_centres).astype(np.float32)
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)[None]
    from_x, from_y = (
        along + (turn[0] * columns + (turn[1] * rows + turn[2]))
        for along, turn in zip(bend, back, strict=True)
    )
    return np.asarray(cv2.remap(canvas, from_x, from_y, cv2.INTER_LINEAR), np.uint8)


def moved(box: Box, matrix: F64, shape: tuple[int, int]) -> Box | None:
    """Where a box goes under a (2, 3) matrix of (x, y); None where it leaves the canvas."""
    corners = [(x, y, 1.0) for x in (box.left, box.right) for y in (box.top, box.bottom)]
    x, y = matrix @ np.array(corners).T
    left, right = np.clip([x.min(), x.max()], 0, shape[1]).tolist()
    top, bottom = np.clip([y.min(), y.max()], 0, shape[0]).tolist()
    return Box(top, left, bottom, right) if bottom > top and right > left else None
