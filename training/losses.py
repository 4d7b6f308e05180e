"""Contrastive losses. Knows nothing of images, texts or towers."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from training.distributed import gather

MAX_LOGIT_SCALE = math.log(100)
"""Upper bound of the learned log temperature, as in CLIP (Radford et al. 2021, section 2.5)."""

IMAGE_IMAGE, TEXT_TEXT = 1.0, 0.5  # Mammo-CLIP configs/loss/breast_clip.yaml


class Truth(NamedTuple):
    """Which text is true of which image, each (N, N) bool over the joined batch, rows images.

    `texts` (N, N): which second text says the same as which first one; None = each its own alone.
    """

    image1_text1: Tensor
    image2_text1: Tensor
    image1_text2: Tensor
    image2_text2: Tensor
    texts: Tensor | None = None


def clip_loss(
    images: Tensor,
    texts: Tensor,
    *,
    logit_scale: Tensor,
    true: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Symmetric contrastive loss: images (N, D), texts (M, D), both L2-normalised -> scalar.

    `true` (N, M) bool says which text is true of which image. Left out, N = M and text n belongs to
    image n alone: CLIP's own loss. Given, every true text of an image is a positive with equal
    weight (cross-entropy against the uniform distribution over the positives), and no text that
    happens to be true is pushed away: in a batch of normal breasts "no mass" fits all of them, and
    the plain loss would call all but one of these pairs wrong. A row or a column without any
    positive is left out of its mean.

    `logit_scale` is the log of the factor on the cosine, as the papers store it. `label_smoothing`
    spreads that share of each row's target evenly over the row.
    """
    if true is None:
        true = torch.eye(len(images), len(texts), dtype=torch.bool, device=images.device)
    logits = _logits(images, texts, logit_scale=logit_scale)  # (N, M)
    one_way = _one_way(logits, true, smoothing=label_smoothing)
    return (one_way + _one_way(logits.T, true.T, smoothing=label_smoothing)) / 2


def mammo_clip_loss(
    images1: Tensor,
    images2: Tensor,
    texts1: Tensor,
    texts2: Tensor,
    *,
    logit_scale: Tensor,
    image_image: float = IMAGE_IMAGE,
    text_text: float = TEXT_TEXT,
    label_smoothing: float = 0.0,
    true: Truth | None = None,
    gather: Callable[[Tensor], Tensor] = gather,
) -> Tensor:
    """Mammo-CLIP's loss: two images and two texts of each of N breasts, (N, D) unit rows -> scalar.

    The four image-text pairs of views and sections count a quarter each, the two images of a breast
    `image_image`, its two texts `text_text`; each of the six is symmetric. Negatives are the rows
    of every process (`gather`), so the value is that of the joined batch in each of them; with
    gradient accumulation they are those of one pass. Labels are smoothed between images and texts
    only. `true` as in `clip_loss`, over the joined batch: where many reports read alike, the plain
    loss takes most of its negatives from texts that are true.
    """
    i1, i2, t1, t2 = (gather(local) for local in (images1, images2, texts1, texts2))
    pairs = ((i1, t1), (i2, t1), (i1, t2), (i2, t2))
    tables = true[:4] if true else (None,) * len(pairs)
    crossed = [
        clip_loss(
            images, texts, logit_scale=logit_scale, true=table, label_smoothing=label_smoothing
        )
        for (images, texts), table in zip(pairs, tables, strict=True)
    ]
    loss = torch.stack(crossed).mean()
    if image_image:
        loss = loss + image_image * clip_loss(i1, i2, logit_scale=logit_scale)
    if text_text:
        same = true.texts if true else None
        loss = loss + text_text * clip_loss(t1, t2, logit_scale=logit_scale, true=same)
    return loss


def _logits(rows: Tensor, columns: Tensor, *, logit_scale: Tensor) -> Tensor:
    """Scaled cosines, in float32 at least: half precision would round the temperature's work."""
    precise = torch.promote_types(rows.dtype, torch.float32)
    with torch.autocast(rows.device.type, enabled=False):
        return logit_scale.to(precise).exp() * rows.to(precise) @ columns.to(precise).T


def _one_way(logits: Tensor, true: Tensor, *, smoothing: float) -> Tensor:
    """Cross-entropy of each row against its positives, mean over the rows that have any."""
    target = true.to(logits.dtype)  # (N, M)
    positives = target.sum(dim=1)  # (N,)
    target = target / positives.clamp(min=1)[:, None]
    target = target * (1 - smoothing) + smoothing / logits.shape[1]
    entropy = -(target * functional.log_softmax(logits, dim=1)).sum(dim=1)
    counted = (positives > 0).to(logits.dtype)
    return (entropy * counted).sum() / counted.sum().clamp(min=1)
