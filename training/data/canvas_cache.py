"""Canvases of image files, made once: DICOM or PNG -> model_store.render -> .npy by content.

A canvas is named after the sha256 of its file's bytes, in a folder named after the recipe, so two
sets share it and a run that was cut off goes on where it was. A file that is refused is told and
left out.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from model_store.geometry import Placement
from model_store.manifest import Recipe
from model_store.refusals import Refused
from model_store.render import render
from training.data.canvas_set import CanvasRecord, CanvasSet, write_index
from training.data.image_files import find_file, read_image
from training.data.places import with_places
from training.data.records import ImageRecord
from training.data.workers import in_order
from training.progress import Say, counter
from training.whole_file import whole_file

TOLD = 10  # of the files that are left out, this many by name
FILES = "files"


@dataclass(frozen=True, slots=True)
class Made:
    """What became of one file: its canvas, or the reason why there is none."""

    canvas: str = ""
    placement: Placement | None = None
    low: int = 0
    high: int = 0
    spacing_mm: tuple[float, float] | None = None
    laterality: str | None = None
    reason: str = ""


def cache_canvases(
    records: Sequence[ImageRecord],
    *,
    name: str,
    root: Path,
    cache: Path,
    recipe: Recipe,
    processes: int,
    say: Say,
) -> CanvasSet:
    """The canvases of `records`, whose paths are under `root`, as the set `name` of the cache.

    Left out, and said: files that are not there or refused, and files whose size differs from the
    table's, since boxes would lie elsewhere. Boxes without a place get one (places).
    """
    store = cache / f"canvases-{recipe.digest[:12]}"
    (store / FILES).mkdir(parents=True, exist_ok=True)
    tell = counter(say, f"canvases of {name}")
    work = partial(make_canvas, root=root, store=store, recipe=recipe)
    kept: list[CanvasRecord] = []
    reasons: Counter[str] = Counter()
    made_of = in_order(work, [record.path for record in records], processes=processes)
    for done, (record, made) in enumerate(zip(records, made_of, strict=True), start=1):
        reason = made.reason or _unlike(record, made)
        if made.placement is None or reason:
            reasons[reason.split(":")[0]] += 1
            if reasons.total() <= TOLD:
                say(f"{name}: left out {record.path}: {reason}")
        else:
            kept.append(_canvas_record(record, made, made.placement))
            if made.laterality not in (None, record.laterality):
                reasons["kept, though the file names the other side than the table"] += 1
        tell(done, len(records))
    for reason, count in sorted(reasons.items()):
        say(f"{name}: {count} images: {reason}")
    folder = store / name
    folder.mkdir(exist_ok=True)
    canvases = with_places(CanvasSet(folder, tuple(kept)))
    write_index(folder, canvases.records)
    return canvases


def make_canvas(path: str, *, root: Path, store: Path, recipe: Recipe) -> Made:
    """The canvas of a file, from the store or made now. Its .json is written last."""
    try:
        file = find_file(root, path)
    except FileNotFoundError as error:
        return Made(reason=f"no such file: {error}")
    note = store / FILES / _key(file)
    if note.exists():
        known = _known(note.read_text(encoding="utf-8"), store=store)
        if known is not None:
            return known
    source = file.read_bytes()
    digest = sha256(source).hexdigest()
    made = _known(digest, store=store)
    if made is None:
        made = _render(source, digest, store=store, recipe=recipe)
        _write(store / f"{digest}.json", json.dumps(asdict(made)))
    _write(note, digest)
    return made


def _known(digest: str, *, store: Path) -> Made | None:
    """What became of these bytes; None where it isn't known: a note that is lost or cannot be read,
    or one whose canvas is lost."""
    record = store / f"{digest}.json"
    if not record.exists():
        return None
    try:
        made = _from_json(json.loads(record.read_text(encoding="utf-8")))
    except (ValueError, LookupError, TypeError):
        return None
    return None if made.canvas and not (store / made.canvas).is_file() else made


def _key(file: Path) -> str:
    """A name for the file as it is now, so that it is not read again to know its content."""
    stat = file.stat()
    text = f"{file.resolve()}\n{stat.st_size}\n{stat.st_mtime_ns}"
    return sha256(text.encode()).hexdigest()


def _render(source: bytes, digest: str, *, store: Path, recipe: Recipe) -> Made:
    try:
        mammogram = read_image(source)
        rendered = render(mammogram, recipe)
    except Refused as refused:
        return Made(reason=str(refused))
    with whole_file(store / f"{digest}.npy") as file:
        np.save(file, rendered.canvas)
    return Made(
        canvas=f"{digest}.npy",
        placement=rendered.placement,
        low=int(rendered.canvas.min()),
        high=int(rendered.canvas.max()),
        spacing_mm=mammogram.spacing_mm,
        laterality=mammogram.laterality and mammogram.laterality.value,
    )


def _write(path: Path, text: str) -> None:
    with whole_file(path) as file:
        file.write(text.encode())


def _unlike(record: ImageRecord, made: Made) -> str:
    """Why a canvas does not fit its record, or ""."""
    place = made.placement
    if place is None or record.rows is None or record.columns is None:
        return ""
    if (place.stored_height, place.stored_width) == (record.rows, record.columns):
        return ""
    return (
        f"size differs from the table's: {record.rows} x {record.columns} there, "
        f"{place.stored_height} x {place.stored_width} in the file"
    )


def _canvas_record(record: ImageRecord, made: Made, placement: Placement) -> CanvasRecord:
    rows, columns = placement.stored_height, placement.stored_width
    return CanvasRecord(
        image=replace(record, rows=rows, columns=columns),
        file=f"../{made.canvas}",
        placement=placement,
        low=made.low,
        high=made.high,
        spacing_mm=made.spacing_mm,
    )


def _from_json(entry: dict[str, Any]) -> Made:
    placement, spacing = entry["placement"], entry["spacing_mm"]
    if placement is not None:
        for axis in ("rows", "columns"):
            placement[axis] = tuple((int(start), int(stop)) for start, stop in placement[axis])
        placement = Placement(**placement)
    spacing = spacing and (float(spacing[0]), float(spacing[1]))
    return Made(**{**entry, "placement": placement, "spacing_mm": spacing})
