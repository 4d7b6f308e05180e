"""Grad-CAM (Selvaraju et al. 2017) of a zero-shot score on the last feature map, by captum.

What Mammo-FActOR is held against: the same map, the same score, the same box rule afterwards. The
score needs no more of the tower than pooling and projection, so features that are at hand will do.
"""

import numpy as np
import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn

from model_store.arrays import F32
from training.models.image_encoder import ImageEncoder, unit


class _Contrast(nn.Module):
    """Features -> cosine to what a question says yes to, less the cosine to what it says no to."""

    def __init__(self, tower: ImageEncoder) -> None:
        super().__init__()
        self.tower = tower
        self.features = nn.Identity()  # the layer that captum looks at

    def forward(self, features: Tensor, directions: Tensor) -> Tensor:
        """(N, C, h, w), (N, 2, D) positive and negative directions -> (N,)."""
        embedding = unit(self.tower.project(self.tower.pooled(self.features(features))))
        positive, negative = directions.unbind(dim=1)
        return (embedding * (positive - negative)).sum(dim=1)


def grad_cam(tower: ImageEncoder, features: F32, *, positive: F32, negative: F32) -> F32:
    """Features (C, h, w), directions (D,) of the two ensembles -> heat (h, w), never negative.

    Channels weighted by the mean gradient of the score over their positions, summed, and what is
    below zero cut: the paper's own rule. The tower must be in evaluation mode.
    """
    given = torch.from_numpy(features[np.newaxis]).requires_grad_()
    directions = torch.from_numpy(np.stack([positive, negative])[np.newaxis])
    contrast = _Contrast(tower)
    found = LayerGradCam(contrast, contrast.features).attribute(
        given, additional_forward_args=(directions,), relu_attributions=True
    )
    assert isinstance(found, Tensor)
    return np.asarray(found[0, 0].detach().numpy(), np.float32)
