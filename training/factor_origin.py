"""Where the cells of a tower's feature grid are centred on the canvas, found without labels.

A tower that pads as TensorFlow does looks at some place of each 32 x 32 cell that depends on what
its filters learned; EfficientNet-Lite0's looks at the cell's corner and not at its middle, half a
cell off. Mirroring tells: what lies at p x j + o in an image lies at L - p x j - o in its mirror
image, and the distance between where the features of the two show it gives o. Knows nothing of
heat maps.
"""

from collections.abc import Sequence

import numpy as np

from model_store.arrays import F32, U8
from model_store.factor import MIDDLE, cell_px
from model_store.graphs import FEATURES
from model_store.runtime import ModelRuntime

IMAGES, CHANNELS = 8, 128
MARGIN = 4
"""Cells left out at each edge, where what pads the image shows."""
STEPS = np.linspace(-1, 1, 81)  # cells
SURE = 0.9
"""Correlation from which the mirror image's features count as the same."""


def measure_origin(runtime: ModelRuntime, canvases: Sequence[U8]) -> tuple[float, float]:
    """(row, column) of the first cell's centre in cells, 0 to 1: the median over the canvases.

    The middle of a cell where mirrored images do not look alike to the tower, or the grid is small.
    """
    found = [_origins(runtime, canvas) for canvas in canvases[:IMAGES]]
    row, column = np.median(found, axis=0).tolist()
    return round(row, 3), round(column, 3)


def _origins(runtime: ModelRuntime, canvas: U8) -> tuple[float, float]:
    def features(image: U8) -> F32:
        given = np.ascontiguousarray(image)[np.newaxis]
        made: F32 = runtime.run_images(given, outputs=(FEATURES,))[FEATURES][0]
        return made[:: max(len(made) // CHANNELS, 1)]

    straight = features(canvas)
    row, column = (
        origin_along(straight, features(np.flip(canvas, axis)), axis=axis + 1, length=length)
        for axis, length in enumerate(canvas.shape)
    )
    return row, column


def origin_along(straight: F32, mirrored: F32, *, axis: int, length: int) -> float:
    """Features (C, h, w) of an image and of its mirror image along `axis`; `length` in pixels."""
    cells = straight.shape[axis]
    if min(straight.shape[1:]) <= 2 * MARGIN + 2:
        return MIDDLE[0]
    turned = np.flip(straight, axis)
    alike = [_alike(_moved(turned, step, axis), mirrored) for step in STEPS]
    if max(alike) < SURE:  # or nothing at all to be seen
        return MIDDLE[0]
    step = float(STEPS[int(np.argmax(alike))])
    # p j' + o = L - (p j + o) and j' = (n - 1 - j) + step
    origin = (length / cell_px(length, cells) - (cells - 1) - step) / 2
    return float(np.clip(origin, 0, 1))


def _moved(features: F32, step: float, axis: int) -> F32:
    """Everything `step` cells further along an axis, linear between neighbours, round the end."""
    whole = int(np.floor(step))
    share = np.float32(step - whole)
    near, far = (np.roll(features, whole + more, axis=axis) for more in (0, 1))
    return np.asarray((1 - share) * near + share * far, np.float32)


def _alike(one: F32, other: F32) -> float:
    inner = (slice(None), slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    first, second = one[inner].ravel(), other[inner].ravel()
    if not (first.std() > 0 and second.std() > 0):
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])
