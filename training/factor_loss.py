"""Mammo-FActOR's contrastive loss. Knows nothing of images, files or how channels are embedded.

Of a sentence m that is true of image n, over the images n' of the batch of which it is false:

    L(n, m) = -log( e^S(n, m) / (e^S(n, m) + sum over n' of e^S(n', m)) )

S = the maximum over channels of the cosine to the sentence, over the temperature; by default a
smooth one, the logarithm of the summed exponentials, since the hard maximum of the paper (the
alternative) learned nothing on many channels (training/LOG.md, training.factor.batch_loss). L is
averaged over all true pairs. The reference writes the sum over the whole batch as e^(S (1 - y)),
where every positive adds e^0 = 1 (Mammo-Factor.ipynb): a constant that says nothing of the images
and keeps the loss of a batch of B positives from falling below log(1 + B e^-S). Here positives are
not in the sum.
"""

import torch
from torch import Tensor


def factor_loss(scores: Tensor, *, true: Tensor, false: Tensor) -> Tensor:
    """Scores (N, M) of images and sentences; `true`, `false` (N, M) bool, neither = not known.

    A sentence that is false of no image of the batch contrasts with nothing and is left out; with
    no pair left the loss is 0, and still has a gradient (of zeros).
    """
    others = scores.masked_fill(~false, -torch.inf).logsumexp(dim=0)  # (M,)
    counted = true & false.any(dim=0)
    gap = torch.where(counted, others[None] - scores, torch.zeros_like(scores))
    losses = torch.nn.functional.softplus(gap) * counted
    return losses.sum() / counted.sum().clamp(min=1)
