"""Fine-tuning: the whole tower learns a finding from a share of the labels.

The best epoch is chosen on the validation split, and the test split is looked at once, after the
last epoch. The reference (experiments of Mammo-CLIP's Classifiers) reports the best epoch of the
split that it reports on, which lifts a figure even where there is nothing to learn.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from model_store.arrays import U8
from training.data.augment import AugmentRules, augment
from training.data.canvas_set import CanvasSet
from training.data.records import Split
from training.evaluate.config import FinetuneConfig
from training.evaluate.learning import device, optimiser, read_small
from training.evaluate.tasks import Part, Task
from training.models.image_encoder import ImageEncoder
from training.progress import Say

F64 = NDArray[np.float64]
MAX_GRADIENT = 1.0


class Classifier(nn.Module):
    """A tower's pooled features and one linear layer: a logit for yes or no, else one a class."""

    def __init__(self, tower: ImageEncoder, outputs: int) -> None:
        super().__init__()
        self.tower = tower
        self.head = nn.Linear(tower.channels, 1 if outputs == 2 else outputs)

    def forward(self, canvases: Tensor) -> Tensor:
        """(N, H, W) uint8 -> (N, 1 or outputs) logits."""
        logits: Tensor = self.head(self.tower.pooled(self.tower(canvases).features))
        return logits


class Images(Dataset[tuple[U8, int]]):
    """Resized canvases and classes of a part, changed anew each epoch where `rules` are given."""

    def __init__(
        self,
        canvases: CanvasSet,
        part: Part,
        *,
        size: tuple[int, int],
        rules: AugmentRules | None = None,
        seed: Sequence[int] = (),
    ) -> None:
        self.canvases, self.part, self.size, self.rules = canvases, part, size, rules
        self.seed = tuple(seed)

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, index: int) -> tuple[U8, int]:
        record = self.canvases.records[self.part.rows[index]]
        image = read_small(self.canvases, record, height=self.size[0], width=self.size[1])
        if self.rules is not None:
            rng = np.random.default_rng([*self.seed, index])
            image, _ = augment(rng, image, rules=self.rules)
        return image, int(self.part.classes[index])


@dataclass(frozen=True, slots=True, eq=False)
class Finetuned:
    """Validation scores epoch by epoch, which was taken, and its logits of the test split."""

    validation: tuple[float, ...]
    epoch: int
    scores: F64


def finetune(
    tower: ImageEncoder,
    canvases: CanvasSet,
    task: Task,
    *,
    config: FinetuneConfig,
    seed: int,
    say: Say,
) -> Finetuned:
    """Learn from the task's training images; the tower's own weights are left as they are."""
    torch.manual_seed(seed)
    model = Classifier(copy.deepcopy(tower).requires_grad_(True), task.outputs).to(device())
    train = task.parts[Split.TRAIN]
    steps = config.epochs * -(-len(train) // config.batch)
    adam, schedule = optimiser(model.tower, model.head.parameters(), config, steps=steps)
    rules = AugmentRules(flip_rows=0.0) if config.augment else None
    validation: list[float] = []
    best: dict[str, Tensor] = {}
    for epoch in range(config.epochs):
        images = Images(
            canvases, train, size=_size(config), rules=rules, seed=[seed, len(train), epoch]
        )
        loss = _learn(model, images, task, config=config, steps=(adam, schedule))
        part = task.parts[Split.VALIDATION]
        validation.append(task.score(part, predict(model, canvases, part, config=config)))
        say(
            f"fine-tune {task.name}, {len(train)} images, epoch {epoch + 1}/{config.epochs}: "
            f"loss {loss:.3f}, validation {task.metric} {validation[-1]:.3f}"
        )
        if best_epoch(validation) == epoch:
            best = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(best, strict=True)
    scores = predict(model, canvases, task.parts[Split.TEST], config=config)
    return Finetuned(tuple(validation), best_epoch(validation), scores)


def best_epoch(validation: Sequence[float]) -> int:
    """The first of those with the greatest score on the validation split."""
    return int(np.argmax(validation))


def predict(model: Classifier, canvases: CanvasSet, part: Part, *, config: FinetuneConfig) -> F64:
    """(n,) logits for yes or no, else (n, outputs), in the part's order."""
    model.eval()
    loader = DataLoader(
        Images(canvases, part, size=_size(config)),
        batch_size=config.batch,
        num_workers=config.workers,
    )
    with torch.inference_mode():
        logits = [model(images.to(device())).float().cpu() for images, _ in loader]
    scores = torch.cat(logits).double().numpy()
    return np.asarray(scores[:, 0] if scores.shape[1] == 1 else scores)


def class_weights(classes: NDArray[np.intp], outputs: int) -> Tensor:
    """Yes or no: (1,) negatives for one positive. Else (outputs,), mean 1 over the images."""
    counts = np.bincount(classes, minlength=outputs).astype(np.float64)
    if outputs == 2:
        return torch.tensor([counts[0] / max(counts[1], 1)], dtype=torch.float32)
    present = counts > 0
    weights = np.where(present, len(classes) / (present.sum() * np.maximum(counts, 1)), 0)
    return torch.tensor(weights, dtype=torch.float32)


def _learn(
    model: Classifier,
    images: Images,
    task: Task,
    *,
    config: FinetuneConfig,
    steps: tuple[torch.optim.AdamW, torch.optim.lr_scheduler.LambdaLR],
) -> float:
    """One epoch; the mean loss."""
    adam, schedule = steps
    weights = class_weights(images.part.classes, task.outputs).to(device())
    order = torch.Generator().manual_seed(int(np.random.default_rng(images.seed).integers(1 << 31)))
    loader = DataLoader(
        images,
        batch_size=config.batch,
        shuffle=True,
        generator=order,
        num_workers=config.workers,
    )
    model.train()
    losses = []
    for canvases, classes in loader:
        logits = model(canvases.to(device()))
        loss = _loss(logits, classes.to(device()), weights)
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT)
        adam.step()
        schedule.step()
        losses.append(loss.item())
    return float(np.mean(losses))


def _loss(logits: Tensor, classes: Tensor, weights: Tensor) -> Tensor:
    if logits.shape[1] == 1:
        return functional.binary_cross_entropy_with_logits(
            logits[:, 0], classes.float(), pos_weight=weights
        )
    return functional.cross_entropy(logits, classes, weight=weights)


def _size(config: FinetuneConfig) -> tuple[int, int]:
    return config.height_px, config.width_px
