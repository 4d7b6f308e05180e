"""From names to an evaluation: which model, which preset, which data, which folder."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from model_store.cores import usable_cores
from model_store.runtime import ModelRuntime
from model_store.store import ModelStore
from training.evaluate.config import PRESETS, EvaluateConfig
from training.evaluate.evaluation import Evaluation
from training.evaluate.opened import BadData, DataOptions, open_data
from training.progress import Say


@dataclass(frozen=True, slots=True)
class Choice:
    """Which model (NAME, the newest, or NAME/VERSION) and how it is evaluated.

    `accepted`: models whose licence forbids serving and whose terms the operator has accepted.
    """

    model: str
    store: ModelStore
    preset: str = "quick"
    seed: int | None = None
    threads: int = 0
    accepted: frozenset[str] = frozenset()
    config: EvaluateConfig | None = None


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
    canvases, measured = open_data(options, recipe=found.manifest.recipe, seed=config.seed, say=say)
    return Evaluation(
        runtime=runtime,
        canvases=canvases,
        measured=replace(measured, preset=choice.preset),
        config=config,
        out=out / found.key.replace("/", "-") / options.kind,
        say=say,
    )
