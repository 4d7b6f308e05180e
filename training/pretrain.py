"""Mammo-CLIP's pretraining: two views and two texts of a breast a pair, on one machine or many.

A run is its configuration and a folder: `last.ckpt` to go on from, `tensorboard/`, and at the end
`model.pt` (weights) and `run.json` (its settings and what it came to). Knows nothing of phantoms or
of ONNX.
"""

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from model_store.cores import usable_cores
from training.alone import alone_in
from training.config import PretrainConfig
from training.data.facts import UNSTATED, truth
from training.data.pairs import MixedPairs, PairBatch
from training.data.passes import PairFetch
from training.distributed import gather, launched_rank, launched_world
from training.ema import Ema
from training.losses import Truth, mammo_clip_loss
from training.models.clip import Clip, pretrained, tokenizer_of
from training.progress import Say
from training.run import Plan, Report, fit
from training.same_run import check_same_run
from training.schedule import learning_rate_factor
from training.sources import open_pairs
from training.whole_file import whole_file

MODEL, RUN = "model.pt", "run.json"
SETTINGS = "config"
"""Key of what a run was configured as, in its checkpoint and in run.json."""


class PretrainStage(lightning.LightningModule):
    """Both towers and the loss over all processes' pairs, in the run of the folder `work`."""

    def __init__(self, model: Clip, config: PretrainConfig, *, plan: Plan, work: Path) -> None:
        super().__init__()
        self.model = model
        self._config, self._plan, self._work = config, plan, work
        self._tokenizer = tokenizer_of(model)
        model.image.checkpointing = config.checkpointing

    def training_step(self, batch: PairBatch, index: int) -> Tensor:  # noqa: ARG002  Lightning's
        """Loss of one pass."""
        config = self._config
        canvases = torch.cat([batch.images1, batch.images2])  # (2N, H, W)
        images1, images2 = self.model.image(canvases).embedding.chunk(2)
        ids, mask = self._tokenizer.encode([*batch.texts1, *batch.texts2])
        texts1, texts2 = self.model.text(
            torch.from_numpy(ids).to(self.device), torch.from_numpy(mask).to(self.device)
        ).chunk(2)
        return mammo_clip_loss(
            images1,
            images2,
            texts1,
            texts2,
            logit_scale=self.model.logit_scale,
            image_image=config.image_image,
            text_text=config.text_text,
            label_smoothing=config.label_smoothing,
            true=pair_truth(batch, self.device) if config.positives == "facts" else None,
        )

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Bound the temperature before anybody sees the step: the average, a checkpoint."""
        super().optimizer_step(*args, **kwargs)
        self.model.bound_temperature()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What the run was configured as goes with its weights."""
        checkpoint[SETTINGS] = self._config.settings()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """AnotherRun where the weights are of another configuration."""
        check_same_run(checkpoint.get(SETTINGS), self._config.settings(), where=self._work)

    def configure_optimizers(self) -> Any:
        """AdamW over all that learns; warm-up, then a cosine to zero."""
        config, plan = self._config, self._plan
        optimizer = torch.optim.AdamW(
            [weight for weight in self.parameters() if weight.requires_grad],
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
        )
        warm_up = round(config.warmup_epochs * plan.steps)
        factor = learning_rate_factor(plan.total, warmup_steps=warm_up)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": LambdaLR(optimizer, factor), "interval": "step"},
        }


def pair_truth(batch: PairBatch, device: torch.device) -> Truth:
    """Which text of all processes is known to be true of which breast: its own, and any that fits.

    A radiologist's own report makes no claims that could be looked up, and is true of its breast
    alone. Two texts say the same where they claim the same.
    """
    facts, claims1, claims2 = (
        gather(torch.from_numpy(part).to(device)).cpu().numpy()
        for part in (batch.facts, batch.claims1, batch.claims2)
    )
    own = np.eye(len(facts), dtype=bool)
    stated = [(claims != UNSTATED).any(axis=1) for claims in (claims1, claims2)]
    of1, of2 = (
        (truth(facts, claims) & known[None]) | own
        for claims, known in zip((claims1, claims2), stated, strict=True)
    )
    alike = (claims1[:, None] == claims2[None]).all(axis=2) & stated[0][:, None] | own
    tables = (torch.from_numpy(table).to(device) for table in (of1, of1, of2, of2, alike))
    return Truth(*tables)


def pairs_in(batch: PairBatch) -> int:
    """Images of a batch."""
    return 2 * len(batch.images1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to: mean loss of the last step's passes (in this process), steps, pairs."""

    loss: float
    steps: int
    pairs: int


def plan_of(config: PretrainConfig, pairs: MixedPairs, *, world: int) -> Plan:
    """Dimensions of the run; ValueError where the pairs do not fill one step."""
    step = config.batch * config.accumulate * world
    if len(pairs) < step:
        raise ValueError(f"{len(pairs)} pairs do not fill one step of {step}")
    return Plan(
        epochs=config.epochs,
        steps=len(pairs) // step,
        accumulate=config.accumulate,
        save_every=config.save_every,
        say_every=config.say_every,
        workers=config.workers,
        seed=config.seed,
        world=world,
    )


def pretrain(config: PretrainConfig, *, work: Path, say: Say) -> Outcome:
    """Run to the end, or go on with `work`'s run; one that is done is not run again.

    Under torchrun each process calls this. Raises ValueError (FolderInUse, too) and BadTable for
    what cannot be read, AnotherRun where `work` holds a run of another configuration.
    """
    rank = launched_rank()
    with alone_in(work) if rank == 0 else contextlib.nullcontext():
        done = outcome_of(config, work=work)
        if done is not None:
            say(f"pretrain: done before, {work / MODEL}")
            return done
        return _run(config, work=work, say=say if rank == 0 else _silent, rank=rank)


def outcome_of(config: PretrainConfig, *, work: Path) -> Outcome | None:
    """What the run in `work` came to, None where none has ended; AnotherRun as in `pretrain`."""
    path = work / RUN
    if not path.exists():
        return None
    entry = json.loads(path.read_text(encoding="utf-8"))
    check_same_run(entry.pop(SETTINGS, None), config.settings(), where=work)
    return Outcome(**entry)


def _run(config: PretrainConfig, *, work: Path, say: Say, rank: int) -> Outcome:
    torch.set_num_threads(config.threads or usable_cores())
    world = launched_world()
    pairs = open_pairs(config, root=work / "canvases", say=say)
    plan = plan_of(config, pairs, world=world)
    lightning.seed_everything(config.seed, verbose=False)
    model = pretrained(config.model)
    model.image.to(memory_format=torch.channels_last)
    stage = PretrainStage(model, config, plan=plan, work=work)
    report = Report(say, name="pretrain", count=pairs_in)
    average = Ema(config.ema) if config.ema else None
    fit(
        stage,
        plan,
        PairFetch(pairs, config.batch, rank, world),
        folder=work,
        report=report,
        callbacks=[average] if average else [],
        precision=config.precision,
        accelerator=config.accelerator,
        logger=TensorBoardLogger(work, name="tensorboard", version=""),
        gradient_clip=config.gradient_clip,
    )
    if average:
        average.copy_to(stage)
    outcome = Outcome(report.loss, plan.total, len(pairs))
    if rank == 0:
        _write(model, outcome, config, work=work)
        say(f"pretrain: done, {plan.total} steps, loss {report.loss:.6f}, {work / MODEL}")
    return outcome


def _write(model: Clip, outcome: Outcome, config: PretrainConfig, *, work: Path) -> None:
    with whole_file(work / MODEL) as file:
        torch.save(model.state_dict(), file)
    with whole_file(work / RUN) as file:
        entry = {**asdict(outcome), SETTINGS: config.settings()}
        file.write(json.dumps(entry, indent=1).encode())


def _silent(line: str) -> None:
    del line
