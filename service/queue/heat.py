"""What a heat item asks and what comes back, as bytes: small grids, never features.

A message is its header's length (4 bytes, big endian), a JSON header, and the little-endian arrays
that it announces. Whoever reads one checks it. Knows nothing of queues, models or DICOM.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from model_store.arrays import F32
from model_store.factor import HeatBox

MAX_SENTENCES = 32
"""Of one item: each costs a grid. Who asks more asks in rounds of so many."""
MAX_BOXES = 32
"""Of one sentence on one image, best first."""
MOST_CELLS = 1 << 16
LENGTH_BYTES = 4
SMALLEST = np.finfo(np.float32).tiny

Size = Annotated[int, Field(ge=1, le=MOST_CELLS)]


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """`directions` (S, D) float32 of length 1, and a head for each."""

    directions: F32
    heads: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SentenceHeat:
    """`grid` (h, w) float32, never negative; channels best first; boxes in canvas pixels.

    All as in model_store.factor: HeatMap and HeatBox.
    """

    grid: F32
    channels: tuple[int, ...]
    weights: tuple[float, ...]
    similarities: tuple[float, ...]
    boxes: tuple[HeatBox, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ImageHeat:
    """Of one image: `embedding` (D,) float32, and the heat of each sentence in the asked order."""

    embedding: F32
    maps: tuple[SentenceHeat, ...]


class _Header(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _AskHeader(_Header):
    """Directions follow: (S, D) float32. It names the form of its answer: so does a cache's key."""

    kind: Literal["ask-1"] = "ask-1"
    answer: Literal["heat-1"] = "heat-1"
    heads: tuple[str, ...] = Field(min_length=1, max_length=MAX_SENTENCES)
    size: Size


class _MapHeader(_Header):
    """A SentenceHeat but for its grid, which follows as shares of `hottest`."""

    hottest: float = Field(ge=0)
    channels: tuple[int, ...]
    weights: tuple[float, ...]
    similarities: tuple[float, ...]
    boxes: tuple[HeatBox, ...] = Field(max_length=MAX_BOXES)


class _HeatHeader(_Header):
    """The embedding follows, (D,) float32, then the grids, (S, h, w) float16."""

    kind: Literal["heat-1"] = "heat-1"
    size: Size
    rows: Size
    columns: Size
    maps: tuple[_MapHeader, ...] = Field(min_length=1, max_length=MAX_SENTENCES)


H = TypeVar("H", bound=_Header)


def encode_ask(ask: Ask) -> bytes:
    """ValueError for no sentence, or for more than MAX_SENTENCES."""
    header = _AskHeader(heads=ask.heads, size=ask.directions.shape[1])
    return _framed(header) + ask.directions.astype("<f4").tobytes()


def decode_ask(content: bytes) -> Ask:
    """Inverse of `encode_ask`; ValueError for anything else."""
    header, rest = _unframed(content, _AskHeader)
    shape = len(header.heads), header.size
    _check_length(rest, 4 * shape[0] * shape[1])
    directions = np.frombuffer(rest, "<f4").reshape(shape)
    return Ask(directions=directions.astype(np.float32), heads=header.heads)


def encode_heat(heat: ImageHeat) -> bytes:
    """Grids as float16 shares of their maximum, which loses 0.1 % at most."""
    grids = np.stack([one.grid for one in heat.maps])  # (S, h, w)
    hottest = grids.max(axis=(1, 2))
    shares = grids / np.maximum(hottest, SMALLEST)[:, None, None]
    maps = tuple(
        _MapHeader(
            hottest=float(most),
            channels=one.channels,
            weights=one.weights,
            similarities=one.similarities,
            boxes=one.boxes[:MAX_BOXES],
        )
        for one, most in zip(heat.maps, hottest, strict=True)
    )
    header = _HeatHeader(
        size=len(heat.embedding), rows=grids.shape[1], columns=grids.shape[2], maps=maps
    )
    embedding = heat.embedding.astype("<f4").tobytes()
    return _framed(header) + embedding + bytes(shares.astype("<f2").tobytes())


def decode_heat(content: bytes) -> ImageHeat:
    """Inverse of `encode_heat`, but for the rounding of grids; ValueError for anything else."""
    header, rest = _unframed(content, _HeatHeader)
    shape = len(header.maps), header.rows, header.columns
    end = 4 * header.size
    _check_length(rest, end + 2 * shape[0] * shape[1] * shape[2])
    shares = np.frombuffer(rest[end:], "<f2").reshape(shape).astype(np.float32)
    maps = tuple(
        SentenceHeat(
            grid=share * np.float32(one.hottest),
            channels=one.channels,
            weights=one.weights,
            similarities=one.similarities,
            boxes=one.boxes,
        )
        for one, share in zip(header.maps, shares, strict=True)
    )
    return ImageHeat(np.frombuffer(rest[:end], "<f4").astype(np.float32), maps)


def _framed(header: _Header) -> bytes:
    content = header.model_dump_json().encode()
    return len(content).to_bytes(LENGTH_BYTES, "big") + content


def _unframed(content: bytes, kind: type[H]) -> tuple[H, bytes]:
    end = LENGTH_BYTES + int.from_bytes(content[:LENGTH_BYTES], "big")
    return kind.model_validate_json(content[LENGTH_BYTES:end]), content[end:]


def _check_length(arrays: bytes, announced: int) -> None:
    if len(arrays) != announced:
        raise ValueError(f"{announced} bytes of arrays are announced, {len(arrays)} came")
