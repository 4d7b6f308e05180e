"""Cores within a container's quota."""

import os
from pathlib import Path

import pytest

from model_store.cores import usable_cores


@pytest.mark.parametrize(
    ("cpu_max", "cores"),
    [
        ("max 100000", 4),
        ("150000 100000", 2),  # a core and a half
        ("10000 100000", 1),
        ("6400000 100000", 4),
        ("nonsense", 4),
        (None, 4),
    ],
)
def test_a_containers_quota_bounds_the_cores(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cpu_max: str | None, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(4)))
    if cpu_max is not None:
        (tmp_path / "cpu.max").write_text(cpu_max)
    assert usable_cores(tmp_path / "cpu.max") == cores
