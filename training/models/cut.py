"""An image tower cut in two: stages that stay as they are, and those that still learn.

What the lower part makes of a canvas is computed once and kept, so a stage of training on whole
canvases costs what the upper part costs. Stage k is the tower's k-th row of blocks; a cut of 7
leaves the last convolution alone above it.
"""

from typing import Any

from torch import Tensor, nn

from training.models.image_encoder import Encoded, ImageEncoder, normalise

STAGES = 7


class Lower(nn.Module):
    """Canvases (N, H, W) uint8 -> what stage `cut` is given, (N, C, h, w) float32."""

    def __init__(self, encoder: ImageEncoder, cut: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.cut = checked(cut)

    def forward(self, canvases: Tensor) -> Tensor:
        """Stem and the stages below the cut."""
        net: Any = self.encoder.net
        features: Tensor = net.bn1(net.conv_stem(normalise(canvases)))
        for stage in net.blocks[: self.cut]:
            features = stage(features)
        return features


def upper(encoder: ImageEncoder, features: Tensor, cut: int) -> Encoded:
    """The rest of the tower on what `Lower` gave."""
    net: Any = encoder.net
    for stage in net.blocks[checked(cut) :]:
        features = stage(features)
    return encoder.head(features)


def freeze_lower(encoder: ImageEncoder, cut: int) -> None:
    """Weights below the cut no longer learn; BatchNorm's statistics never do."""
    net: Any = encoder.net
    for module in (net.conv_stem, net.bn1, *net.blocks[: checked(cut)]):
        module.requires_grad_(False)


def checked(cut: int) -> int:
    """ValueError where no stage has that number."""
    if not 0 <= cut <= STAGES:
        raise ValueError(f"expected a cut from 0 to {STAGES} stages, got {cut}")
    return cut
