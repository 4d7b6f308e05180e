"""Mammogram -> canvas, by a named recipe; one small function a step.

The same code makes the canvases of training and of serving. Knows nothing of DICOM, models or
files. Single-threaded but for OpenCV's own threads, which the caller sets.

Recipe `mammo-clip`, in words: the border off; MONOCHROME1 inverted as max - x; min-max to 8 bit,
truncated; the breast box of those 8-bit values; stretched by area interpolation. It is computed
another way: every step up to 8 bit is monotone in the stored value, so one table holds it and the
box needs extrema alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model_store.arrays import U8, Stored
from model_store.dicom_input import Mammogram, Photometric
from model_store.geometry import Placement, spans
from model_store.manifest import Recipe
from model_store.refusals import RefusalCode, Refused, WarningCode

BORDER_PX = 5
"""Frame of the detector or scan, taken off each side before anything."""
DARK = 40
"""8-bit values up to this count as air when the breast box is looked for."""
MIDDLE = 0.4
"""The box is looked for within this part of the height or width, either way from the middle."""

FAR_SPANS = 4
"""Padding this many times the image's own span away is no air of a detector."""

LUT_TAKES_16_BIT = int(cv2.__version__.split(".")[0]) >= 5
"""OpenCV 5 looks up 16-bit values, four times as fast as numpy."""

Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """What the model sees, and where it came from."""

    canvas: U8
    """(H, W) as the recipe says."""
    placement: Placement
    warnings: tuple[WarningCode, ...]


def render(mammogram: Mammogram, recipe: Recipe) -> Rendered:
    """Make the canvas. Raises Refused(BLANK_IMAGE) where nothing differs within the border."""
    return RECIPES[recipe.name](mammogram, recipe)


def _mammo_clip(mammogram: Mammogram, recipe: Recipe) -> Rendered:
    pixels = mammogram.pixels[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX]
    inverted = mammogram.photometric is Photometric.MONOCHROME1
    pixels = darken_padding(pixels, mammogram.padding, inverted=inverted)
    low, high = _extrema(pixels)
    if low == high:
        raise Refused(RefusalCode.BLANK_IMAGE, "every pixel within the border has the same value")
    table = grey_table(pixels.dtype, low, high, inverted=inverted)
    rows, columns, found = breast_box(pixels, table, inverted=inverted)
    grey = look_up(table, _cut(pixels, rows, columns))
    canvas = cv2.resize(grey, (recipe.width_px, recipe.height_px), interpolation=cv2.INTER_AREA)
    placement = Placement(
        rows=spans(rows + BORDER_PX),
        columns=spans(columns + BORDER_PX),
        canvas_height=recipe.height_px,
        canvas_width=recipe.width_px,
        stored_height=mammogram.pixels.shape[0],
        stored_width=mammogram.pixels.shape[1],
    )
    warnings = () if found else (WarningCode.NO_BREAST_FOUND,)
    return Rendered(canvas.astype(np.uint8, copy=False), placement, warnings)


RECIPES: dict[str, Callable[[Mammogram, Recipe], Rendered]] = {"mammo-clip": _mammo_clip}


def darken_padding(pixels: Stored, padding: tuple[int, int] | None, *, inverted: bool) -> Stored:
    """Padding becomes as dark as the darkest pixel of the image.

    Air that is marked as padding is left as it is, for the models were trained with it, unless
    it lies so far below the image that it would leave it a fifth of the 256 greys.
    """
    if padding is None:
        return pixels
    first, last = padding
    low, high = _extrema(pixels)
    if first <= low and last >= high:
        raise Refused(RefusalCode.BLANK_IMAGE, "every pixel is marked as padding")
    is_air = last >= high if inverted else first <= low
    if is_air and not _takes_contrast(pixels, padding, inverted=inverted):
        return pixels
    padded = (pixels >= first) & (pixels <= last)
    image = pixels[~padded]
    dark = image.max() if inverted else image.min()
    return np.where(padded, dark, pixels)


def _takes_contrast(pixels: Stored, padding: tuple[int, int], *, inverted: bool) -> bool:
    """Whether dark padding lies far below the image, measured by what the image spans."""
    step = max(min(pixels.shape) // 256, 1)
    sample = pixels[::step, ::step].astype(np.int64)
    image = sample[(sample < padding[0]) | (sample > padding[1])]
    if not len(image):
        return False
    gap = sample.max() - image.max() if inverted else image.min() - sample.min()
    return bool(gap > FAR_SPANS * (image.max() - image.min()))


def grey_table(kind: np.dtype[np.integer], low: int, high: int, *, inverted: bool) -> U8:
    """The 8-bit grey of every stored value, indexed by the value's bit pattern."""
    bits = np.arange(1 << (8 * kind.itemsize), dtype=f"u{kind.itemsize}")
    value = bits.view(kind).astype(np.float64)
    bright = high - value if inverted else value - low
    grey = bright / (high - low) * 255
    return np.clip(grey, 0, 255).astype(np.uint8)  # truncates; values beyond do not occur


def look_up(table: U8, pixels: Stored) -> U8:
    """The grey of each pixel, contiguous."""
    bits = _bits(pixels)
    if bits.dtype == np.uint8 or LUT_TAKES_16_BIT:
        return np.asarray(cv2.LUT(bits, table), np.uint8)
    return np.take(table, bits)


def _bits(pixels: Stored) -> NDArray[np.unsignedinteger]:
    """The same bytes as unsigned integers."""
    return pixels.view(np.dtype(f"u{pixels.dtype.itemsize}"))


def breast_box(pixels: Stored, table: U8, *, inverted: bool) -> tuple[Indices, Indices, bool]:
    """(rows, columns) that show the breast, and whether one was found.

    Columns first: those that are not constant over the middle rows; then rows, over the middle of
    the columns that are left. Everything is kept where nothing is found.
    """
    height = pixels.shape[0]
    above, below = _window(height)
    columns, found_columns = _longest_runs(
        _varies(pixels[above:below], table, axis=0, inverted=inverted)
    )
    left, right = _window(len(columns))
    rows = np.arange(height)
    if right > left:
        middle = _cut(pixels, rows, columns[left:right])
        rows, found_rows = _longest_runs(_varies(middle, table, axis=1, inverted=inverted))
    else:  # fewer than three columns leave no window
        found_rows = False
    return rows, columns, found_columns and found_rows


def _window(length: int) -> tuple[int, int]:
    reach = int(length * MIDDLE)
    return length // 2 - reach, length // 2 + reach


def _varies(pixels: Stored, table: U8, *, axis: int, inverted: bool) -> NDArray[np.bool_]:
    """Whether the grey along `axis` is anything but constant, air being air.

    All of it is searched for the brightest pixel alone; a darker one is nearly always found in
    the middle.
    """
    along = np.moveaxis(pixels, axis, 0)
    brightest, darkest = (np.min, np.max) if inverted else (np.max, np.min)
    middle, reach = len(along) // 2, len(along) // 16
    bright = table[_bits(brightest(along, axis=0))]
    dark = table[_bits(darkest(along[middle - reach : middle + reach + 1], axis=0))]
    varies = (bright > DARK) & (dark != bright)
    doubtful = np.flatnonzero((bright > DARK) & (dark == bright))
    if len(doubtful):
        dark = table[_bits(darkest(along[:, doubtful], axis=0))]
        varies[doubtful] = dark != bright[doubtful]
    return np.asarray(varies)


def _longest_runs(kept: NDArray[np.bool_]) -> tuple[Indices, bool]:
    """Indices of the longest run; of all runs as long as it; of everything where there is none.

    A run that touches an end counts one short on that side: so did the authors' code, and the
    weights were trained on what it cut out.
    """
    everything = np.arange(len(kept))
    steps = np.diff(np.concatenate([[0], kept.astype(np.int8), [0]]))
    starts, stops = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    if not len(starts):
        return everything, False
    lengths = stops - starts - (starts == 0) - (stops == len(kept))
    longest = lengths == lengths.max()
    runs = zip(starts[longest], stops[longest], strict=True)
    return np.concatenate([everything[start:stop] for start, stop in runs]), True


def _cut(pixels: Stored, rows: Indices, columns: Indices) -> Stored:
    """Rows and columns by index; a view where they are contiguous, as they nearly always are."""
    row_runs, column_runs = spans(rows), spans(columns)
    if len(row_runs) > 1 or len(column_runs) > 1:
        return pixels[np.ix_(rows, columns)]
    ((top, bottom),), ((left, right),) = row_runs, column_runs
    return pixels[top:bottom, left:right]


def _extrema(pixels: Stored) -> tuple[int, int]:
    low, high, _, _ = cv2.minMaxLoc(pixels)  # both in one pass
    return int(low), int(high)
