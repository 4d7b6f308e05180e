"""Small sets of canvases for tests: noise, with what is known of each."""

from pathlib import Path

import numpy as np

from model_store.geometry import Placement
from training.data.canvas_set import CanvasRecord, CanvasSet, write_index
from training.data.records import ImageRecord

HEIGHT, WIDTH = 48, 32


def write_canvases(folder: Path, images: list[ImageRecord]) -> CanvasSet:
    """A canvas of noise for each image; number i has the value 255 - i in its first pixel."""
    folder.mkdir(parents=True, exist_ok=True)
    placement = Placement(((0, 480),), ((0, 320),), HEIGHT, WIDTH, 480, 320)
    records = []
    for number, image in enumerate(images):
        canvas = np.random.default_rng(number).integers(0, 200, (HEIGHT, WIDTH), np.uint8)
        canvas[0, 0] = 255 - number
        np.save(folder / f"{number:04d}.npy", canvas)
        records.append(CanvasRecord(image, f"{number:04d}.npy", placement, 0, 255))
    write_index(folder, records)
    return CanvasSet.read(folder)


def image(patient: str, laterality: str = "L", view: str = "CC", **known: object) -> ImageRecord:
    """A record named after its patient, side and view."""
    return ImageRecord(
        source="test",
        patient=patient,
        study=f"{patient}-study",
        image=f"{patient}-{laterality}-{view}",
        laterality=laterality,
        view=view,
        path=f"{patient}/{laterality}_{view}.png",
        **known,  # type: ignore[arg-type]
    )
