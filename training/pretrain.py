"""The Lightning run: a stage of contrastive training, its data, its checkpoints and its progress.

Two stages share everything but their images: crops through the whole tower, then whole canvases
whose trunk features were computed once, because the trunk is frozen by then. Every epoch's data is
a function of (seed, epoch), and a checkpoint is written at each epoch's end, so a run that was
killed goes on at the last whole epoch. Knows nothing of phantoms or of ONNX.
"""

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Dataset

from model_store.text import Tokenizer
from training.config import StageConfig
from training.data.captions import truth
from training.data.dataset import Batch, collate
from training.losses import clip_loss
from training.models.clip import Clip
from training.models.image_encoder import standardise

LAST = "last"
EXPECTED_WARNINGS = (
    r".*in eval mode at the start of training",  # BatchNorm, on purpose
    r"Checkpoint directory .* exists and is not empty",  # a run that goes on
    r".*does not have many workers",  # a crop costs a millisecond
    r".*isinstance\(treespec, LeafSpec\)",  # Lightning's own use of torch
)
EpochData = Callable[[int], Dataset[Any]]
"""Epoch number -> that epoch's items."""
Collate = Callable[[Any], Any]
"""Items -> a batch with `images`."""


class SentenceVectors:
    """Sentences -> vectors of the frozen text base, each computed once."""

    def __init__(self, model: Clip, tokenizer: Tokenizer) -> None:
        self._base = model.text.base
        self._tokenizer = tokenizer
        self._known: dict[str, Tensor] = {}

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> Tensor:
        """N texts -> (N, 384)."""
        new = sorted(set(texts) - self._known.keys())
        if new:
            ids, mask = self._tokenizer.encode(new)
            vectors = self._base(torch.from_numpy(ids), torch.from_numpy(mask))
            self._known.update(zip(new, vectors, strict=True))
        return torch.stack([self._known[text] for text in texts])


class ContrastiveStage(lightning.LightningModule):
    """One stage. `whole`: batches are trunk features of whole canvases, and the trunk is frozen."""

    def __init__(
        self, model: Clip, stage: StageConfig, *, sentences: SentenceVectors, whole: bool
    ) -> None:
        super().__init__()
        self.model = model
        self._stage = stage
        self._sentences = sentences
        self._whole = whole
        if whole:
            model.image.freeze_trunk()
        else:
            model.image.freeze_early()

    def training_step(self, batch: Batch, index: int) -> Tensor:  # noqa: ARG002  Lightning's
        """Loss of one batch."""
        loss = clip_loss(
            self._embed_images(batch),
            self.model.text.head(self._sentences(batch.texts)),
            logit_scale=self.model.logit_scale,
            true=torch.from_numpy(truth(batch.facts, batch.claims)),
        )
        self.log("loss", loss, prog_bar=True, batch_size=len(batch.images))
        return loss

    def _embed_images(self, batch: Batch) -> Tensor:
        tower = self.model.image
        if self._whole:
            return tower.head(batch.images.float()).embedding
        images = standardise(batch.images.float(), low=batch.low, high=batch.high)
        return tower.head(tower.trunk(images.to(memory_format=torch.channels_last))).embedding

    def configure_optimizers(self) -> Any:
        """AdamW; the pretrained network learns slower than what is new; warm-up, then cosine."""
        stage = self._stage
        named = [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]
        old = [p for n, p in named if n.startswith("image.net.")]
        new = [p for n, p in named if not n.startswith("image.net.")]
        groups = [
            {"params": old, "lr": stage.trunk_learning_rate},
            {"params": new, "lr": stage.learning_rate},
        ]
        optimizer = torch.optim.AdamW(groups, weight_decay=stage.weight_decay)
        factor = learning_rate_factor(stage)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": LambdaLR(optimizer, factor), "interval": "step"},
        }


def learning_rate_factor(stage: StageConfig) -> Callable[[int], float]:
    """Step -> factor: linear warm-up, then a cosine to zero at the last step."""
    total = stage.epochs * stage.steps

    def factor(step: int) -> float:
        if step < stage.warmup_steps:
            return (step + 1) / stage.warmup_steps
        done = (step - stage.warmup_steps) / max(total - stage.warmup_steps, 1)
        return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    return factor


class EpochLoader(lightning.LightningDataModule):
    """A fresh DataLoader each epoch (the Trainer reloads it), over that epoch's own items."""

    def __init__(self, data: EpochData, *, batch: int, collate: Collate) -> None:
        super().__init__()
        self._data = data
        self._batch = batch
        self._collate = collate

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of the Trainer's current epoch, in order: items are drawn at random already."""
        assert self.trainer is not None
        items = self._data(self.trainer.current_epoch)
        return DataLoader(items, batch_size=self._batch, collate_fn=self._collate, num_workers=0)


class Report(Callback):
    """Calls `say` after each epoch with epoch, steps, mean loss and images per second."""

    def __init__(self, say: Callable[[str], None], *, name: str) -> None:
        self._say = say
        self._name = name
        self._started = 0.0
        self._losses: list[float] = []
        self._images = 0

    def on_train_epoch_start(self, *_: object) -> None:
        """Start the clock."""
        self._started = time.perf_counter()
        self._losses, self._images = [], 0

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        module: lightning.LightningModule,
        outputs: Tensor | Mapping[str, Any] | None,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Count."""
        del trainer, module, batch_idx
        if isinstance(outputs, Mapping):
            self._losses.append(float(outputs["loss"]))
        self._images += len(batch.images)

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Say one line."""
        del pl_module
        seconds = time.perf_counter() - self._started
        self._say(
            f"{self._name}: epoch {trainer.current_epoch + 1}/{trainer.max_epochs}, "
            f"loss {np.mean(self._losses):.3f}, {self._images / seconds:.1f} images/s"
        )


def train_stage(
    module: lightning.LightningModule,
    stage: StageConfig,
    *,
    data: EpochData,
    folder: Path,
    report: Report,
    collate: Collate = collate,
) -> None:
    """Run one stage to its end; goes on from `folder`'s last checkpoint if there is one."""
    checkpoint = ModelCheckpoint(
        folder, filename=LAST, enable_version_counter=False, save_on_train_epoch_end=True
    )
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=stage.epochs,
        gradient_clip_val=1.0,
        callbacks=[checkpoint, report],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        reload_dataloaders_every_n_epochs=1,
    )
    last = folder / f"{LAST}.ckpt"
    module.train()  # Lightning keeps the mode it is given; BatchNorm stays in evaluation mode
    with warnings.catch_warnings():
        for expected in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message=expected)
        trainer.fit(
            module,
            datamodule=EpochLoader(data, batch=stage.batch, collate=collate),
            ckpt_path=last if last.exists() else None,
        )
