"""Small sets of canvases with known boxes, for tests: textured grey with a bright square a box."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from model_store.geometry import Placement
from training.data.canvas_set import CanvasRecord, CanvasSet, write_index
from training.data.records import Box, Category, Density, Finding, ImageRecord

HEIGHT, WIDTH = 128, 96


def make_set(
    folder: Path,
    *,
    studies: int,
    boxes: dict[Category, Box],
    every: int = 2,
    shape: tuple[int, int] = (HEIGHT, WIDTH),
) -> CanvasSet:
    """Four views a study; the boxes are in each `every`-th study, in its left breast."""
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for study in range(studies):
        for laterality in ("L", "R"):
            shown = boxes if study % every == 0 and laterality == "L" else {}
            for view in ("CC", "MLO"):
                name = f"{study:04d}_{laterality}_{view}"
                record = _record(name, study, (laterality, view), shown, shape)
                np.save(folder / record.file, _canvas(study, list(shown.values()), shape))
                records.append(record)
    write_index(folder, records)
    return CanvasSet(folder, tuple(records))


def _canvas(seed: int, boxes: Sequence[Box], shape: tuple[int, int]) -> np.ndarray:
    canvas = np.random.default_rng(seed).integers(60, 120, shape).astype(np.uint8)
    for box in boxes:
        canvas[int(box.top) : int(box.bottom), int(box.left) : int(box.right)] = 220
    canvas[0, 0], canvas[0, 1] = 0, 255
    return canvas


def _record(
    name: str,
    study: int,
    seen: tuple[str, str],
    boxes: dict[Category, Box],
    shape: tuple[int, int],
) -> CanvasRecord:
    image = ImageRecord(
        source="test",
        patient=f"patient-{study}",
        study=f"study-{study}",
        image=name,
        laterality=seen[0],
        view=seen[1],
        path=f"{name}.dcm",
        density=list(Density)[study % 4],
        findings=tuple(Finding((category,), box) for category, box in boxes.items()),
        annotated=frozenset(Category),
        labels={"malignancy": bool(boxes)},
    )
    rows, columns = shape
    placement = Placement(((0, rows),), ((0, columns),), rows, columns, rows, columns)
    return CanvasRecord(image, f"{name}.npy", placement, 0, 255)
