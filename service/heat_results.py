"""Heat and scores -> the parts of an answer, in stored pixels. Pure; knows no queue, no HTTP."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model_store.arrays import F32
from model_store.factor import HeatBox, cell_px, gate
from model_store.geometry import Placement
from model_store.prompts import Question
from service.decoding import Opened
from service.heat_parameters import Wanted
from service.heat_schemas import (
    Channel,
    Grid,
    HeatBoxResult,
    HeatMapResult,
    Located,
    MillimetreBox,
    Overlay,
    PixelBox,
    SentenceOnImage,
)
from service.looking import Seen
from service.overlay import draw
from service.parameters import Encoding
from service.queue.heat import SentenceHeat
from service.results import finding_scores

DECIMALS = 4
PLACES = 2
"""Decimals of places: 1/100 of a pixel or of a millimetre."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Questions with their heads, and how the answer is to be told."""

    questions: tuple[Question, ...]
    heads: tuple[str, ...]
    wanted: Wanted


def heat_maps(seen: Seen, asked: Asked) -> list[HeatMapResult]:
    """The questions' maps of one image, in their order."""
    rows = finding_scores(seen.scores, asked.questions)
    return [
        HeatMapResult(**_fields(row), **_fields(place))
        for row, place in zip(rows, _located(seen, asked), strict=True)
    ]


def on_image(seen: Seen, asked: Asked, *, image: int) -> list[SentenceOnImage]:
    """The sentences' maps of one image, in their order; `image` is its place in the answer."""
    return [
        SentenceOnImage(image=image, score=score.score, **_fields(place))
        for score, place in zip(seen.scores, _located(seen, asked), strict=True)
    ]


def _located(seen: Seen, asked: Asked) -> list[Located]:
    return [
        _place(seen.one, found, head, asked.wanted, present=gate(score))
        for found, score, head in zip(seen.heat.maps, seen.scores, asked.heads, strict=True)
    ]


def _place(one: Opened, heat: SentenceHeat, head: str, wanted: Wanted, *, present: bool) -> Located:
    hottest = float(heat.grid.max())
    boxes = heat.boxes if present or wanted.boxes_always else ()
    return Located(
        present=present,
        head=head,
        hottest=round(hottest, DECIMALS),
        channels=[
            Channel(
                channel=channel,
                weight=round(weight, DECIMALS),
                similarity=round(similarity, DECIMALS),
            )
            for channel, weight, similarity in zip(
                heat.channels, heat.weights, heat.similarities, strict=True
            )
        ],
        boxes=_boxes(boxes, one, hottest),
        grid=_grid(heat.grid, one.placement, wanted.encoding) if wanted.grid else None,
        overlay=_overlay(one, heat.grid, boxes, shown=present or wanted.boxes_always)
        if wanted.overlay
        else None,
    )


def _boxes(boxes: Sequence[HeatBox], one: Opened, hottest: float) -> list[HeatBoxResult]:
    regions = _stored([box.box for box in boxes], one.placement, clip=True) if boxes else []
    return [
        HeatBoxResult(
            pixels=pixels, mm=_in_mm(pixels, one.spacing_mm), heat=_share(box.score, hottest)
        )
        for box, pixels in zip(boxes, regions, strict=True)
    ]


def _in_mm(pixels: PixelBox, spacing: tuple[float, float] | None) -> MillimetreBox | None:
    if spacing is None:
        return None
    down, right = spacing
    return MillimetreBox(
        left_mm=round(pixels.left_column * right, PLACES),
        top_mm=round(pixels.top_row * down, PLACES),
        right_mm=round(pixels.right_column * right, PLACES),
        bottom_mm=round(pixels.bottom_row * down, PLACES),
    )


def _grid(grid: F32, placement: Placement, encoding: Encoding) -> Grid:
    shares = grid / max(float(grid.max()), float(np.finfo(np.float32).tiny))
    rows, columns = grid.shape
    height = rows * cell_px(placement.canvas_height, rows)
    width = columns * cell_px(placement.canvas_width, columns)
    values: list[list[float]] | str = (
        base64.b64encode(shares.astype("<f4").tobytes()).decode()
        if encoding == "base64"
        else np.round(shares.astype(np.float64), DECIMALS).tolist()
    )
    (region,) = _stored([(0, 0, height, width)], placement, clip=False)
    return Grid(rows=rows, columns=columns, values=values, region=region)


def _overlay(one: Opened, grid: F32, boxes: Sequence[HeatBox], *, shown: bool) -> Overlay:
    height, width = one.item.shape
    canvas = np.frombuffer(one.item.canvas, np.uint8).reshape(height, width)
    (region,) = _stored([(0, 0, height, width)], one.placement, clip=True)
    picture = draw(canvas, one.placement, grid=grid if shown else None, boxes=boxes)
    return Overlay(
        png=base64.b64encode(picture.png).decode(),
        width_px=picture.width_px,
        height_px=picture.height_px,
        region=region,
    )


def _stored(
    boxes: Sequence[tuple[float, float, float, float]], placement: Placement, *, clip: bool
) -> list[PixelBox]:
    """(top, left, bottom, right) on the canvas -> stored pixels, held to the image by `clip`."""
    at = placement.to_stored(np.reshape(boxes, (-1, 2)))
    if clip:
        at = np.clip(at, 0, (placement.stored_height, placement.stored_width))
    return [
        PixelBox(left_column=left, top_row=top, right_column=right, bottom_row=bottom)
        for top, left, bottom, right in np.round(at, PLACES).reshape(-1, 4).tolist()
    ]


def _share(heat: float, hottest: float) -> float:
    return round(heat / hottest, DECIMALS) if hottest > 0 else 0.0


def _fields(row: Any) -> dict[str, Any]:
    """A model's fields as they are, not copied."""
    return {name: getattr(row, name) for name in type(row).model_fields}
