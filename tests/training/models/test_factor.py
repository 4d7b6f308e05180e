"""The mapper: what each head sees, and what is lost where heads are mixed up."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from training.models.factor import Factor, Scale

N, C, H, W, HEADS, HIDDEN, D = 2, 6, 3, 4, 2, 16, 8


def _factor(scale: Scale = Scale.NONE, *, channel_bias: bool = False) -> Factor:
    torch.manual_seed(0)
    factor = Factor(
        positions=H * W,
        hidden=HIDDEN,
        embedding_size=D,
        heads=HEADS,
        channels=C,
        scale=scale,
        channel_bias=channel_bias,
    )
    if factor.channel is not None:
        torch.nn.init.normal_(factor.channel)
    return factor


def _features() -> Tensor:
    return torch.rand(N, C, H, W, generator=torch.Generator().manual_seed(1))


def _by_hand(factor: Factor, features: Tensor, *, image: int, head: int, channel: int) -> Tensor:
    flat = features[image, channel].flatten()
    rows = slice(head * HIDDEN, (head + 1) * HIDDEN)
    inner = (factor.first.weight[rows] @ flat + factor.first.bias[rows]).relu()
    outer = inner @ factor.second[head] + factor.bias[head, 0]
    return outer / outer.norm()


def test_head_k_is_mapper_k_on_every_channel() -> None:
    factor, features = _factor(), _features()
    got = factor(features)
    assert got.shape == (N, HEADS, C, D)
    for image in range(N):
        for head in range(HEADS):
            for channel in range(C):
                expected = _by_hand(factor, features, image=image, head=head, channel=channel)
                torch.testing.assert_close(got[image, head, channel], expected)


def test_heads_joined_and_viewed_anew_would_give_a_head_half_the_channels_of_both() -> None:
    factor, features = _factor(), _features()
    right = factor(features)
    joined = torch.cat([right[:, head] for head in range(HEADS)], dim=1)  # (N, K * C, D)
    mixed = joined.view(N, -1, HEADS, D)  # what the reference does: (N, C, K, D) by its reading
    even = torch.cat([right[:, 0, ::2], right[:, 1, ::2]], dim=1)
    torch.testing.assert_close(mixed[:, :, 0], even)
    torch.testing.assert_close(torch.stack(list(right.unbind(1)), dim=2)[:, :, 1], right[:, 1])


@pytest.mark.parametrize("scale", list(Scale))
@pytest.mark.parametrize("channel_bias", [True, False])
def test_one_head_alone_is_that_head_of_all(scale: Scale, channel_bias: bool) -> None:
    factor, features = _factor(scale, channel_bias=channel_bias), _features()
    factor.typical.copy_(torch.linspace(1, 3, C))
    for head in range(HEADS):
        alone = factor.embed(features.flatten(2), head, channels=torch.arange(C))
        torch.testing.assert_close(alone, factor(features)[:, head])


def test_a_mapper_that_knows_its_channel_tells_equal_maps_apart() -> None:
    features = torch.ones(1, C, H, W)
    blind = _factor()(features)[0, 0]
    torch.testing.assert_close(blind, blind[:1].expand_as(blind))
    knowing = _factor(channel_bias=True)(features)[0, 0]
    assert torch.cdist(knowing, knowing).fill_diagonal_(1).min() > 1e-3


def test_maps_are_scaled_as_named() -> None:
    maps = torch.tensor([[0.0, 3.0, 4.0], [0.0, -2.0, 1.0]])
    np.testing.assert_allclose(_scaled(maps, Scale.LENGTH)[0], [0, 0.6, 0.8], rtol=1e-6)
    np.testing.assert_allclose(_scaled(maps, Scale.MAXIMUM), [[0, 0.75, 1], [0, -1, 0.5]])
    np.testing.assert_allclose(_scaled(maps, Scale.DEVIATION).mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(_scaled(maps, Scale.DEVIATION).std(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(_scaled(maps, Scale.NONE), maps)
    np.testing.assert_allclose(_scaled(maps, Scale.TYPICAL), [[0, 1.5, 2], [0, -0.5, 0.25]])


@pytest.mark.parametrize("scale", list(Scale))
def test_a_channel_that_never_fires_is_no_division_by_zero(scale: Scale) -> None:
    got = _factor(scale)(torch.zeros(1, C, H, W))
    assert torch.isfinite(got).all()


def test_embeddings_are_of_length_one() -> None:
    norms = functional.normalize(_factor()(_features()), dim=3).norm(dim=3)
    torch.testing.assert_close(_factor()(_features()).norm(dim=3), norms)


def _scaled(maps: Tensor, scale: Scale) -> np.ndarray:
    return np.asarray(_factor(scale).scaled(maps, torch.tensor([2.0, 4.0])).detach())
