"""Canvases of phantom studies on disk: phantom -> DICOM bytes -> read_mammogram -> render -> uint8.

The way is the service's own, from bytes on, so what is trained on is what is served. One .npy a
view and one .json a study; a study that is there already is not made again.
"""

import ctypes
import json
import multiprocessing
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from model_store.arrays import U8
from model_store.dicom_input import read_mammogram
from model_store.geometry import Placement
from model_store.manifest import Recipe
from model_store.render import render
from training.data.captions import Facts, facts_of
from training.data.phantom import GENERATOR, PhantomRules, make_study, study_generator
from training.data.phantom_dicom import write_dicom
from training.data.phantom_lesions import Box
from training.progress import Say, counter

PR_SET_PDEATHSIG = 1  # prctl(2)
BoxOnCanvas = tuple[float, float, float, float]
"""top, left, bottom, right in canvas pixels."""


@dataclass(frozen=True, slots=True)
class Series:
    """A numbered series of phantom studies: `seed` and what it is made by."""

    seed: int
    rules: PhantomRules
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class ViewRecord:
    """One canvas and its truth. `low`, `high`: the canvas's own extremes, grey levels."""

    study: int
    side: str
    projection: str
    file: str
    facts: tuple[int, ...]
    low: int
    high: int
    mass_box: BoxOnCanvas | None
    calcifications_box: BoxOnCanvas | None

    def fact_vector(self) -> Facts:
        """(7,) int8 by captions.Attribute."""
        return np.array(self.facts, np.int8)


@dataclass(frozen=True, slots=True)
class CanvasSet:
    """A folder of canvases and the records of its views."""

    folder: Path
    views: tuple[ViewRecord, ...]

    def canvas(self, view: ViewRecord) -> U8:
        """(H, W) uint8, mapped from disk and not copied."""
        canvas: U8 = np.load(self.folder / view.file, mmap_mode="r")
        return canvas


def render_bytes(source: bytes, recipe: Recipe) -> tuple[U8, Placement]:
    """DICOM bytes -> canvas, as the service makes it. Raises refusals.Refused."""
    rendered = render(read_mammogram(source), recipe)
    return rendered.canvas, rendered.placement


def make_canvases(
    series: Series, studies: int, *, root: Path, processes: int
) -> Iterator[CanvasSet]:
    """Make what is missing of the first `studies` of a series; yields the set as it grows."""
    folder = root / _folder_name(series)
    folder.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    views: list[ViewRecord] = []
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_start_child) as pool:
        for made in pool.map(partial(_study_views, series, folder), range(studies)):
            views += made
            yield CanvasSet(folder, tuple(views))


def collect_canvases(
    series: Series, studies: int, *, root: Path, processes: int, say: Say
) -> CanvasSet:
    """The first `studies` of a series, made where they are missing."""
    tell = counter(say, f"phantoms of seed {series.seed}")
    canvases = CanvasSet(root, ())
    for canvases in make_canvases(series, studies, root=root, processes=processes):
        tell(len(canvases.views), 4 * studies)
    return canvases


def _folder_name(series: Series) -> str:
    rules = asdict(series.rules)
    text = "-".join(f"{rules[name]:g}" for name in sorted(rules))
    return f"phantoms{GENERATOR}-{series.seed}-{text}-{series.recipe.digest[:8]}"


def _start_child() -> None:
    """One thread, since there is a process a core; and no life beyond the parent's (Linux)."""
    cv2.setNumThreads(1)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _study_views(series: Series, folder: Path, number: int) -> list[ViewRecord]:
    """Records of one study, from its .json or made now. The .json is written last."""
    record = folder / f"{number:06d}.json"
    if record.exists():
        return [_from_json(entry) for entry in json.loads(record.read_text())]
    views = make_views(series, number, folder=folder)
    partial_file = record.with_suffix(".part")
    partial_file.write_text(json.dumps([asdict(view) for view in views]))
    partial_file.rename(record)
    return views


def make_views(series: Series, number: int, *, folder: Path) -> list[ViewRecord]:
    """Draw, write, read and render the four views of one study; canvases go to `folder`."""
    study = make_study(study_generator(series.seed, number), series.rules)
    views: list[ViewRecord] = []
    for view in study.views:
        source = write_dicom(view, series=series.seed, number=number)
        canvas, placement = render_bytes(source, series.recipe)
        file = f"{number:06d}_{view.side}_{view.projection}.npy"
        np.save(folder / file, canvas)
        views.append(
            ViewRecord(
                study=number,
                side=view.side.value,
                projection=view.projection.value,
                file=file,
                facts=tuple(int(fact) for fact in facts_of(study.breast(view.side))),
                low=int(canvas.min()),
                high=int(canvas.max()),
                mass_box=_on_canvas(view.mass_box, placement),
                calcifications_box=_on_canvas(view.calcifications_box, placement),
            )
        )
    return views


def _on_canvas(box: Box | None, placement: Placement) -> BoxOnCanvas | None:
    if box is None:
        return None
    corners = placement.to_canvas(
        np.array([[box.top, box.left], [box.bottom, box.right]], np.float64)
    )
    (top, left), (bottom, right) = corners.tolist()
    return top, left, bottom, right


def _from_json(entry: dict[str, Any]) -> ViewRecord:
    fields = {key: tuple(v) if isinstance(v, list) else v for key, v in entry.items()}
    return ViewRecord(**fields)  # type: ignore[arg-type]


def shown_share(box: BoxOnCanvas, window: Sequence[float]) -> float:
    """Share of a box's area that lies in a window (top, left, bottom, right), 0 to 1."""
    height = min(box[2], window[2]) - max(box[0], window[0])
    width = min(box[3], window[3]) - max(box[1], window[1])
    area = (box[2] - box[0]) * (box[3] - box[1])
    return max(height, 0.0) * max(width, 0.0) / area
