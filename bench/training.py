"""Images a second of the training loop, over the same steps without loading, Lightning or the rest.

Both see the same batches. The loop draws them from canvases on disk: crops as the demo model's
first stage does, pairs of views with augmentation as Mammo-CLIP's pretraining does.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from bench.rows import Row
from tests.training.canvas_factory import make_set
from training.config import CropConfig, ModelConfig, PretrainConfig
from training.data.canvas_set import CanvasSet
from training.data.crops import CropDataset
from training.data.crops import collate as collate_crops
from training.data.passes import Fetch, PairFetch
from training.data.records import Box, Category
from training.demo_stages import CropStage
from training.models.clip import Clip, pretrained, tokenizer_of
from training.pretrain import PretrainStage, pairs_in
from training.run import Plan, Report, fit, images_of
from training.sources import open_pairs
from training.stage import SentenceVectors

SHAPE = (760, 456)  # half of Mammo-CLIP's in each direction: a step in seconds, not in minutes
BOXES = {Category.MASS: Box(300, 120, 360, 180), Category.CALCIFICATION: Box(420, 60, 450, 90)}
STUDIES, ROUNDS, STEPS, WARM_UP = 8, 3, 6, 1
TARGET = ">= 0.90"
MODEL = ModelConfig(embedding_size=256, text_layers=5, text_max_tokens=128)
CROPS = CropConfig(
    epochs=1, steps=STEPS, batch=16, size_px=288, learning_rate=1e-3, trunk_learning_rate=3e-4
)


@dataclass(frozen=True)
class Loop:
    """One kind of training: a fresh module and its plan, batches by number, images in a batch."""

    name: str
    make: Callable[[], lightning.LightningModule]
    plan: Plan
    fetch: Fetch
    count: Callable[[Any], int]


@dataclass(frozen=True)
class Spent:
    """Seconds on the clock, and of the processor over all threads."""

    wall: float
    cpu: float

    @staticmethod
    def now() -> "Spent":
        """Both clocks."""
        return Spent(time.perf_counter(), time.process_time())

    def since(self, start: "Spent") -> "Spent":
        """What went by."""
        return Spent(self.wall - start.wall, self.cpu - start.cpu)


class Stamps(Callback):
    """When each pass ended."""

    def __init__(self) -> None:
        self.ends: list[Spent] = []

    def on_train_batch_end(self, *_: Any) -> None:
        """Note the time."""
        self.ends.append(Spent.now())


def run() -> list[Row]:
    """Both ways in turn, several rounds; the ratio is the median over rounds, of processor time.

    Processor time counts what is drawn ahead on another core too, as where all cores are busy, and
    not what neighbours on the machine take. The ratio by the clock stands beside it.
    """
    with TemporaryDirectory() as folder:
        canvases = make_set(Path(folder) / "set", studies=STUDIES, boxes=BOXES, shape=SHAPE)
        loops = (_crops(canvases), _pairs(canvases))
        return [row for loop in loops for row in _compare(loop, Path(folder))]


def _crops(canvases: CanvasSet) -> Loop:
    items = CropDataset(canvases, size_px=CROPS.size_px, length=STEPS * CROPS.batch, seed=[1])

    def fetch(number: int) -> Any:
        first = number * CROPS.batch
        return collate_crops([items[index] for index in range(first, first + CROPS.batch)])

    def make() -> lightning.LightningModule:
        model = _model()
        sentences = SentenceVectors(model, tokenizer_of(model))
        return CropStage(model, CROPS, sentences=sentences)

    plan = Plan(epochs=1, steps=STEPS)
    return Loop("crops of 288 px, batch 16", make, plan, fetch, images_of)


def _pairs(canvases: CanvasSet) -> Loop:
    config = PretrainConfig.model_validate(
        {
            "name": "bench",
            "recipe": {"height_px": SHAPE[0], "width_px": SHAPE[1]},
            "model": MODEL,
            "data": ({"kind": "canvases", "table": str(canvases.folder)},),
            "epochs": 1,
            "batch": 2,
            "learning_rate": 5e-5,
        }
    )
    pairs = open_pairs(config, root=canvases.folder, say=_silent)
    plan = Plan(epochs=1, steps=STEPS, workers=1)

    def make() -> lightning.LightningModule:
        return PretrainStage(_model(), config, plan=plan, work=canvases.folder)

    fetch = PairFetch(pairs, config.batch)
    name = f"pairs of {SHAPE[0]} x {SHAPE[1]} px, batch {config.batch}"
    return Loop(name, make, plan, fetch, pairs_in)


def _model() -> Clip:
    torch.manual_seed(1)
    model = pretrained(MODEL)
    model.image.to(memory_format=torch.channels_last)
    return model


def _compare(loop: Loop, folder: Path) -> list[Row]:
    started = Spent.now()
    batches = [loop.fetch(number) for number in range(STEPS)]
    drawn = Spent.now().since(started).cpu * (STEPS - WARM_UP) / STEPS
    ahead = drawn if loop.plan.workers else 0.0  # else it is in the loop's own time
    images = sum(loop.count(batch) for batch in batches[WARM_UP:])
    times = [
        (_real(loop, folder / f"{loop.name} {number}"), _bare(loop, batches))
        for number in range(ROUNDS)
    ]
    by_cpu = [bare.cpu / (real.cpu + ahead) for real, bare in times]
    by_clock = [bare.wall / real.wall for real, bare in times]
    rate = median(images / real.wall for real, _ in times)
    alone = median(images / bare.wall for _, bare in times)
    cost = f"drawing {1e3 * drawn / images:.1f} ms an image"
    return [
        Row(f"training, {loop.name}", rate, "images/s", "", f"bare {alone:.3g}; {cost}"),
        Row(
            f"training over bare, {loop.name}",
            median(by_cpu),
            "x",
            TARGET,
            f"processor time; by the clock {median(by_clock):.2f}",
        ),
    ]


def _real(loop: Loop, folder: Path) -> Spent:
    """The steps after the warm-up, by the loop that trains models."""
    folder.mkdir()
    stamps = Stamps()
    report = Report(_silent, name="bench", count=loop.count)
    fit(loop.make(), loop.plan, loop.fetch, folder=folder, report=report, callbacks=[stamps])
    return stamps.ends[-1].since(stamps.ends[WARM_UP - 1])


def _bare(loop: Loop, batches: list[Any]) -> Spent:
    """The same steps: forward, backward, clip and move, and nothing else."""
    module = loop.make()
    module.train()
    chosen = module.configure_optimizers()
    assert isinstance(chosen, dict)
    optimizer = chosen["optimizer"]
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    started = Spent.now()
    for number, batch in enumerate(batches):
        if number == WARM_UP:
            started = Spent.now()
        optimizer.zero_grad()
        module.training_step(batch, number).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
    return Spent.now().since(started)


def _silent(line: str) -> None:
    del line
