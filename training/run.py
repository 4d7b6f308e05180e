"""One Lightning run: passes in a fixed order, checkpoints between steps, progress, resumption.

A pass is one forward and backward; a step is one move of the weights, after `accumulate` passes.
What pass number n sees is a function of n (and of the process's rank) alone, n counting on over the
epochs, and so is all chance inside the network. A run that was killed goes on after the last step
that was written down, mid-epoch too, and ends where an uninterrupted one does. Knows nothing of
losses, towers or data.
"""

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from torch.utils.data import DataLoader

from training.data.passes import Fetch, pass_loader
from training.distributed import launched_machines
from training.progress import Say

LAST = "last.ckpt"
EXPECTED_WARNINGS = (
    r".*in eval mode at the start of training",  # BatchNorm, on purpose
    r"Checkpoint directory .* exists and is not empty",  # a run that goes on
    r".*does not have many workers",  # as many as the plan says
    r".*isinstance\(treespec, LeafSpec\)",  # Lightning's own use of torch
    r".*find_unused_parameters=True was specified",
    r"Consider setting `persistent_workers=True`",  # one loader serves the whole run
    r"GPU available but not used",
    r"Trying to infer the `batch_size`",
)


class AnotherRun(Exception):
    """The checkpoint found is of a run of other dimensions."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Dimensions of a run: `epochs` of `steps`, each of `accumulate` passes in each process.

    A checkpoint is written at every epoch's end and every `save_every` steps (0: not between);
    a line of progress likewise by `say_every`. `workers` processes draw batches ahead.
    """

    epochs: int
    steps: int
    accumulate: int = 1
    save_every: int = 0
    say_every: int = 0
    workers: int = 0
    seed: int = 0
    world: int = 1

    @property
    def total(self) -> int:
        """Steps in all."""
        return self.epochs * self.steps

    def due(self, step: int, every: int) -> bool:
        """Whether something happens after `step` steps: at epochs' ends, and every so many."""
        return step % self.steps == 0 or (every > 0 and step % every == 0)


class Passes(lightning.LightningDataModule):
    """The batches of a run, from the pass on at which the Trainer stands."""

    def __init__(self, fetch: Fetch, plan: Plan) -> None:
        super().__init__()
        self._fetch, self._plan = fetch, plan

    def train_dataloader(self) -> DataLoader[Any]:
        """All that is left of the run, over all epochs."""
        assert self.trainer is not None
        plan = self._plan
        done = self.trainer.global_step * plan.accumulate
        last = plan.total * plan.accumulate
        return pass_loader(self._fetch, first=done, last=last, workers=plan.workers)


class _StepCallback(Callback):
    """Calls `after_step` once a step, not once a pass."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._seen = -1

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Remember where the run stands."""
        del pl_module
        self._seen = trainer.global_step

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Tell a step from a pass."""
        del outputs, batch, batch_idx
        if trainer.global_step != self._seen:
            self._seen = trainer.global_step
            self.after_step(trainer, pl_module)

    def after_step(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """To be filled."""


class Checkpoints(_StepCallback):
    """last.ckpt, replaced whole or not at all."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        super().__init__(plan)
        self._path = folder / LAST

    def after_step(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Write where the plan says so."""
        del module
        if self.plan.due(trainer.global_step, self.plan.save_every):
            partial = self._path.with_suffix(".part")
            trainer.save_checkpoint(partial)
            if trainer.is_global_zero:
                partial.replace(self._path)

    def state_dict(self) -> dict[str, Any]:
        """The dimensions of the run."""
        return {"plan": _dimensions(self.plan)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """AnotherRun where pass number n was something else in the run that is gone on with."""
        if state_dict["plan"] != _dimensions(self.plan):
            raise AnotherRun(
                f"{self._path} is of a run with {state_dict['plan']}, this one has "
                f"{_dimensions(self.plan)}; give this one a folder of its own"
            )


def _dimensions(plan: Plan) -> dict[str, int]:
    fixed = ("epochs", "steps", "accumulate", "seed", "world")
    return {name: value for name, value in asdict(plan).items() if name in fixed}


class StepSeed(Callback):
    """Dropout and dropped paths of a pass are a function of (seed, rank, pass) alone."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._next = 0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """The pass at which the run stands."""
        del pl_module
        self._next = trainer.global_step * self._plan.accumulate

    def on_train_batch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Seed torch for this pass."""
        words = np.random.SeedSequence([self._plan.seed, trainer.global_rank, self._next])
        torch.manual_seed(int(words.generate_state(1)[0]))
        self._next += 1


def images_of(batch: Any) -> int:
    """Images in a batch that has them in one tensor."""
    return len(batch.images)


class Report(Callback):
    """Says epoch, mean loss and images a second, at each epoch's end and where the plan says so.

    Both are since the line before. `loss` is that of the last step alone, over its passes.
    """

    def __init__(
        self,
        say: Say,
        *,
        name: str,
        count: Callable[[Any], int] = images_of,
        plan: Plan | None = None,
    ) -> None:
        self._say, self._name, self._count = say, name, count
        self.plan = plan
        self.loss = float("nan")
        self._begin()

    def _begin(self) -> None:
        self._started = time.perf_counter()
        self._losses: list[torch.Tensor] = []
        self._step_losses: list[torch.Tensor] = []
        self._images = 0

    def on_train_start(self, *_: Any) -> None:
        """Start the clock."""
        self._begin()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count; say a line where one is due."""
        assert self.plan is not None
        assert isinstance(outputs, Mapping)
        loss = outputs["loss"] * self.plan.accumulate  # Lightning divides
        self._losses.append(loss)
        self._step_losses.append(loss)
        self._images += self._count(batch) * trainer.world_size
        if (batch_idx + 1) % self.plan.accumulate:
            return
        step, losses = trainer.global_step, self._step_losses
        self._step_losses = []
        if self.plan.due(step, self.plan.say_every):
            self.loss = float(torch.stack(losses).mean())
            self._tell(pl_module, step)

    def state_dict(self) -> dict[str, Any]:
        """The last loss that was told."""
        return {"loss": self.loss}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What a run that was killed after its last step came to."""
        self.loss = state_dict["loss"]

    def _tell(self, module: lightning.LightningModule, step: int) -> None:
        assert self.plan is not None
        speed = self._images / (time.perf_counter() - self._started)
        mean = float(torch.stack(self._losses).mean())
        epoch, place = divmod(step - 1, self.plan.steps)
        within = "" if place + 1 == self.plan.steps else f", step {place + 1}/{self.plan.steps}"
        self._say(
            f"{self._name}: epoch {epoch + 1}/{self.plan.epochs}{within}, "
            f"loss {mean:.3f}, {speed:.1f} images/s"
        )
        if module.logger is not None:
            module.logger.log_metrics({"loss": mean, "images_per_s": speed}, step)
        self._begin()


def fit(
    module: lightning.LightningModule,
    plan: Plan,
    fetch: Fetch,
    *,
    folder: Path,
    report: Report,
    callbacks: Sequence[Callback] = (),
    precision: Any = "32-true",
    accelerator: str = "cpu",
    logger: Logger | None = None,
    gradient_clip: float = 1.0,
) -> None:
    """Run to the plan's end; goes on from `folder`'s last checkpoint if there is one.

    Under torchrun every process of every machine calls this and is one of the run. Raises
    AnotherRun where the checkpoint is of other dimensions.
    """
    report.plan = plan
    last = folder / LAST
    with warnings.catch_warnings():
        for expected in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message=expected)
        trainer = lightning.Trainer(
            **launched_machines(),
            **_only_ours(plan),
            accelerator=accelerator,
            gradient_clip_val=gradient_clip,
            precision=precision,
            callbacks=[*callbacks, StepSeed(plan), report, Checkpoints(plan, folder)],
            logger=logger or False,
        )
        module.train()  # Lightning keeps the mode it is given; BatchNorm may stay in evaluation
        trainer.fit(
            module,
            datamodule=Passes(fetch, plan),
            ckpt_path=last if last.exists() else None,
        )


def _only_ours(plan: Plan) -> dict[str, Any]:
    """The plan's dimensions for a Trainer that saves, reports and samples nothing by itself."""
    return {
        "max_steps": plan.total,
        "max_epochs": -1,
        "accumulate_grad_batches": plan.accumulate,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
    }
