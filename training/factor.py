"""Mammo-FActOR learns on features of the frozen image tower, computed once by its exported graph.

Nothing of the tower is in memory while the mapper learns, so nothing of it can move: BatchNorm's
statistics are constants of image.onnx. (The reference keeps its frozen encoder in training mode,
and the statistics drift.) The graph's features go to disk as float16, 3.6 MB an image of
1280 x 48 x 29.

A step: the embeddings of the channels drawn for it, and their smooth maximum. With the paper's hard
maximum (`pooling="maximum"`), all embeddings without gradient, then those of each image and
sentence's nearest channels alone with gradient: the same gradient at a third of its price. Knows
nothing of captions, data sets or versions.
"""

import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from model_store.arrays import F32
from model_store.manifest import Frozen
from training.factor_loss import factor_loss
from training.models.factor import SMALLEST, Factor, Scale
from training.progress import Say

F16 = NDArray[np.float16]
I8 = NDArray[np.int8]
TRUE, FALSE, NOT_KNOWN = 1, 0, -1
QUIETEST = 0.01  # of the median of the channels' typical lengths


class FactorConfig(Frozen):
    """How the mapper learns, and how its channels are used afterwards."""

    heads: tuple[str, ...] = Field(default=("mass", "suspicious calcification", "*"), min_length=1)
    images: int = Field(default=1000, ge=2, description="at most; as many of each head's as may be")
    captions: int = Field(default=400, ge=1, description="different sentences that `*` learns from")
    placed: bool = Field(default=False, description="sentences of `*` say where")
    hidden: int = Field(default=128, ge=1)
    scale: Scale = Scale.TYPICAL
    channel_bias: bool = Field(default=True, description="the mapper knows which channel it sees")
    epochs: int = Field(default=12, ge=1)
    batch: int = Field(default=32, ge=2, description="images a step")
    channels: int = Field(default=320, ge=1, description="drawn a step; more than there are = all")
    sentences: int = Field(default=64, ge=1, description="drawn a step for the head `*`")
    shift: int = Field(default=12, ge=0, description="cells that maps are moved by at random")
    flips: bool = Field(default=True, description="maps are flipped at random, either way")
    pooling: Literal["smooth", "maximum"] = "smooth"
    learning_rate: float = Field(default=1e-3, gt=0)
    channel_rate: float = Field(default=10, gt=0, description="learning rate of biases, in times")
    weight_decay: float = Field(default=0.01, ge=0)
    temperature: float = Field(default=0.07, gt=0)
    top_channels: int = Field(default=3, ge=1)
    weighting: Literal["plain", "softmax"] = "plain"
    quantile: float = Field(default=0.95, gt=0, lt=1)
    floor: float = Field(default=0.5, ge=0, lt=1)
    seed: int = 10

    @classmethod
    def read(cls, path: Path) -> Self:
        """Parse a TOML file; pydantic's ValidationError names every key that is wrong."""
        return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What one head learns: directions (M, D) of length 1, and what is so in every image.

    `truth` (V, M) int8: 1 the sentence is true of the image, 0 false, -1 not known. A finding's own
    head has one direction, that of its positive prompts.
    """

    head: str
    directions: F32
    truth: I8
    placed: bool = False
    """Its sentences say where: maps are neither moved nor flipped for it."""


def train_factor(
    features: F16, lessons: Sequence[Lesson], config: FactorConfig, *, work: Path, say: Say
) -> Factor:
    """Features (V, C, h, w) of the frozen tower -> a mapper with a head a lesson, in their order.

    Writes WORK/factor.pt after every epoch and goes on from there: killed and begun again it ends
    with the same weights; one of other features, lessons or settings is begun anew. Epoch e sees
    an order and channels that depend on (seed, e) alone.
    """
    started = time.monotonic()
    factor = _new_factor(features, lessons, config)
    optimiser = torch.optim.AdamW(
        _groups(factor, config), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    steps = config.epochs * max(len(features) // config.batch, 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        max_lr=[group["lr"] for group in optimiser.param_groups],
        total_steps=steps,
        pct_start=0.1,
    )
    work.mkdir(parents=True, exist_ok=True)
    made_of = _digest(factor, lessons, config)
    state = _State(factor, optimiser, schedule, path=work / "factor.pt", made_of=made_of)
    for epoch in range(state.load(), config.epochs):
        loss = _epoch(state, features, lessons, config, epoch=epoch)
        state.save(epoch + 1)
        seconds = time.monotonic() - started
        say(f"factor: epoch {epoch + 1}/{config.epochs}, loss {loss:.4f}, {seconds:.0f} s")
    return factor.eval()


def _new_factor(features: F16, lessons: Sequence[Lesson], config: FactorConfig) -> Factor:
    """Before its first step; the same for the same seed, whatever torch drew before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        factor = Factor(
            positions=features.shape[2] * features.shape[3],
            hidden=config.hidden,
            embedding_size=lessons[0].directions.shape[1],
            heads=len(lessons),
            channels=features.shape[1],
            scale=config.scale,
            channel_bias=config.channel_bias,
        )
    factor.typical.copy_(typical_lengths(features))
    return factor


def _digest(factor: Factor, lessons: Sequence[Lesson], config: FactorConfig) -> str:
    """Of what a run is made of: settings, lessons, and features by their typical lengths."""
    parts = [config.digest.encode(), factor.typical.numpy().tobytes()]
    for lesson in lessons:
        parts += [lesson.head.encode(), lesson.directions.tobytes(), lesson.truth.tobytes()]
    return sha256(b"".join(sha256(part).digest() for part in parts)).hexdigest()


def _groups(factor: Factor, config: FactorConfig) -> list[dict[str, Any]]:
    """A channel's own bias is moved by the steps that draw it alone: it takes larger ones."""
    own = [] if factor.channel is None else [factor.channel]
    shared = [parameter for name, parameter in factor.named_parameters() if name != "channel"]
    faster = config.learning_rate * config.channel_rate
    return [{"params": shared}, *({"params": [one], "lr": faster} for one in own)]


def typical_lengths(features: F16) -> Tensor:
    """(V, C, h, w) -> (C,) root mean square over the images of the maps' L2 norm.

    Not below a hundredth of the median: a channel that was silent in training may speak later, and
    must not drown the others then.
    """
    total = np.zeros(features.shape[1])
    for row in features:
        total += np.square(row, dtype=np.float32).sum(axis=(1, 2))
    lengths = np.sqrt(total / len(features))
    least = max(QUIETEST * float(np.median(lengths)), SMALLEST)
    return torch.from_numpy(np.maximum(lengths, least).astype(np.float32))


@dataclass(slots=True)
class _State:
    """What a run needs to go on."""

    factor: Factor
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    path: Path
    made_of: str

    def load(self) -> int:
        """Take up the last checkpoint, if it is of the same run; how many epochs are done."""
        if not self.path.exists():
            return 0
        stored: dict[str, Any] = torch.load(self.path, weights_only=True)
        if stored.get("made_of") != self.made_of:
            return 0
        self.factor.load_state_dict(stored["factor"], strict=True)
        self.optimiser.load_state_dict(stored["optimiser"])
        self.schedule.load_state_dict(stored["schedule"])
        return int(stored["epochs"])

    def save(self, epochs: int) -> None:
        """Write the checkpoint, whole or not at all."""
        stored = {
            "factor": self.factor.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "epochs": epochs,
            "made_of": self.made_of,
        }
        partial = self.path.with_suffix(".part")
        torch.save(stored, partial)
        partial.rename(self.path)


def _epoch(
    state: _State, features: F16, lessons: Sequence[Lesson], config: FactorConfig, *, epoch: int
) -> float:
    """One pass over the images in full batches; mean loss."""
    rng = np.random.default_rng([config.seed, epoch])
    order = rng.permutation(len(features))
    batch = min(config.batch, len(order))
    losses = []
    for start in range(0, len(order) - batch + 1, batch):
        rows = np.sort(order[start : start + batch])
        drawn = [draw_lesson(rng, lesson, rows, config.sentences) for lesson in lessons]
        channels = np.sort(rng.permutation(features.shape[1])[: config.channels])
        maps = np.stack([features[row][channels] for row in rows])
        views = [_view(rng, maps, lesson, config) for lesson in lessons]
        loss = batch_loss(state.factor, views, drawn, config, channels=torch.from_numpy(channels))
        state.optimiser.zero_grad()
        loss.backward()
        state.optimiser.step()
        state.schedule.step()
        losses.append(loss.item())
    return float(np.mean(losses))


def _view(rng: np.random.Generator, maps: F16, lesson: Lesson, config: FactorConfig) -> Tensor:
    """(N, c, P) float32; all maps of an image moved and flipped alike, where the lesson allows."""
    if not lesson.placed:
        maps = np.stack([_moved(rng, one, config) for one in maps])
    return torch.from_numpy(maps.reshape(*maps.shape[:2], -1)).to(torch.float32)


def _moved(rng: np.random.Generator, maps: F16, config: FactorConfig) -> F16:
    """(c, h, w) moved and flipped; what leaves is lost, zeros come in."""
    height, width = maps.shape[1:]
    farthest = np.minimum(config.shift, (height - 1, width - 1))
    down, right = rng.integers(-farthest, farthest + 1).tolist()
    steps = rng.choice([-1, 1], size=2) if config.flips else (1, 1)
    moved = np.zeros_like(maps)
    to_rows, from_rows = _overlap(down, height)
    to_columns, from_columns = _overlap(right, width)
    moved[:, to_rows, to_columns] = maps[:, from_rows, from_columns]
    return moved[:, :: steps[0], :: steps[1]]


def _overlap(step: int, length: int) -> tuple[slice, slice]:
    """Where to and where from, along an axis that is moved by `step`."""
    return slice(max(step, 0), length + min(step, 0)), slice(max(-step, 0), length - max(step, 0))


def draw_lesson(
    rng: np.random.Generator, lesson: Lesson, rows: NDArray[np.intp], count: int
) -> Lesson:
    """The truth of the batch's images and of at most `count` of the sentences."""
    chosen = np.sort(rng.permutation(len(lesson.directions))[:count])
    truth = lesson.truth[rows][:, chosen]
    return Lesson(lesson.head, lesson.directions[chosen], truth, placed=lesson.placed)


def batch_loss(
    factor: Factor,
    views: Sequence[Tensor],
    lessons: Sequence[Lesson],
    config: FactorConfig,
    *,
    channels: Tensor,
) -> Tensor:
    """Maps (N, c, P) of `channels` (c,) and a lesson for each head -> sum of the heads' losses."""
    total = torch.zeros(())
    for head, (maps, lesson) in enumerate(zip(views, lessons, strict=True)):
        directions, truth = torch.from_numpy(lesson.directions), torch.from_numpy(lesson.truth)
        if config.pooling == "smooth":
            cosines = factor.embed(maps, head, channels=channels) @ directions.T  # (N, c, M)
            scores = (cosines / config.temperature).logsumexp(dim=1)
        else:
            scores = _maximum(factor, maps, head, channels, directions) / config.temperature
        total = total + factor_loss(scores, true=truth == TRUE, false=truth == FALSE)
    return total


def _maximum(
    factor: Factor, maps: Tensor, head: int, channels: Tensor, directions: Tensor
) -> Tensor:
    """(N, M): the largest cosine of a channel, with gradient through the channels that have it."""
    with torch.no_grad():
        embedded = factor.embed(maps, head, channels=channels)  # (N, c, D)
        best = (embedded @ directions.T).argmax(dim=1)  # (N, M)
    images = torch.arange(len(maps))[:, None]
    nearest = factor.embed(maps[images, best], head, channels=channels[best])  # (N, M, D)
    return (nearest * directions).sum(dim=2)
