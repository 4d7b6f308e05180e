"""A stage of the demo model's run: what its stages share, on the machinery of `run`.

Every epoch's data is a dataset of its own, a function of (seed, epoch). Knows nothing of phantoms
or of ONNX.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import Dataset

from model_store.text import Tokenizer
from training import schedule
from training.config import StageConfig
from training.models.clip import Clip
from training.run import Plan, Report, fit

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


class Stage(lightning.LightningModule):
    """What both stages share: a frozen text base, AdamW, and a pretrained network that lags."""

    def __init__(self, model: Clip, stage: StageConfig, *, sentences: SentenceVectors) -> None:
        super().__init__()
        self.model = model
        self._stage = stage
        self._sentences = sentences

    def embed_texts(self, texts: list[str]) -> Tensor:
        """M sentences -> (M, D)."""
        embedded: Tensor = self.model.text.head(self._sentences(texts))
        return embedded

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Bound the temperature before a checkpoint sees the step."""
        super().optimizer_step(*args, **kwargs)
        self.model.bound_temperature()

    def configure_optimizers(self) -> Any:
        """The pretrained network learns slower than what is new; warm-up, then cosine."""
        stage = self._stage
        named = [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]
        old = [p for n, p in named if n.startswith("image.net.")]
        new = [p for n, p in named if not n.startswith("image.net.")]
        optimizer = torch.optim.AdamW(
            [
                {"params": old, "lr": stage.trunk_learning_rate},
                {"params": new, "lr": stage.learning_rate},
            ],
            weight_decay=stage.weight_decay,
        )
        schedule = LambdaLR(optimizer, learning_rate_factor(stage))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def learning_rate_factor(stage: StageConfig) -> Callable[[int], float]:
    """Step -> factor: linear warm-up, then a cosine to zero at the last step."""
    total = stage.epochs * stage.steps
    return schedule.learning_rate_factor(total, warmup_steps=stage.warmup_steps)


def train_stage(
    module: lightning.LightningModule,
    stage: StageConfig,
    *,
    data: EpochData,
    folder: Path,
    report: Report,
    collate: Collate,
) -> None:
    """Run one stage to its end; goes on from `folder`'s last checkpoint if there is one."""
    epoch_items = lru_cache(maxsize=1)(data)

    def fetch(number: int) -> Any:
        epoch, step = divmod(number, stage.steps)
        items = epoch_items(epoch)
        first = step * stage.batch
        return collate([items[index] for index in range(first, first + stage.batch)])

    fit(module, Plan(epochs=stage.epochs, steps=stage.steps), fetch, folder=folder, report=report)
