"""The published towers' padding, from the rule that made it, and what it changes."""

import pytest
import timm
import torch
from torch import nn

from training.models.fixed_padding import PADS, STRIDED, FixedPadding
from training.models.image_encoder import ImageEncoder

SIZES = {"b5": 456, "b2": 260}  # pixels of the square image that every convolution pads for


def same_pads(size: int, kernel: int) -> tuple[int, int, int]:
    """TensorFlow's SAME padding of a stride of 2 at one input size: before, after, output size."""
    out = -(-size // 2)
    total = max((out - 1) * 2 + kernel - size, 0)
    return total // 2, total - total // 2, out


@pytest.fixture(scope="module", params=sorted(SIZES))
def tower(request: pytest.FixtureRequest) -> ImageEncoder:
    torch.manual_seed(1)
    return ImageEncoder(request.param, embedding_size=8, pooling="mean").eval()


def test_pads_are_those_of_same_padding_at_the_square_size(tower: ImageEncoder) -> None:
    size = SIZES[tower.name]
    for name, pads in zip(STRIDED, PADS[tower.name], strict=True):
        convolution = tower.net.get_submodule(name)
        assert isinstance(convolution, FixedPadding)
        before, after, size = same_pads(size, convolution.kernel_size[0])
        assert pads == convolution.pads == (before, after)


def test_no_other_convolution_of_the_tower_strides(tower: ImageEncoder) -> None:
    strided = [
        name
        for name, module in tower.net.named_modules()
        if isinstance(module, nn.Conv2d) and module.stride != (1, 1)
    ]
    assert tuple(strided) == STRIDED


def plain(tower: ImageEncoder) -> nn.Module:
    """timm's own tower with the same weights."""
    net = timm.create_model(f"tf_efficientnet_{tower.name}", num_classes=0, in_chans=1).eval()
    net.load_state_dict(tower.net.state_dict(), strict=True)
    return net


def test_plain_timm_agrees_at_the_square_size_and_nowhere_near_mammograms(
    tower: ImageEncoder,
) -> None:
    with torch.inference_mode():
        square = torch.randn(1, 1, SIZES[tower.name], SIZES[tower.name])
        ours = tower.head(tower.trunk(square)).features
        torch.testing.assert_close(ours, plain(tower).forward_features(square), atol=1e-5, rtol=0)
        other = torch.randn(1, 1, 384, 256)
        ours = tower.head(tower.trunk(other)).features
        theirs = plain(tower).forward_features(other)
    assert (ours - theirs).norm() > 0.05 * theirs.norm()
