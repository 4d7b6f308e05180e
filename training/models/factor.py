"""Mammo-FActOR's mapper: every channel of the last feature map -> an embedding beside sentences.

A channel is a token: its map over the h x w positions, flattened, goes through Linear - ReLU -
Linear, one such mapper a head, the same for all channels. By default (`channel_bias`) every channel
adds a learned bias of its own, so that the mapper knows which one it sees. The alternative, the
reference's mapper, knows only where and how a channel fires, and learned little here: pointing game
for a mass 0.31 instead of 0.81 (training/LOG.md). The reference concatenates its heads' outputs and
views them anew, so that of its two heads one sees the even channels of both mappers and the other
the odd ones (Mammo-Factor.ipynb); here head k is mapper k on every channel.

How a map is scaled before the mapper is open in the paper (its code takes it as it is): see Scale.
Knows nothing of losses, sentences or files.
"""

from enum import StrEnum, unique

import torch
from torch import Tensor, nn
from torch.nn import functional

SMALLEST = 1e-6


@unique
class Scale(StrEnum):
    """What every map (h x w) is divided by before the mapper."""

    TYPICAL = "typical"  # the channel's L2 norm over the training images: strength shows, evenly
    LENGTH = "length"  # its L2 norm: where it fires, not how strongly
    MAXIMUM = "maximum"  # its largest magnitude: likewise, and a blob's extent shows
    DEVIATION = "deviation"  # less its mean, by its standard deviation
    NONE = "none"  # as the reference does: how strongly it fires shows too


class Factor(nn.Module):
    """K heads over maps of P positions: `first` of all heads is one matrix, `second` one a head."""

    typical: Tensor

    def __init__(
        self,
        *,
        positions: int,
        hidden: int,
        embedding_size: int,
        heads: int,
        channels: int,
        scale: Scale = Scale.TYPICAL,
        channel_bias: bool = True,
    ) -> None:
        super().__init__()
        self.heads, self.hidden, self.scale = heads, hidden, scale
        self.first = nn.Linear(positions, heads * hidden)
        self.second = nn.Parameter(torch.empty(heads, hidden, embedding_size))
        self.bias = nn.Parameter(torch.zeros(heads, 1, embedding_size))
        nn.init.normal_(self.second, std=hidden**-0.5)
        self.channel = nn.Parameter(torch.zeros(channels, heads * hidden)) if channel_bias else None
        self.register_buffer("typical", torch.ones(channels))

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, K, C, D), L2-normalised."""
        inner = self.first(self.scaled(features.flatten(2), self.typical))  # (N, C, K * hidden)
        if self.channel is not None:
            inner = inner + self.channel
        inner = (
            inner.relu().unflatten(2, (self.heads, self.hidden)).transpose(1, 2)
        )  # (N, K, C, hidden)
        return functional.normalize(inner @ self.second + self.bias, dim=3, eps=SMALLEST)

    def embed(self, maps: Tensor, head: int, *, channels: Tensor) -> Tensor:
        """Maps (..., P) of `channels` (...) through one head -> (..., D), L2-normalised."""
        rows = slice(head * self.hidden, (head + 1) * self.hidden)
        weight, bias = self.first.weight[rows], self.first.bias[rows]
        inner = functional.linear(self.scaled(maps, self.typical[channels]), weight, bias)
        if self.channel is not None:
            inner = inner + self.channel[:, rows][channels]
        outer = inner.relu() @ self.second[head] + self.bias[head]
        return functional.normalize(outer, dim=-1, eps=SMALLEST)

    def scaled(self, maps: Tensor, typical: Tensor) -> Tensor:
        """(..., P), and the channels' typical lengths (...) -> (..., P), by `scale`."""
        if self.scale is Scale.TYPICAL:
            return maps / typical[..., None]
        if self.scale is Scale.LENGTH:
            return functional.normalize(maps, dim=-1, eps=SMALLEST)
        if self.scale is Scale.MAXIMUM:
            return maps / maps.abs().amax(dim=-1, keepdim=True).clamp(min=SMALLEST)
        if self.scale is Scale.DEVIATION:
            return functional.layer_norm(maps, maps.shape[-1:], eps=SMALLEST)
        return maps
