"""Where a canvas lies in the stored image: coordinates both ways, exact.

Coordinates are continuous (row, column) of pixel EDGES, as in DICOM's SCOORD: (0, 0) is the
top-left corner of the first pixel, (0.5, 0.5) its centre, (height, width) the bottom-right corner
of the last one. So pixel index i covers [i, i + 1), and `floor` of a coordinate is its pixel.
A heat map or a box in canvas pixels goes to stored pixels by `to_stored` alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

F64 = NDArray[np.float64]
Span = tuple[int, int]
"""Half-open range of stored rows or columns."""


@dataclass(frozen=True, slots=True)
class Placement:
    """What was cut out of the stored image, and stretched to the canvas.

    One span a side for nearly every image; several where the breast box keeps runs of equal
    length, which then stand side by side on the canvas.
    """

    rows: tuple[Span, ...]
    columns: tuple[Span, ...]
    canvas_height: int
    canvas_width: int
    stored_height: int
    stored_width: int

    @property
    def top(self) -> int:
        """First stored row on the canvas."""
        return self.rows[0][0]

    @property
    def left(self) -> int:
        """First stored column on the canvas."""
        return self.columns[0][0]

    @property
    def height(self) -> int:
        """Stored rows from the first to the last on the canvas."""
        return self.rows[-1][1] - self.top

    @property
    def width(self) -> int:
        """Stored columns from the first to the last on the canvas."""
        return self.columns[-1][1] - self.left

    def to_stored(self, points: ArrayLike) -> F64:
        """(N, 2) canvas (row, column) -> (N, 2) stored (row, column)."""
        at = np.asarray(points, np.float64).reshape(-1, 2)
        row = _uncrop(at[:, 0] * _kept(self.rows) / self.canvas_height, self.rows)
        column = _uncrop(at[:, 1] * _kept(self.columns) / self.canvas_width, self.columns)
        return np.stack([row, column], axis=1)

    def to_canvas(self, points: ArrayLike) -> F64:
        """(N, 2) stored (row, column) -> (N, 2) canvas (row, column).

        A point outside the crop lands outside the canvas; one between two spans on their seam.
        """
        at = np.asarray(points, np.float64).reshape(-1, 2)
        row = _crop(at[:, 0], self.rows) * self.canvas_height / _kept(self.rows)
        column = _crop(at[:, 1], self.columns) * self.canvas_width / _kept(self.columns)
        return np.stack([row, column], axis=1)


def spans(indices: Sequence[int] | NDArray[np.intp]) -> tuple[Span, ...]:
    """Ascending indices -> the half-open runs they form."""
    at = np.asarray(indices)
    breaks = np.flatnonzero(np.diff(at) != 1) + 1
    return tuple((int(run[0]), int(run[-1]) + 1) for run in np.split(at, breaks))


def _kept(axis: tuple[Span, ...]) -> int:
    return sum(stop - start for start, stop in axis)


def _uncrop(position: F64, axis: tuple[Span, ...]) -> F64:
    """Coordinate within the kept pixels -> stored coordinate; beyond the ends it goes on."""
    starts = np.array([start for start, _ in axis])
    before = np.cumsum([0] + [stop - start for start, stop in axis[:-1]])
    span = np.clip(np.searchsorted(before, position, side="right") - 1, 0, len(axis) - 1)
    return np.asarray(position - before[span] + starts[span], np.float64)


def _crop(position: F64, axis: tuple[Span, ...]) -> F64:
    """Stored coordinate -> coordinate within the kept pixels."""
    starts = np.array([start for start, _ in axis])
    before = np.cumsum([0] + [stop - start for start, stop in axis])
    span = np.clip(np.searchsorted(starts, position, side="right") - 1, 0, len(axis) - 1)
    within = position - starts[span] + before[span]
    inner = span < len(axis) - 1  # the last span goes on beyond its end, the others stop there
    return np.asarray(np.where(inner, np.minimum(within, before[span + 1]), within), np.float64)
