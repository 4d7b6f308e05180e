"""Heat over the image it was found in, as a PNG. Knows nothing of requests."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from model_store.arrays import F32, U8
from model_store.breast import Bool, breast_mask
from model_store.factor import HeatBox, on_canvas
from model_store.geometry import Placement, Span

LONG_SIDE_PX = 1024
STEP_PX = 4
"""The heat is drawn from every 4th pixel of the canvas: its cells are 32 wide."""
OPACITY = 0.6
"""Of the hottest place; half as hot is half as opaque, so that tissue shows through."""
LINE_PX = 2
TINIEST = float(np.finfo(np.float32).tiny)
BOX_BGR = (255, 255, 0)


@dataclass(frozen=True, slots=True)
class Picture:
    """`png` bytes of (height_px, width_px)."""

    png: bytes
    height_px: int
    width_px: int


def draw(
    canvas: U8, placement: Placement, *, grid: F32 | None, boxes: Sequence[HeatBox] = ()
) -> Picture:
    """The canvas (H, W) with the aspect of the stored pixels, at most 1024 px a side.

    `grid` (h, w) is coloured inside the breast, by its share of the maximum there; None = the
    image alone. Boxes are in canvas pixels. Never larger than the stored image.
    """
    height, width = _size(placement)
    grey = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    picture = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)
    if grid is not None:
        picture = _coloured(picture, grid, breast_mask(canvas))
    down, right = height / canvas.shape[0], width / canvas.shape[1]
    for box in boxes:
        top, left, bottom, end = box.box
        first = round(left * right), round(top * down)
        last = round(end * right) - 1, round(bottom * down) - 1
        cv2.rectangle(picture, first, last, BOX_BGR, LINE_PX)
    _, encoded = cv2.imencode(".png", picture)
    return Picture(png=encoded.tobytes(), height_px=height, width_px=width)


def _coloured(picture: U8, grid: F32, inside: Bool) -> U8:
    """(h', w', 3) grey with the heat over it; `inside` (H, W) is the breast on the canvas."""
    heat = on_canvas(grid, (inside.shape[0], inside.shape[1]), step_px=STEP_PX)
    heat *= inside[::STEP_PX, ::STEP_PX]
    shares = heat / max(float(heat.max()), TINIEST)
    heat = np.asarray(cv2.resize(shares, (picture.shape[1], picture.shape[0])), np.float32)
    colour = cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    opacity = (OPACITY * heat)[..., np.newaxis].astype(np.float32)
    return np.asarray(picture * (1 - opacity) + colour * opacity, np.uint8)


def _size(placement: Placement) -> tuple[int, int]:
    """(height, width) of the stored pixels that are on the canvas, reduced to LONG_SIDE_PX."""
    height, width = _kept(placement.rows), _kept(placement.columns)
    scale = min(1.0, LONG_SIDE_PX / max(height, width))
    return max(round(height * scale), 1), max(round(width * scale), 1)


def _kept(axis: Sequence[Span]) -> int:
    return sum(stop - start for start, stop in axis)
