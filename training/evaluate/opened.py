"""The data of an evaluation: tables and images, or phantoms -> canvases with splits, and its name.

Canvases are made once and kept below `work`.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from model_store.cores import usable_cores
from model_store.manifest import Recipe
from training.data.canvas_cache import cache_canvases
from training.data.canvas_set import CanvasRecord, CanvasSet
from training.data.phantom.rules import STANDARD, PhantomRules
from training.data.phantom_canvases import Series, collect_canvases
from training.data.readers import READERS
from training.data.records import ImageRecord, Split
from training.data.splits import SplitShares, split_of
from training.evaluate.tables import Measured
from training.progress import Say

KINDS = ("phantoms", *READERS)
FOLDERS = ("vindr", "embed")  # two tables in one folder
PHANTOM_SHARES = SplitShares(validation=0.15, test=0.4)
NAMES = {
    "vindr": "VinDr-Mammo",
    "rsna": "RSNA Screening Mammography",
    "embed": "EMBED",
    "reports": "a site's own reports",
}


class BadData(ValueError):
    """The options do not name data that can be opened; the message says what to give."""


@dataclass(frozen=True, slots=True)
class DataOptions:
    """Which data: `csv` a table or its folder, `images` the root of the files; or phantoms.

    `series` and `studies`: of phantoms. A series that was trained on measures nothing.
    """

    kind: str
    work: Path
    csv: Path | None = None
    images: Path | None = None
    series: int = 77
    studies: int = 200
    rules: PhantomRules = STANDARD


def open_data(
    options: DataOptions, *, recipe: Recipe, seed: int, say: Say
) -> tuple[CanvasSet, Measured]:
    """Canvases of every split, cut by `seed` where the table brings none.

    Raises BadData, BadTable, or FileNotFoundError.
    """
    if options.kind not in KINDS:
        raise BadData(f"no data called {options.kind!r}; there are {', '.join(KINDS)}")
    if options.kind == "phantoms":
        return _phantoms(options, recipe=recipe, say=say)
    if options.csv is None or options.images is None:
        raise BadData(f"--data {options.kind} needs --csv (its table) and --images (their root)")
    records = _read(options.kind, options.csv, seed=seed, say=say)
    canvases = cache_canvases(
        records,
        name=options.kind,
        root=options.images,
        cache=options.work,
        recipe=recipe,
        processes=usable_cores(),
        say=say,
    )
    if not len(canvases):
        raise BadData(f"none of the {len(records)} images of the table could be read")
    return canvases, describe(options.kind, canvases, of=len(records))


def describe(kind: str, canvases: CanvasSet, *, of: int) -> Measured:
    """In words: whose tables, how many images of those in the table, and whether they are drawn."""
    drawn = all(record.image.study.startswith("phantom") for record in canvases.records)
    tests = sum(record.image.split is Split.TEST for record in canvases.records)
    words = f"{NAMES.get(kind, kind)}, {len(canvases)} of {of} images, {tests} of them test"
    return Measured(kind, f"phantoms in the tables of {words}" if drawn else words, drawn)


def _read(kind: str, csv: Path, *, seed: int, say: Say) -> tuple[ImageRecord, ...]:
    table = csv.parent if kind in FOLDERS and csv.is_file() else csv
    return READERS[kind](table, seed=seed, say=say)


def _phantoms(options: DataOptions, *, recipe: Recipe, say: Say) -> tuple[CanvasSet, Measured]:
    series = Series(options.series, options.rules, recipe)
    made = collect_canvases(
        series, options.studies, root=options.work, processes=usable_cores(), say=say
    )
    records = tuple(with_split(record, seed=options.series) for record in made.records)
    words = f"phantoms, seed {options.series}, {options.studies} studies"
    if options.rules.contrast != STANDARD.contrast:
        words += f", contrast {options.rules.contrast:g}"
    return CanvasSet(made.folder, records), Measured("phantoms", words, phantoms=True)


def with_split(record: CanvasRecord, *, seed: int) -> CanvasRecord:
    """A phantom's record in the split of its patient."""
    split = split_of(record.image.patient, seed=seed, shares=PHANTOM_SHARES)
    return replace(record, image=replace(record.image, split=split))
