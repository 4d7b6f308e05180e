"""What the processes of one run share: embeddings gathered with their gradients.

One process is a run of its own: everything here then gives back what it was given. Every process
brings the same number of rows.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch import distributed as dist


def world_size() -> int:
    """Processes in this run, on all machines."""
    return dist.get_world_size() if _running() else 1


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if _running() else 0


def gather(local: Tensor) -> Tensor:
    """(N, ...) of every process -> (world x N, ...) in the order of ranks, on each of them.

    The gradient of a process's rows is the sum over what all processes made of them. A loss taken
    on the whole gathered batch in each process, with gradients averaged as DDP does, thus learns
    what one process would learn from the joined batch: world x (1/world).
    """
    if world_size() == 1:
        return local
    if not local.requires_grad:
        return _gathered(local)
    return cast(Tensor, _Gather.apply(local))


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:
        ctx.rows = len(local)
        return _gathered(local)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        # torch.distributed.nn.all_gather needs all_to_all here, which gloo does not have.
        total = gradient.contiguous()
        dist.all_reduce(total)
        first = rank() * ctx.rows
        return total[first : first + ctx.rows]


def _gathered(local: Tensor) -> Tensor:
    parts = [torch.empty_like(local) for _ in range(world_size())]
    dist.all_gather(parts, local.contiguous())
    return torch.cat(parts)


def _running() -> bool:
    return dist.is_available() and dist.is_initialized()
