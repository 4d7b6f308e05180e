"""Mammo-FActOR's heat maps: feature channels that speak of a sentence -> where they fire -> boxes.

factor.onnx gives every channel of the image tower's last feature map an embedding of its own; the
channels whose embeddings lie nearest to a sentence's direction are added up. Knows nothing of
graphs, prompts or DICOM.

The paper (arXiv 2405.12255) says "pixel values ... greater than the 95% quantile of the heatmap's
pixel value distribution" and shows three feature maps; no code for it is public. What it leaves
open, what is done here, and the alternative (figures of each in training/LOG.md):

- How many channels: `top_channels`, 3 as in the paper's schematic. Alternative: any other number.
- Sum: plain, each channel with weight 1. Alternative: `Weighting.SOFTMAX`, weights of
  softmax(cosine / 0.07), which differ little where the best channels are equally near.
- Sign: after the sum, what is below zero is 0 (features of SiLU towers can be negative). The
  alternative, absolute values, shows where a channel is off.
- Position: cell i of a heat map is centred at (i + 1/2) x stride of the canvas (48 cells of 32 px
  reach 16 px beyond 1520), and the sum is moved there (`aligned`) from where the tower's own cells
  are centred (`origin`, found by mirroring images: training.factor_origin). Alternative: the grid
  stretched over the canvas, 16 px off for a tower whose cells are centred at i x stride.
- Interpolation: bilinear. Alternative: nearest, whose boxes are whole cells.
- Quantile: over the pixels inside the breast. Over the whole image, air included, the same 95 %
  would say less of the breast the smaller it is. Where more than 5 % of the breast are as hot as
  the hottest place (a large lesion in which the features saturate) nothing is greater than the
  quantile, and the floor alone decides.
- Floor: pixels also reach `floor` x the maximum. Without it (0) a region is always 5 % of the
  breast, some 40 cells, where a mass of 13 mm fills 10.
- Regions: all 8-connected ones of at least `smallest_cells` cells of area, best first. Alternative:
  the largest alone.
- Score of a box: the heat's maximum in it. Alternative: its mean, which favours small boxes.
- A box only where the finding is present (`gate`): 5 % of a breast lie above its 95 % quantile, so
  without a gate a negative image always has boxes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, unique

import cv2
import numpy as np
from numpy.typing import NDArray

from model_store.arrays import F32
from model_store.manifest import ANY_SENTENCE
from model_store.prompts import Question
from model_store.scoring import Score

Bool = NDArray[np.bool_]

TOP_CHANNELS = 3
QUANTILE = 0.95
FLOOR = 0.5
TEMPERATURE = 0.07  # of the loss that the channels were trained by: Mammo-Factor.ipynb
STEP_PX = 4
"""Boxes are looked for on every 4th pixel of the canvas: 1/8 of a cell of 32."""
SMALLEST_CELLS = 0.25
"""Area of the smallest region, in cells of the grid. One hot cell among cold ones is 0.61 cells at
half its maximum: 4 times the area below (1 - x)(1 - y) = 1/2."""
PLATEAU = 0.99
"""Share of the maximum from which a place counts as equally hot."""
MIDDLE = (0.5, 0.5)
"""Origin of a grid whose first cell is centred half a cell from the canvas's corner."""
PRESENT = 0.5
"""Score from which a finding without a calibrated threshold counts as present."""


@unique
class Weighting(StrEnum):
    """How the best channels are added up."""

    PLAIN = "plain"
    SOFTMAX = "softmax"


@dataclass(frozen=True, slots=True, eq=False)
class HeatMap:
    """`grid` (h, w) float32, never negative: the sum of `weights` x feature maps of `channels`.

    `channels` are best first, `similarities` their cosines to the sentence's direction.
    """

    grid: F32
    channels: tuple[int, ...]
    weights: tuple[float, ...]
    similarities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class HeatBox:
    """`box`: top, left, bottom, right in canvas pixels, half-open. `score`: the heat's maximum."""

    box: tuple[float, float, float, float]
    score: float


def heat_map(
    features: F32,
    channel_embeddings: F32,
    direction: F32,
    *,
    top_channels: int = TOP_CHANNELS,
    weighting: Weighting = Weighting.PLAIN,
    origin: tuple[float, float] = MIDDLE,
) -> HeatMap:
    """Features (C, h, w), channel embeddings (C, D) of length 1, direction (D,) -> heat.

    The direction need not be of length 1. Of equally near channels the first counts. `origin`: see
    `aligned`.
    """
    length = max(float(np.linalg.norm(direction)), 1e-12)
    similarity = channel_embeddings @ (direction / np.float32(length))  # (C,)
    best = np.argsort(-similarity, kind="stable")[:top_channels]
    weights = np.ones(len(best), np.float32)
    if weighting is Weighting.SOFTMAX:
        odds = np.exp((similarity[best] - similarity[best].max()) / TEMPERATURE)
        weights = (odds / odds.sum()).astype(np.float32)
    total = np.einsum("k,khw->hw", weights, features[best], dtype=np.float32)
    return HeatMap(
        grid=aligned(np.maximum(total, 0), origin),
        channels=tuple(int(channel) for channel in best),
        weights=tuple(float(weight) for weight in weights),
        similarities=tuple(float(value) for value in similarity[best]),
    )


def aligned(grid: F32, origin: tuple[float, float]) -> F32:
    """(h, w) of a tower -> (h, w) whose cells lie side by side from the canvas's corner on.

    `origin` (row, column): where the tower's first cell is centred, in cells; (0.5, 0.5) changes
    nothing. Linear between neighbours, the outermost cells repeated beyond the edge.
    """
    rows, columns = (
        _moving(count, MIDDLE[axis] - origin[axis]) for axis, count in enumerate(grid.shape)
    )
    return np.asarray(rows @ grid @ columns.T, np.float32)


def _moving(count: int, step: float) -> F32:
    """(n, n): row i takes what is at i + step, between its two neighbours."""
    at = np.clip(np.arange(count) + step, 0, count - 1)
    below = np.floor(at).astype(np.intp)
    share = (at - below).astype(np.float32)
    matrix = np.zeros((count, count), np.float32)
    matrix[np.arange(count), below] += 1 - share
    matrix[np.arange(count), np.minimum(below + 1, count - 1)] += share
    return matrix


def cell_px(length: int, cells: int) -> int:
    """Canvas pixels of one cell along an axis: 1520 px in 48 cells -> 32.

    Convolutions of stride 2 round up, so the last cell may reach beyond the canvas.
    """
    if length % cells == 0:
        return length // cells
    return 1 << int(np.ceil(np.log2(length / cells)))


def on_canvas(grid: F32, canvas: tuple[int, int], *, step_px: int = 1) -> F32:
    """(h, w) -> bilinear (H / step, W / step): the heat at every `step`-th pixel of the canvas."""
    sizes = [
        -(-cell_px(length, cells) * cells // step_px)
        for length, cells in zip(canvas, grid.shape, strict=True)
    ]
    wide = cv2.resize(grid, (sizes[1], sizes[0]), interpolation=cv2.INTER_LINEAR)
    rows, columns = (-(-length // step_px) for length in canvas)
    return np.ascontiguousarray(wide[:rows, :columns], np.float32)


def peak(grid: F32, inside: Bool) -> tuple[float, float]:
    """(row, column) in canvas pixels of the hottest place inside the breast; `inside` (H, W).

    A channel that saturates (ReLU6) is equally hot over a whole lesion: of such a plateau the place
    farthest from its edge, since the first would be its corner.
    """
    heat = on_canvas(grid, _size(inside), step_px=STEP_PX)
    heat[~inside[::STEP_PX, ::STEP_PX]] = -1
    plateau = np.pad((heat >= PLATEAU * heat.max()).astype(np.uint8), 1)
    depth = cv2.distanceTransform(plateau, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    row, column = np.unravel_index(int(np.argmax(depth)), heat.shape)
    return (float(row) + 0.5) * STEP_PX, (float(column) + 0.5) * STEP_PX


def heat_boxes(
    grid: F32,
    inside: Bool,
    *,
    quantile: float = QUANTILE,
    floor: float = FLOOR,
    smallest_cells: float = SMALLEST_CELLS,
) -> list[HeatBox]:
    """Boxes around the hottest regions of a heat map (h, w), best first.

    [] where all is cold, or more than half of the breast is as hot as its hottest place. `inside`
    (H, W) is the breast on the canvas (breast.breast_mask); edges are multiples of 4 px.
    """
    kept = inside[::STEP_PX, ::STEP_PX]
    heat = on_canvas(grid, _size(inside), step_px=STEP_PX)
    hottest = float(heat[kept].max(initial=0))
    if hottest <= 0 or np.median(heat[kept]) >= PLATEAU * hottest:
        return []
    threshold = float(np.quantile(heat[kept], quantile))
    if threshold >= PLATEAU * hottest:
        threshold = (floor or PLATEAU) * hottest
    hot = kept & (heat >= max(threshold, floor * hottest)) & (heat > 0)
    smallest = smallest_cells * _cell_area(grid, _size(inside)) / STEP_PX**2
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(
        hot.astype(np.uint8), connectivity=8
    )
    boxes = [
        _box(statistics[region], score=float(heat[labels == region].max()), canvas=_size(inside))
        for region in range(1, count)
        if statistics[region, cv2.CC_STAT_AREA] >= smallest
    ]
    return sorted(boxes, key=lambda box: (-box.score, box.box))


def head_of(question: Question, heads: Sequence[str]) -> str | None:
    """The head that answers: the finding's own, else the one for any sentence, else None."""
    if question.is_finding and question.name in heads:
        return question.name
    return ANY_SENTENCE if ANY_SENTENCE in heads else None


def gate(score: Score) -> bool:
    """Whether boxes are to be drawn for a finding: its score says that it is present.

    At its threshold where it has one (that is, where it is calibrated), at 0.5 otherwise.
    """
    return score.score >= (PRESENT if score.threshold is None else score.threshold)


def _size(inside: Bool) -> tuple[int, int]:
    return inside.shape[0], inside.shape[1]


def _cell_area(grid: F32, canvas: tuple[int, int]) -> int:
    """Square canvas pixels."""
    return cell_px(canvas[0], grid.shape[0]) * cell_px(canvas[1], grid.shape[1])


def _box(statistics: NDArray[np.int32], *, score: float, canvas: tuple[int, int]) -> HeatBox:
    """One region's row of OpenCV's statistics -> its box in canvas pixels."""
    left, top, width, height = (int(value) * STEP_PX for value in statistics[:4])
    bottom, right = min(top + height, canvas[0]), min(left + width, canvas[1])
    return HeatBox(box=(float(top), float(left), float(bottom), float(right)), score=score)
