"""Contrastive losses. Knows nothing of images, texts or towers."""

import math

import torch
from torch import Tensor
from torch.nn import functional

MAX_LOGIT_SCALE = math.log(100)
"""Upper bound of the learned log temperature, as in CLIP (Radford et al. 2021, section 2.5)."""


def clip_loss(
    images: Tensor, texts: Tensor, *, logit_scale: Tensor, true: Tensor | None = None
) -> Tensor:
    """Symmetric contrastive loss: images (N, D), texts (M, D), both L2-normalised -> scalar.

    `true` (N, M) bool says which text is true of which image. Left out, N = M and text n belongs to
    image n alone: CLIP's own loss. Given, every true text of an image is a positive with equal
    weight (cross-entropy against the uniform distribution over the positives), and no text that
    happens to be true is pushed away: in a batch of normal breasts "no mass" fits all of them, and
    the plain loss would call all but one of these pairs wrong. A row or a column without any
    positive is left out of its mean.

    `logit_scale` is the log of the factor on the cosine, as the papers store it.
    """
    if true is None:
        true = torch.eye(len(images), len(texts), dtype=torch.bool, device=images.device)
    logits = logit_scale.exp() * images @ texts.T  # (N, M)
    return (_one_way(logits, true) + _one_way(logits.T, true.T)) / 2


def _one_way(logits: Tensor, true: Tensor) -> Tensor:
    """Cross-entropy of each row against its positives, mean over the rows that have any."""
    target = true.to(logits.dtype)  # (N, M)
    positives = target.sum(dim=1)  # (N,)
    target = target / positives.clamp(min=1)[:, None]
    entropy = -(target * functional.log_softmax(logits, dim=1)).sum(dim=1)
    counted = (positives > 0).to(logits.dtype)
    return (entropy * counted).sum() / counted.sum().clamp(min=1)
