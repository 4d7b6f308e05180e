"""What a view consists of before it becomes an image: millimetres of tissue along each ray.

Lesions are drawn into a ViewField, in place; `digitise` makes stored values of it. Arrays are
(ROWS, COLUMNS) at 0.1 mm, the chest wall at the left edge, rows downwards, whatever the side.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_store.arrays import F32
from training.data.phantom.outline import Outline, Place, Projection, Side, project

__all__ = [
    "BITS_STORED",
    "COLUMNS",
    "MAXIMUM",
    "PX_PER_MM",
    "ROWS",
    "SPACING_MM",
    "Bool",
    "Outline",
    "Place",
    "Projection",
    "Side",
    "ViewField",
    "project",
]

Bool = NDArray[np.bool_]

ROWS, COLUMNS = 2294, 1914  # a 19 x 23 cm detector at 0.1 mm
SPACING_MM = 0.1
PX_PER_MM = 10
BITS_STORED = 12
MAXIMUM = 2**BITS_STORED - 1


@dataclass(slots=True, eq=False)
class ViewField:
    """One view. Millimetres are counted along the beam unless said otherwise.

    dense_mm: fibroglandular tissue, or what attenuates as much (a mass of 10 mm of gland: 10).
    thickness_mm: the compressed breast; 0 outside, falling towards the skin.
    calcium_mm: calcium; `digitise` knows how much more it attenuates.
    inside: where the breast (with skin and muscle) is. skin_mm: distance to the skin line in the
    image plane, 0 outside. muscle: where the pectoral muscle is. nipple_mm: (row, column) of the
    nipple's base on the skin line.
    """

    dense_mm: F32
    thickness_mm: F32
    calcium_mm: F32
    inside: Bool
    skin_mm: F32
    muscle: Bool
    nipple_mm: tuple[float, float]
    outline: Outline

    def window(self, centre_mm: tuple[float, float], half_mm: float) -> tuple[slice, slice]:
        """Rows and columns within `half_mm` of (row, column) in mm, clipped to the frame."""
        rows, columns = (
            slice(
                min(max(round((at - half_mm) * PX_PER_MM), 0), size),
                min(max(round((at + half_mm) * PX_PER_MM), 0), size),
            )
            for at, size in zip(centre_mm, self.dense_mm.shape, strict=True)
        )
        return rows, columns
