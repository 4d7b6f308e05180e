"""Canvases of phantom studies: phantom -> DICOM bytes -> read_mammogram -> render -> uint8 on disk.

The way is the service's own, from bytes on, so what is trained on is what is served. One .npy a
view and one .json a study; a study that is there already is not made again.
"""

import json
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np

from model_store.dicom_input import read_mammogram
from model_store.manifest import Recipe
from model_store.render import render
from training.data.canvas_set import CanvasRecord, CanvasSet, from_json, to_json, write_index
from training.data.phantom.dicom import write_dicom
from training.data.phantom.rules import PhantomRules
from training.data.phantom.study import GENERATOR, make_study, records_of, study_generator
from training.data.workers import in_order
from training.progress import Say, counter


@dataclass(frozen=True, slots=True)
class Series:
    """A numbered series of phantom studies: `seed` and what it is made by."""

    seed: int
    rules: PhantomRules
    recipe: Recipe

    @property
    def folder(self) -> str:
        """Name that no other series, generator, rule or recipe shares."""
        text = json.dumps(asdict(self.rules), sort_keys=True, default=str)
        rules = sha256(text.encode()).hexdigest()[:8]
        return f"phantoms{GENERATOR}-{self.seed}-{rules}-{self.recipe.digest[:8]}"


def collect_canvases(
    series: Series, studies: int, *, root: Path, processes: int, say: Say
) -> CanvasSet:
    """The first `studies` of a series, made where they are missing; four views each."""
    tell = counter(say, f"phantoms of seed {series.seed}")
    folder = root / series.folder
    folder.mkdir(parents=True, exist_ok=True)
    records: list[CanvasRecord] = []
    make = partial(_study_views, series, folder)
    for made in in_order(make, range(studies), processes=processes):
        records += made
        tell(len(records), 4 * studies)
    write_index(folder, records)
    return CanvasSet(folder, tuple(records))


def _study_views(series: Series, folder: Path, number: int) -> list[CanvasRecord]:
    """Records of one study, from its .json or made now. The .json is written last."""
    record = folder / f"{number:06d}.json"
    if record.exists():
        return [from_json(entry) for entry in json.loads(record.read_text(encoding="utf-8"))]
    views = make_views(series, number, folder=folder)
    part = record.with_suffix(".part")
    part.write_text(json.dumps([to_json(view) for view in views]), encoding="utf-8")
    part.rename(record)
    return views


def make_views(series: Series, number: int, *, folder: Path) -> list[CanvasRecord]:
    """Draw, write, read and render the four views of one study; canvases go to `folder`."""
    study = make_study(study_generator(series.seed, number), series.rules)
    images = records_of(study, series=series.seed, number=number)
    views: list[CanvasRecord] = []
    for view, image in zip(study.views, images, strict=True):
        mammogram = read_mammogram(write_dicom(view, series=series.seed, number=number))
        rendered = render(mammogram, series.recipe)
        file = f"{number:06d}_{image.laterality}_{image.view}.npy"
        np.save(folder / file, rendered.canvas)
        views.append(
            CanvasRecord(
                image=image,
                file=file,
                placement=rendered.placement,
                low=int(rendered.canvas.min()),
                high=int(rendered.canvas.max()),
                spacing_mm=mammogram.spacing_mm,
            )
        )
    return views
