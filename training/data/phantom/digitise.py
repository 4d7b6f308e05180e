"""Tissue along the beam -> the stored values of a processed, For Presentation image.

Log exposure, the edge's lesser thickness compensated (peripheral equalisation), quantum noise, a
tone curve. Coefficients are of the mean energy of 28 kVp W/Rh, about 20 keV.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from model_store.arrays import F32
from training.data.phantom.field import COLUMNS, MAXIMUM, SPACING_MM, Projection, Side, ViewField

FAT_PER_MM, GLAND_PER_MM = 0.0456, 0.0802  # 1/mm: NIST, adipose and glandular tissue at 20 keV
CALCIUM_PER_MM = 1.0  # over gland: calcium oxalate
UNEQUALISED = 0.26
"""What is left of the difference in thickness: edges of a processed image are a little darker."""
FAT_VALUE = 1760.0
PER_LOG = 950.0  # stored values per unit of log exposure
SHOULDER = 3300.0  # from here on the tone curve flattens
DARKEST = 700.0
NOISE = 0.016  # sd of the log exposure behind pure fat of 50 mm
MARKER_TOP_MM = 16.0  # inside the upper tenth of the frame, which the breast box does not look at


def digitise(rng: np.random.Generator, field: ViewField) -> NDArray[np.uint16]:
    """(ROWS, COLUMNS) uint16, 12 bit: air exactly 0, fat about 1800, gland about 2700."""
    pixels = np.zeros(field.inside.shape, np.uint16)
    rows, columns = (np.flatnonzero(field.inside.any(axis)) for axis in (1, 0))
    breast = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    full = float(field.thickness_mm.max())
    exposure = field.dense_mm[breast] * np.float32(GLAND_PER_MM - FAT_PER_MM)
    missing = (field.thickness_mm[breast] - np.float32(full)) * np.float32(FAT_PER_MM)
    noise = _noise(rng, exposure + missing)
    noise *= np.float32(NOISE * rng.uniform(0.8, 1.3) * np.exp(0.5 * FAT_PER_MM * (full - 50)))
    exposure += noise
    exposure += field.calcium_mm[breast] * np.float32(CALCIUM_PER_MM)
    missing *= np.float32(UNEQUALISED)
    exposure += missing
    exposure *= np.float32(PER_LOG * rng.uniform(0.92, 1.08))
    exposure += np.float32(FAT_VALUE * rng.uniform(0.96, 1.04))
    pixels[breast] = _toned(exposure) * field.inside[breast]
    return pixels


def _noise(rng: np.random.Generator, absorbed: F32) -> F32:
    """Quantum noise, a little blurred: fewer quanta come through where more is absorbed."""
    noise = np.asarray(rng.standard_normal(absorbed.shape, dtype=np.float32))
    coarse = cv2.resize(absorbed, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_LINEAR)
    noise *= cv2.resize(np.exp(np.float32(0.5) * coarse), absorbed.shape[::-1])
    return np.asarray(cv2.GaussianBlur(noise, (3, 3), 0.55), np.float32)


def _toned(values: F32) -> NDArray[np.uint16]:
    """The tone curve: a shoulder for what is very bright; a breast is never as dark as air."""
    over = np.clip(values - np.float32(SHOULDER), 0, None)
    over *= over / (over + np.float32(600))
    values -= over
    np.clip(values, DARKEST, MAXIMUM - 100, out=values)
    return np.asarray(values, np.uint16)


def draw_marker(pixels: NDArray[np.uint16], side: Side, projection: Projection) -> None:
    """The lead marker, at full brightness: the brightest thing of every image, lesion or not."""
    text = f"{side.value} {projection.value}"
    column = COLUMNS - 380
    drawn = np.zeros((120, 360), np.uint8)
    cv2.putText(drawn, text, (10, 90), cv2.FONT_HERSHEY_SIMPLEX, 2.4, 255, 8)
    if side is Side.RIGHT:
        drawn = drawn[:, ::-1]  # the whole image is mirrored later, the marker must stay readable
    bottom = int(MARKER_TOP_MM / SPACING_MM)
    pixels[bottom - 120 : bottom, column : column + 360][drawn > 127] = MAXIMUM
