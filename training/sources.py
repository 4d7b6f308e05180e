"""The data of a pretraining run, as its configuration names them: tables and images -> pairs.

Knows nothing of models. Canvases are made once and kept below `root`.
"""

from collections.abc import Callable
from pathlib import Path

from model_store.cores import usable_cores
from training.config import DataSource, PretrainConfig
from training.data.canvas_cache import cache_canvases
from training.data.canvas_set import CanvasSet
from training.data.embed import read_embed
from training.data.pair_texts import Texts
from training.data.pairs import BreastPairs, MixedPairs
from training.data.records import ImageRecord, Split
from training.data.reports import read_reports
from training.data.rsna import read_rsna
from training.data.vindr import read_vindr
from training.distributed import launched_world
from training.progress import Say

Records = tuple[ImageRecord, ...]
TABLES: dict[str, Callable[[DataSource, int, Say], Records]] = {
    "vindr": lambda source, seed, say: read_vindr(Path(source.table), seed=seed, say=say),
    "rsna": lambda source, seed, say: read_rsna(Path(source.table), seed=seed, say=say),
    "embed": lambda source, seed, say: read_embed(Path(source.table), seed=seed, say=say),
    "reports": lambda source, seed, say: read_reports(
        Path(source.table), seed=seed, say=say, source=source.set_name, path=source.path
    ),
}
WITH_REPORTS = ("reports", "phantom")


def open_pairs(config: PretrainConfig, *, root: Path, say: Say) -> MixedPairs:
    """The training pairs of all sources, mixed by weight.

    Raises BadTable or ValueError for what cannot be read, and FileNotFoundError where canvases are
    missing in a run of several processes: `prepare` makes them first, in one.
    """
    sets: list[BreastPairs] = []
    for number, source in enumerate(config.data):
        if launched_world() > 1:
            canvases = _made_before(source, root=root, recipe_digest=config.recipe.digest)
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
    """The source's canvases, of all splits, made where they are missing."""
    if source.kind == "canvases":
        return CanvasSet.read(Path(source.table))
    root.mkdir(parents=True, exist_ok=True)
    if source.kind == "phantom":
        made = _phantoms(source, config, root=root, say=say)
    else:
        made = cache_canvases(
            TABLES[source.kind](source, config.seed, say),
            name=source.set_name,
            root=Path(source.images),
            cache=root,
            recipe=config.recipe,
            processes=usable_cores(),
            say=say,
        )
    note = _note(source, root=root, recipe_digest=config.recipe.digest)
    note.write_text(str(made.folder.resolve()), encoding="utf-8")
    return made


def _phantoms(source: DataSource, config: PretrainConfig, *, root: Path, say: Say) -> CanvasSet:
    from training.data.phantom.rules import PhantomRules
    from training.data.phantom_canvases import Series, collect_canvases

    series = Series(source.series, PhantomRules(), config.recipe)
    return collect_canvases(series, source.studies, root=root, processes=usable_cores(), say=say)


def _is_trained_on(image: ImageRecord) -> bool:
    """In the training split; phantoms and ready canvases have no splits, and all are."""
    return image.split in (None, Split.TRAIN)


def _made_before(source: DataSource, *, root: Path, recipe_digest: str) -> CanvasSet:
    if source.kind == "canvases":
        return CanvasSet.read(Path(source.table))
    note = _note(source, root=root, recipe_digest=recipe_digest)
    if not note.exists():
        raise FileNotFoundError(
            f"no canvases of {source.set_name} below {root} yet; make them first, in one process: "
            "the same command with --prepare and without torchrun"
        )
    return CanvasSet.read(Path(note.read_text(encoding="utf-8")))


def _note(source: DataSource, *, root: Path, recipe_digest: str) -> Path:
    """Where it is written down which folder the canvases of this very source are in."""
    plain = source.model_copy(update={"weight": None, "texts": ""})
    return root / f"{source.set_name}-{plain.digest[:12]}-{recipe_digest[:8]}.txt"
