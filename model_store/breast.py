"""Canvas -> where the breast is. Knows nothing of models, heat or DICOM."""

import cv2
import numpy as np
from numpy.typing import NDArray

from model_store.arrays import U8
from model_store.render import DARK

Bool = NDArray[np.bool_]

LONG_SIDE_PX = 380
"""The mask is looked for on a canvas reduced to this: a quarter of 1520 px, 1 ms instead of 20."""
FAINTEST = 5
"""Grey levels that are air on every detector; Otsu's level is kept between this and DARK."""
SMALLEST_SHARE = 0.02
"""A largest region below this share of the canvas is no breast: then nothing is masked."""


def breast_mask(canvas: U8) -> Bool:
    """(H, W) uint8 -> (H, W) bool: the largest region brighter than air, its holes filled.

    Air ends at Otsu's level, which is held to 5..40: 40 is where the recipe mammo-clip ends it
    (render.DARK), and a breast that a bright clip or marker has pressed below 40 is still found.
    The pectoral muscle counts as breast, a lead marker apart from it does not. Steps of up to
    H / 380 pixels. All True where no region is large enough to be a breast.
    """
    height, width = canvas.shape
    shrink = max(1.0, max(height, width) / LONG_SIDE_PX)
    size = max(round(width / shrink), 1), max(round(height / shrink), 1)
    small = cv2.resize(np.ascontiguousarray(canvas), size, interpolation=cv2.INTER_AREA)
    otsu, _ = cv2.threshold(small, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    mask = _largest((small > np.clip(otsu, FAINTEST, DARK)).astype(np.uint8))
    if mask.mean() < SMALLEST_SHARE:
        return np.ones((height, width), np.bool_)
    filled = cv2.resize(_filled(mask), (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(filled > 0)


def _largest(mask: U8) -> U8:
    """The largest 8-connected region alone; nothing where there is none."""
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count == 1:
        return np.zeros_like(mask)
    largest = 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA]))
    return np.asarray(labels == largest, np.uint8)


def _filled(mask: U8) -> U8:
    """Holes filled: whatever the outermost outline holds."""
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros_like(mask)
    cv2.drawContours(filled, outlines, -1, color=1, thickness=cv2.FILLED)
    return filled
