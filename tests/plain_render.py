"""Recipe `mammo-clip` the plain way: whole images of float64, standard deviations, no tricks.

Written from the recipe's description alone; what model_store.render must equal, bit for bit.
"""

import cv2
import numpy as np
from numpy.typing import NDArray


def plain_canvas(
    pixels: NDArray[np.integer], *, inverted: bool, height_px: int, width_px: int
) -> NDArray[np.uint8]:
    """(H, W) stored values without padding -> canvas."""
    image = pixels[5:-5, 5:-5].astype(np.float64)
    if inverted:
        image = image.max() - image
    image = (image - image.min()) / (image.max() - image.min()) * 255
    grey = image.astype(np.uint8)
    rows, columns = plain_breast(grey)
    crop = np.ascontiguousarray(grey[rows][:, columns])
    return cv2.resize(crop, (width_px, height_px), interpolation=cv2.INTER_AREA).astype(np.uint8)


def plain_breast(grey: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Masks of the rows and of the columns that are kept."""
    without_air = np.where(grey <= 40, 0, grey)
    height = len(without_air)
    reach = int(0.4 * height)
    middle = without_air[height // 2 - reach : height // 2 + reach]
    columns = plain_longest(middle.std(axis=0) != 0)
    without_air = without_air[:, columns]
    width = without_air.shape[1]
    reach = int(0.4 * width)
    middle = without_air[:, width // 2 - reach : width // 2 + reach]
    if middle.shape[1] == 0:
        return np.ones(height, bool), columns
    return plain_longest(middle.std(axis=1) != 0), columns


def plain_longest(kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mask of every run that is longest; a run counts one short for each end it touches."""
    counts = np.full(len(kept), -1)
    for start in range(len(kept)):
        if kept[start] and (start == 0 or not kept[start - 1]):
            stop = start
            while stop < len(kept) and kept[stop]:
                stop += 1
            counts[start:stop] = stop - start - (start == 0) - (stop == len(kept))
    longest: NDArray[np.bool_] = counts == counts.max()
    return longest
