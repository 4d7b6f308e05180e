"""Detection: torchvision's RetinaNet on a tower's own levels, frozen or fine-tuned.

As published: one detector a finding, images stretched to a square, focal loss 0.25 and 2, NMS 0.5,
trained on the images that have the finding. Otherwise than published: the tower pads as it does in
pretraining (the reference's detector pads differently from its own encoder, so its frozen backbone
is another network); C3, C4 and C5 lie at strides 8, 16 and 32, as RetinaNet means them (the
reference takes 16, 32 and 32); the last epoch is reported, none is chosen on the test split; and
mAP is told on images with the finding (the published protocol) and on all images, where every
detection in a healthy breast counts against it.
"""

import copy
import warnings
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from training.data.canvas_set import CanvasSet
from training.data.passes import pass_loader
from training.data.records import Category
from training.evaluate.average_precision import RECALLS, Found
from training.evaluate.config import DetectConfig
from training.evaluate.learning import device, optimiser
from training.evaluate.squares import Batch, Example, Squares
from training.models.image_encoder import ImageEncoder, normalise
from training.progress import Say

STRIDES = (8, 16, 32)  # C3, C4, C5 of Lin et al. 2017
WIDTH = 256
MAX_GRADIENT = 1.0
SMALLEST_ANCHOR = 4  # times the stride of a level: 32 px at stride 8, as published RetinaNets
RATIOS = (0.5, 1.0, 2.0)


class Levels(nn.Module):
    """A tower's features at strides 8, 16 and 32; the last is the tower's own last map."""

    def __init__(self, tower: ImageEncoder) -> None:
        super().__init__()
        self.tower = tower
        stages, self.channels = _last_stages(tower)
        self.stages = stages

    def forward(self, images: Tensor) -> "OrderedDict[str, Tensor]":
        """(N, 1, S, S) normalised -> {"c3", "c4", "c5"}."""
        net = self.tower.net
        x = net.bn1(net.conv_stem(images))
        maps = []
        for number, stage in enumerate(net.blocks):
            x = stage(x)
            if number in self.stages:
                maps.append(x)
        maps.append(self.tower.head(x).features)
        return OrderedDict(zip(("c3", "c4", "c5"), maps, strict=True))


def _last_stages(tower: ImageEncoder) -> tuple[tuple[int, int], list[int]]:
    """The last stages at strides 8 and 16, and the channels of all three maps."""
    last: dict[int, tuple[int, int]] = {}
    size = 8 * STRIDES[-1]
    with torch.inference_mode():
        x = tower.net.bn1(tower.net.conv_stem(torch.zeros(1, 1, size, size)))
        for number, stage in enumerate(tower.net.blocks):
            x = stage(x)
            last[size // x.shape[-1]] = number, x.shape[1]
    (third, c3), (fourth, c4) = (last[stride] for stride in STRIDES[:2])
    return (third, fourth), [c3, c4, tower.channels]


class Backbone(nn.Module):
    """Levels and the feature pyramid on them, P3 to P7."""

    out_channels = WIDTH  # torchvision's RetinaNet asks for it

    def __init__(self, tower: ImageEncoder, *, frozen: bool) -> None:
        super().__init__()
        self.levels, self.frozen = Levels(tower), frozen
        self.levels.requires_grad_(not frozen)
        self.pyramid = FeaturePyramidNetwork(
            self.levels.channels, WIDTH, extra_blocks=LastLevelP6P7(WIDTH, WIDTH)
        )

    def forward(self, images: Tensor) -> "OrderedDict[str, Tensor]":
        """(N, 1, S, S) normalised -> five maps of 256 channels."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            maps = self.levels(images)
        pyramid: OrderedDict[str, Tensor] = self.pyramid(maps)
        return pyramid

    def train(self, mode: bool = True) -> "Backbone":
        """A frozen tower stays as it is, its dropped paths too."""
        super().train(mode)
        self.levels.train(mode and not self.frozen)
        return self


def make_detector(tower: ImageEncoder, *, frozen: bool, config: DetectConfig) -> RetinaNet:
    """A RetinaNet for one kind of lesion on a copy of the tower."""
    sizes = tuple(
        tuple(round(SMALLEST_ANCHOR * stride * 2 ** (third / 3)) for third in range(3))
        for stride in (*STRIDES, 64, 128)
    )
    return RetinaNet(
        Backbone(copy.deepcopy(tower).eval(), frozen=frozen),
        num_classes=2,  # class 0 is never used
        anchor_generator=AnchorGenerator(sizes, (RATIOS,) * len(sizes)),
        score_thresh=config.score_threshold,
        nms_thresh=config.nms,
        image_mean=[0.0],
        image_std=[1.0],
        min_size=config.size_px,  # what it is given: nothing is resized again
        max_size=config.size_px,
        _skip_resize=True,  # which torchvision heeds in training alone
    )


def examples(canvases: CanvasSet, category: Category) -> list[Example]:
    """Images where it is known whether the finding is there; with it, only if it is boxed."""
    found = []
    for record in canvases.records:
        present, boxes = record.image.present(category), tuple(record.boxes(category))
        if present is False or (present and boxes):
            found.append(Example(record, boxes))
    return found


def train_detector(
    tower: ImageEncoder,
    canvases: CanvasSet,
    given: Sequence[Example],
    *,
    frozen: bool,
    config: DetectConfig,
    seed: int,
    say: Say,
) -> RetinaNet:
    """Learn the boxes of these examples."""
    torch.manual_seed(seed)
    model = make_detector(tower, frozen=frozen, config=config).to(device())
    mode = "frozen" if frozen else "fine-tuned"
    backbone = model.backbone
    assert isinstance(backbone, Backbone)
    head = [*backbone.pyramid.parameters(), *model.head.parameters()]
    squares = Squares(canvases, tuple(given), config, seed=seed)
    steps, total = squares.steps, config.epochs * squares.steps
    adam, schedule = optimiser(backbone.levels, head, config, steps=total)
    loaded = iter(pass_loader(squares, first=0, last=total, workers=config.workers))
    model.train()
    for epoch in range(config.epochs):
        losses = []
        for _ in range(steps):
            images, targets = _on_device(next(loaded))
            loss = torch.stack(list(model(list(images), targets).values())).sum()
            adam.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT)
            adam.step()
            schedule.step()
            losses.append(loss.item())
        say(f"detect, {mode}, epoch {epoch + 1}/{config.epochs}: loss {np.mean(losses):.3f}")
    return model


def detect(
    model: RetinaNet, canvases: CanvasSet, given: Sequence[Example], *, config: DetectConfig
) -> list[Found]:
    """What is found in each example, in pixels of the square image, beside its true boxes."""
    model.eval()
    found = []
    squares = Squares(canvases, tuple(given), config)
    for batch in pass_loader(squares, first=0, last=squares.steps, workers=config.workers):
        images, targets = _on_device(batch)
        with torch.inference_mode():
            outputs = model(list(images))
        for output, target in zip(outputs, targets, strict=True):
            found.append(
                Found(
                    boxes=_rows_first(output["boxes"]),
                    scores=output["scores"].double().cpu().numpy(),
                    truths=_rows_first(target["boxes"]),
                )
            )
    return found


def mean_average_precision(found: Sequence[Found], *, iou: float = 0.5) -> float:
    """mAP of one class by torchmetrics and pycocotools; -1 where there is no lesion."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchmetrics warns of more than 100 detections an image
        from torchmetrics.detection import MeanAveragePrecision

        metric = MeanAveragePrecision(
            iou_thresholds=[iou],
            rec_thresholds=RECALLS.tolist(),  # its own are of single precision: 0.3 is above 0.3
            backend="pycocotools",
        )
        metric.update(
            [
                {
                    "boxes": torch.tensor(_columns_first(one.boxes)),
                    "scores": torch.tensor(one.scores),
                    "labels": torch.ones(len(one.scores), dtype=torch.int64),
                }
                for one in found
            ],
            [
                {
                    "boxes": torch.tensor(_columns_first(one.truths)),
                    "labels": torch.ones(len(one.truths), dtype=torch.int64),
                }
                for one in found
            ],
        )
        return float(metric.compute()["map"])


def _on_device(batch: Batch) -> Batch:
    """Images normalised, (n, 1, S, S)."""
    images, targets = batch
    moved = [{name: value.to(device()) for name, value in one.items()} for one in targets]
    return normalise(images.to(device())), moved


def _rows_first(boxes: Tensor) -> NDArray[np.float64]:
    """(x, y, x, y) -> (top, left, bottom, right)."""
    return np.asarray(boxes.double().cpu().numpy()[:, [1, 0, 3, 2]])


def _columns_first(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(boxes.reshape(-1, 4)[:, [1, 0, 3, 2]])
