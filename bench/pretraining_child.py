"""A few steps of pretraining in a process of its own; prints a line of JSON.

python -m bench.pretraining_child WORK fed|loop < config.json
"""

import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from training.config import PretrainConfig
from training.data.passes import Fetch, PairFetch
from training.models.clip import pretrained
from training.pretrain import PretrainStage, pairs_in
from training.run import Plan, Report, fit
from training.sources import open_pairs

STEPS, WARM_UP = 14, 4
SHOWN = 4


class Steps(Callback):
    """Loss of each step, and when it had been taken."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.ends: list[float] = []

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, *_: Any) -> None:
        """Reading the loss waits for the device."""
        del trainer, module
        self.losses.append(float(outputs["loss"]))
        self.ends.append(time.perf_counter())


class Fed:
    """One batch, whatever the number of the pass."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    def __call__(self, number: int) -> Any:
        """The batch."""
        del number
        return self._batch


def main() -> None:
    """Train, then print what was seen."""
    work, how = Path(sys.argv[1]), sys.argv[2]
    config = PretrainConfig.model_validate_json(sys.stdin.read())
    pairs = open_pairs(config, root=work / "canvases", say=_silent)
    drawn = PairFetch(pairs, config.batch)
    fetch: Fetch = Fed(drawn(0)) if how == "fed" else drawn
    workers = 0 if how == "fed" else config.workers
    plan = Plan(epochs=1, steps=STEPS, workers=workers, seed=config.seed)
    lightning.seed_everything(config.seed, verbose=False)
    model = pretrained(config.model)
    model.image.to(memory_format=torch.channels_last)
    steps = Steps()
    fit(
        PretrainStage(model, config, plan=plan, work=work),
        plan,
        fetch,
        folder=work,
        report=Report(_silent, name="bench", count=pairs_in),
        callbacks=[steps],
        precision=config.precision,
        accelerator=config.accelerator,
    )
    spent = [end - start for start, end in zip(steps.ends, steps.ends[1:], strict=False)]
    answer = {
        "rate": 2 * config.batch / median(spent[WARM_UP - 1 :]),
        "losses": steps.losses[:SHOWN],
        "peak_bytes": torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0,
    }
    print(json.dumps(answer))


def _silent(line: str) -> None:
    del line


if __name__ == "__main__":
    main()
