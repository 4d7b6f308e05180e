"""Small sets of canvases whose truth is known, for every test of evaluation."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from model_store.arrays import U8
from model_store.geometry import Placement
from training.data.canvas_set import CanvasRecord, CanvasSet, write_index
from training.data.records import Box, Category, Density, Finding, ImageRecord, Report, Split

HEIGHT, WIDTH = 64, 48
SPLITS = (Split.TRAIN, Split.TRAIN, Split.VALIDATION, Split.TEST)
"""Of pairs of patients by their number modulo four."""


def blob_canvas(
    rng: np.random.Generator, *, box: Box | None, size: tuple[int, int] = (HEIGHT, WIDTH)
) -> U8:
    """Half an ellipse of noisy tissue, with a bright lesion where the box is."""
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    inside = ((rows - size[0] / 2) / (size[0] / 2)) ** 2 + (columns / (size[1] * 0.9)) ** 2 < 1
    canvas = np.where(inside, rng.integers(60, 110, size=size), 0)
    if box is not None:
        canvas[int(box.top) : int(box.bottom), int(box.left) : int(box.right)] = 250
    return canvas.astype(np.uint8)


def lesion_box(rng: np.random.Generator, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Box:
    """A quarter of the canvas's height and width, somewhere in the breast."""
    top = int(rng.integers(size[0] // 4, size[0] // 2))
    left = int(rng.integers(0, size[1] // 3))
    return Box(top, left, top + size[0] // 4, left + size[1] // 4)


def make_canvases(
    folder: Path,
    *,
    patients: int,
    seed: int = 0,
    size: tuple[int, int] = (HEIGHT, WIDTH),
    change: Callable[[ImageRecord, int], ImageRecord] = lambda image, _: image,
) -> CanvasSet:
    """Two views of both breasts of each patient; the left breasts of odd patients have a mass.

    `change(record, number of the image)` may alter what is known of an image.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    records = []
    for number in range(4 * patients):
        patient, (side, view) = (
            number // 4,
            (("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO"))[number % 4],
        )
        box = lesion_box(rng, size) if patient % 2 and side == "L" else None
        np.save(folder / f"{number:04d}.npy", blob_canvas(rng, box=box, size=size))
        image = _image(number, (side, view), box, size)
        records.append(_record(change(image, number), number, size))
    write_index(folder, records)
    return CanvasSet(folder, tuple(records))


def _image(
    number: int, view: tuple[str, str], box: Box | None, size: tuple[int, int]
) -> ImageRecord:
    patient = number // 4
    text = ("there is a mass.",) if box else ("no mass.",)
    return ImageRecord(
        source="made",
        patient=f"p{patient}",
        study=f"s{patient}",
        image=f"i{number}",
        laterality=view[0],
        view=view[1],
        path=f"{number}.png",
        rows=size[0],
        columns=size[1],
        density=tuple(Density)[(patient + patient // 4) % 4],
        findings=(Finding((Category.MASS,), box),) if box else (),
        annotated=frozenset({Category.MASS, Category.CALCIFICATION}),
        labels={"malignancy": box is not None},
        report=Report(findings=text),
        split=SPLITS[patient // 2 % 4],
    )


def _record(image: ImageRecord, number: int, size: tuple[int, int]) -> CanvasRecord:
    whole = Placement(((0, size[0]),), ((0, size[1]),), *size, *size)
    return CanvasRecord(image, f"{number:04d}.npy", whole, low=0, high=250)
