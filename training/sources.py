"""The data of a pretraining run, as its configuration names them: tables and images -> pairs.

Knows nothing of models. Canvases are made once and kept below `root`.
"""

import os
from dataclasses import replace
from pathlib import Path

from model_store.cores import usable_cores
from training.config import DataSource, PretrainConfig
from training.data.canvas_cache import cache_canvases
from training.data.canvas_set import INDEX, CanvasSet, write_index
from training.data.pair_texts import Texts
from training.data.pairs import BreastPairs, MixedPairs
from training.data.readers import READERS
from training.data.records import ImageRecord, Split
from training.data.reports import read_reports
from training.distributed import launched_world
from training.progress import Say

WITH_REPORTS = ("reports", "phantom")


def open_pairs(config: PretrainConfig, *, root: Path, say: Say) -> MixedPairs:
    """The training pairs of all sources, mixed by weight.

    Raises BadTable or ValueError for what cannot be read, and FileNotFoundError where canvases are
    missing in a run of several processes: `prepare` makes them first, in one.
    """
    sets: list[BreastPairs] = []
    for number, source in enumerate(config.data):
        if launched_world() > 1:
            canvases = _made_before(source, config, root=root)
        else:
            canvases = prepare(source, config, root=root, say=say)
        chosen = source.texts or (Texts.REPORTS if source.kind in WITH_REPORTS else Texts.LABELS)
        pairs = BreastPairs(
            canvases.where(_is_trained_on),
            texts=Texts(chosen),
            seed=[config.seed, number],
            rules=config.augment.rules() if config.augment else None,
        )
        say(f"{source.set_name}: {len(pairs)} breasts to train on")
        sets.append(pairs)
    weights = [
        source.weight or float(len(pairs)) for source, pairs in zip(config.data, sets, strict=True)
    ]
    length = config.pairs or sum(len(pairs) for pairs in sets)
    return MixedPairs(sets, weights=weights, length=length, seed=[config.seed])


def prepare(source: DataSource, config: PretrainConfig, *, root: Path, say: Say) -> CanvasSet:
    """The source's canvases, of all splits, made where they are missing.

    Its index lies in a folder of its own, so that no other run's source or split takes its place.
    """
    if source.kind == "canvases":
        return CanvasSet.read(Path(source.table))
    root.mkdir(parents=True, exist_ok=True)
    if source.kind == "phantom":
        made = _phantoms(source, config, root=root, say=say)
    else:
        made = cache_canvases(
            _read(source, config, say=say),
            name=source.set_name,
            root=Path(source.images),
            cache=root,
            recipe=config.recipe,
            processes=usable_cores(),
            say=say,
        )
    return _with_index_in(index_folder(source, config, root=root), made)


def _read(source: DataSource, config: PretrainConfig, *, say: Say) -> tuple[ImageRecord, ...]:
    table, seed = Path(source.table), config.split_seed
    if source.kind == "reports":
        return read_reports(table, seed=seed, say=say, source=source.set_name, path=source.path)
    return READERS[source.kind](table, seed=seed, say=say)


def _phantoms(source: DataSource, config: PretrainConfig, *, root: Path, say: Say) -> CanvasSet:
    from training.data.phantom.rules import PhantomRules
    from training.data.phantom_canvases import Series, collect_canvases

    series = Series(source.series, PhantomRules(), config.recipe)
    return collect_canvases(series, source.studies, root=root, processes=usable_cores(), say=say)


def _is_trained_on(image: ImageRecord) -> bool:
    """In the training split; phantoms and ready canvases have no splits, and all are."""
    return image.split in (None, Split.TRAIN)


def _made_before(source: DataSource, config: PretrainConfig, *, root: Path) -> CanvasSet:
    if source.kind == "canvases":
        return CanvasSet.read(Path(source.table))
    folder = index_folder(source, config, root=root)
    if not (folder / INDEX).exists():
        raise FileNotFoundError(
            f"no canvases of {source.set_name} below {root} yet; make them first, in one process: "
            "the same command with --prepare and without torchrun"
        )
    return CanvasSet.read(folder)


def index_folder(source: DataSource, config: PretrainConfig, *, root: Path) -> Path:
    """Where the index of this very source lies, cut by this very split seed."""
    plain = source.model_copy(update={"weight": None, "texts": ""})
    digests = f"{plain.digest[:12]}-{config.recipe.digest[:8]}"
    return root / f"{source.set_name}-{digests}-split{config.split_seed}"


def _with_index_in(folder: Path, made: CanvasSet) -> CanvasSet:
    """The same canvases, where they are, with an index in `folder`."""
    folder.mkdir(exist_ok=True)
    there = Path(os.path.relpath(made.folder.resolve(), folder.resolve()))
    records = tuple(
        replace(record, file=os.path.normpath(there / record.file)) for record in made.records
    )
    write_index(folder, records)
    return CanvasSet(folder, records)
