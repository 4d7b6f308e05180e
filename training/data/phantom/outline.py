"""The silhouette of a breast in one view, and where a place in the breast is seen in it.

Frame: millimetres, row downwards, column from the chest wall; every breast lies as a left one does,
so that CC has the outer half above and MLO the upper half. A point is (row, column).
"""

from dataclasses import dataclass
from enum import StrEnum, unique

import numpy as np
from numpy.typing import NDArray

from model_store.arrays import F32

Bool = NDArray[np.bool_]

ACROSS = 0.85
"""A place at 1 lies this far from the axis to the skin."""
OUTER_IN_MLO = 0.3
"""How much an outer place rises in an MLO view, against an upper one."""


@unique
class Side(StrEnum):
    """Laterality, as DICOM codes it."""

    LEFT = "L"
    RIGHT = "R"


@unique
class Projection(StrEnum):
    """The two standard views."""

    CC = "CC"
    MLO = "MLO"


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a breast: depth 0 at the chest wall to 1 at the nipple; the others -1 to 1."""

    depth: float
    upper: float
    outer: float


@dataclass(frozen=True, slots=True)
class Outline:
    """Half a superellipse around the nipple's axis; MLO adds axilla, muscle and abdomen. All mm.

    The axis runs from the chest wall to the nipple, `tilt` radians below the horizontal. Along it u
    is counted from the chest wall (0) to the nipple (`depth`), across it v upwards.
    """

    projection: Projection
    nipple: tuple[float, float]
    depth: float
    above: float
    below: float
    tilt: float = 0.0
    tip_power: float = 2.1
    above_power: float = 1.9
    below_power: float = 2.3
    ripple: tuple[float, float, float] = (0.0, 0.0, 0.0)
    muscle_top: float = 0.0
    muscle_bottom: float = 0.0
    muscle_bulge: float = 0.0
    axilla: float = 0.0
    axilla_bottom: float = 0.0
    abdomen: float = 0.0
    abdomen_top: float = 0.0

    def axes(self, rows: F32, columns: F32) -> tuple[F32, F32]:
        """(u, v) in mm of points."""
        down, right = rows - self.nipple[0], columns - self.nipple[1]
        sine, cosine = np.float32(np.sin(self.tilt)), np.float32(np.cos(self.tilt))
        return self.depth + down * sine + right * cosine, right * sine - down * cosine

    def points(self, u: F32, v: F32) -> tuple[F32, F32]:
        """(rows, columns) in mm of places on the axes."""
        sine, cosine = np.float32(np.sin(self.tilt)), np.float32(np.cos(self.tilt))
        forward = u - np.float32(self.depth)
        return (
            self.nipple[0] + forward * sine - v * cosine,
            self.nipple[1] + forward * cosine + v * sine,
        )

    def point(self, u: float, v: float) -> tuple[float, float]:
        """`points` of one."""
        row, column = self.points(np.array(u, np.float32), np.array(v, np.float32))
        return float(row), float(column)

    def half_extents(self, u: F32, *, up: Bool) -> F32:
        """How far from the axis the skin is at depth u, mm; `up`: on which side of it."""
        half = np.where(up, self.above, self.below)
        power = np.where(up, self.above_power, self.below_power)
        relative = np.clip(u / self.depth, 0, 1)
        return np.asarray(half * (1 - relative**self.tip_power) ** (1 / power), np.float32)

    def half_extent(self, u: float, *, up: bool) -> float:
        """`half_extents` of one."""
        return float(self.half_extents(np.array(u, np.float32), up=np.array(up)))

    def muscle_edge(self, rows: F32) -> F32:
        """Column of the pectoral muscle's convex edge at each row, mm; negative where none is."""
        if self.muscle_top <= 0:
            return np.full_like(rows, -1e3)
        relative = rows / np.float32(self.muscle_bottom)
        bulge = 4 * self.muscle_bulge * relative * (1 - relative)
        edge = self.muscle_top * (1 - relative) + np.where(relative < 1, bulge, 0)
        return np.asarray(edge, np.float32)


def project(place: Place, projection: Projection, outline: Outline) -> tuple[float, float]:
    """Where a place is seen, (row, column) in mm.

    Its distance to the nipple along the axis is the same in both views, as a radiologist relies on.
    """
    at = project_all(np.array([[place.depth, place.upper, place.outer]]), projection, outline)[0]
    return float(at[0]), float(at[1])


def project_all(
    places: NDArray[np.float64], projection: Projection, outline: Outline
) -> NDArray[np.float64]:
    """`project` of (..., 3) depth, upper, outer -> (..., 2) row, column in mm."""
    depth, upper, outer = np.moveaxis(np.asarray(places, np.float32), -1, 0)
    u = depth * np.float32(outline.depth)
    oblique = (upper + OUTER_IN_MLO * outer) / (1 + OUTER_IN_MLO)
    across = outer if projection is Projection.CC else oblique
    half = outline.half_extents(u, up=across > 0)
    return np.stack(outline.points(u, ACROSS * across * half), -1).astype(np.float64)
