"""Convolutions that pad as the published Mammo-CLIP towers do: always as for one input size.

The published B5 and B2 towers pad each strided convolution as for a square image of 456 or 260
pixels, whatever the image. timm pads for the image it is given, so the same weights give other
features at 1520 x 912. Knows nothing of weights.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

STRIDED = ("conv_stem", *(f"blocks.{stage}.0.conv_dw" for stage in (1, 2, 3, 5)))
"""The five convolutions of stride 2 of every EfficientNet, under timm's names."""

Pads = tuple[tuple[int, int], ...]
PADS: dict[str, Pads] = {  # (before, after) in both directions, by STRIDED
    "b5": ((0, 1), (0, 1), (1, 2), (1, 1), (2, 2)),
    "b2": ((0, 1), (0, 1), (2, 2), (1, 1), (2, 2)),
}


class FixedPadding(nn.Conv2d):
    """A convolution that pads by (before, after) rows and columns, and else not at all."""

    pads: tuple[int, int]

    @classmethod
    def like(cls, convolution: nn.Conv2d, pads: tuple[int, int]) -> "FixedPadding":
        """The same convolution, weights shared, with other padding."""
        made = cls(
            convolution.in_channels,
            convolution.out_channels,
            (convolution.kernel_size[0], convolution.kernel_size[1]),
            stride=(convolution.stride[0], convolution.stride[1]),
            groups=convolution.groups,
            bias=convolution.bias is not None,
        )
        made.weight, made.bias = convolution.weight, convolution.bias
        made.pads = pads
        return made

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        before, after = self.pads
        return super().forward(functional.pad(x, (before, after, before, after)))


def fix_padding(net: Any, tower: str) -> None:
    """Replace the strided convolutions of a timm EfficientNet, in place; names stay."""
    for name, pads in zip(STRIDED, PADS[tower], strict=True):
        parent, _, last = name.rpartition(".")
        holder = net.get_submodule(parent)
        setattr(holder, last, FixedPadding.like(getattr(holder, last), pads))
