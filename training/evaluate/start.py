"""From names to an evaluation: which model, which preset, which data, which folder."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from model_store.cores import usable_cores
from model_store.runtime import ModelRuntime
from model_store.store import ModelStore, ModelVersion
from training.data.splits import SPLIT_SEED
from training.evaluate.config import PRESETS, EvaluateConfig
from training.evaluate.evaluation import Evaluation
from training.evaluate.opened import BadData, DataOptions, open_data
from training.manifests import SPLIT_SEED_NOTE, TRAINED_ON
from training.progress import Say


@dataclass(frozen=True, slots=True)
class Choice:
    """Which model (NAME, the newest, or NAME/VERSION) and how it is evaluated.

    `accepted`: models whose licence forbids serving and whose terms the operator has accepted.
    `seed` never moves the splits: `split_seed` does, and left out it is the model's own.
    """

    model: str
    store: ModelStore
    preset: str = "quick"
    seed: int | None = None
    threads: int = 0
    accepted: frozenset[str] = frozenset()
    config: EvaluateConfig | None = None
    split_seed: int | None = None


def start(choice: Choice, options: DataOptions, *, out: Path, say: Say) -> Evaluation:
    """Open everything; results go to OUT/NAME-VERSION/DATA.

    Raises StoreError, BadData, BadTable or FileNotFoundError.
    """
    if choice.preset not in PRESETS:
        raise BadData(f"no preset {choice.preset!r}; there are {', '.join(PRESETS)}")
    config = choice.config or PRESETS[choice.preset]
    if choice.seed is not None:
        config = config.model_copy(update={"seed": choice.seed})
    name, _, version = choice.model.partition("/")
    found = choice.store.find(name, version or None)
    runtime = ModelRuntime.load(found, threads=choice.threads, accept_licences=choice.accepted)
    torch.set_num_threads(choice.threads or usable_cores())
    split_seed, doubts = _split(choice.split_seed, options.kind, found, say=say)
    canvases, measured = open_data(options, recipe=found.manifest.recipe, seed=split_seed, say=say)
    return Evaluation(
        runtime=runtime,
        canvases=canvases,
        measured=replace(measured, preset=choice.preset),
        config=config,
        out=out / found.key.replace("/", "-") / options.kind,
        say=say,
        split_seed=split_seed,
        doubts=doubts,
    )


def _split(
    asked: int | None, kind: str, version: ModelVersion, *, say: Say
) -> tuple[int, tuple[str, ...]]:
    """The seed of the splits, and the warning where the model was trained on another's."""
    made = version.manifest.made_by
    trained = made.get(SPLIT_SEED_NOTE)
    if not isinstance(trained, int):
        return (SPLIT_SEED if asked is None else asked), ()
    if asked in (None, trained):
        say(f"splits: by seed {trained}, as {version.key} was trained")
        return trained, ()
    if kind not in str(made.get(TRAINED_ON, "")).split(", "):
        return asked, ()
    return asked, (
        f"{version.key} was trained on data of kind {kind} split by seed {trained}, and this is "
        f"split by seed {asked}: patients that are tested on may have been trained on.",
    )
