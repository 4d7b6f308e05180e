"""Two processes that gather their embeddings learn what one learns from the joined batch."""

import socket
from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from training.distributed import gather, rank, world_size
from training.losses import Truth, mammo_clip_loss

PROCESSES, ROWS = 2, 3


class Towers(nn.Module):
    """Four linear towers and a temperature: enough to have gradients of every kind."""

    def __init__(self) -> None:
        super().__init__()
        self.towers = nn.ModuleList(nn.Linear(6, 5) for _ in range(4))
        self.log_scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, given: torch.Tensor, true: Truth | None) -> torch.Tensor:
        """(rows, 6) -> the loss, over all processes."""
        embedded = (functional.normalize(tower(given), dim=1) for tower in self.towers)
        return mammo_clip_loss(*embedded, logit_scale=self.log_scale, true=true)


def joined() -> tuple[torch.Tensor, Truth]:
    generator = torch.Generator().manual_seed(5)
    rows = PROCESSES * ROWS
    tables = [torch.rand(rows, rows, generator=generator) < 0.4 for _ in range(5)]
    return torch.randn(rows, 6, generator=generator), Truth(*tables)


def towers() -> Towers:
    torch.manual_seed(1)
    return Towers()


def one_of_two(number: int, port: int, folder: str) -> None:
    """A process of the run: its half of the rows, gradients averaged by DDP."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=number, world_size=PROCESSES
    )
    given, true = joined()
    mine = given[number * ROWS : (number + 1) * ROWS]
    found = {}
    for name, table in (("plain", None), ("truth", true)):
        model = DistributedDataParallel(towers())
        loss = model(mine, table)
        loss.backward()
        gradients = [parameter.grad for parameter in model.parameters()]
        found[name] = (loss.detach(), gradients)
    numbers = gather(torch.tensor([number]))
    torch.save((found, numbers, rank(), world_size()), Path(folder) / f"{number}.pt")
    del model, loss, gradients
    distributed.barrier()  # who leaves first takes the store along, and the other aborts
    distributed.destroy_process_group()


@pytest.mark.timeout(60)
def test_two_processes_compute_the_loss_and_gradient_of_the_joined_batch(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    multiprocessing.spawn(one_of_two, args=(port, str(tmp_path)), nprocs=PROCESSES)
    given, true = joined()
    for number in range(PROCESSES):
        found, numbers, own, size = torch.load(tmp_path / f"{number}.pt", weights_only=True)
        assert (numbers.tolist(), own, size) == ([0, 1], number, PROCESSES)
        for name, table in (("plain", None), ("truth", true)):
            model = towers()
            loss = model(given, table)
            loss.backward()
            torch.testing.assert_close(found[name][0], loss.detach(), atol=1e-6, rtol=1e-6)
            for ours, expected in zip(found[name][1], model.parameters(), strict=True):
                torch.testing.assert_close(ours, expected.grad, atol=1e-6, rtol=1e-5)


def test_one_process_is_a_run_of_its_own() -> None:
    rows = torch.randn(3, 2, requires_grad=True)
    assert gather(rows) is rows
    assert (rank(), world_size()) == (0, 1)
