"""What the processes of one run share: their number, and embeddings gathered with gradients.

One process is a run of its own: everything here then gives back what it was given. Every process
brings the same number of rows.
"""

import os
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


def launched_world() -> int:
    """Processes that torchrun started for this run on all machines; 1 without torchrun."""
    return int(os.environ["WORLD_SIZE"]) if dist.is_torchelastic_launched() else 1


def launched_rank() -> int:
    """Number of this process among them, from 0."""
    return int(os.environ["RANK"]) if dist.is_torchelastic_launched() else 0


def launched_machines() -> dict[str, Any]:
    """The run's processes and machines as Lightning's Trainer wants them told."""
    world = launched_world()
    if world == 1:
        return {"devices": 1}
    local = int(os.environ["LOCAL_WORLD_SIZE"])
    return {"devices": local, "num_nodes": world // local, "strategy": "ddp"}
