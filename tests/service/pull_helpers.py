"""What tests of `mammoserve models pull` share: a hub with one checkpoint, and the command."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub.utils import close_session
from typer.testing import CliRunner, Result

from service.cli import app
from tests.service.hub_server import LocalHub, Repo, local_hub

CHECKPOINT = np.random.default_rng(0).bytes(24_000_000)
BROKEN_AT = 14_000_000
KEPT = 10 * 1024 * 1024
"""Of what came before a break: huggingface_hub writes in pieces of this size."""
FILE = "weights/b5-model.tar"
SOURCE = f"hf:someone/Mammo-CLIP:{FILE}"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("HF_", "MAMMO_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    with local_hub() as running:
        running.repos["someone/Mammo-CLIP"] = Repo(
            {FILE: CHECKPOINT, "README.md": b"# A checkpoint\n"}, lfs=frozenset({FILE})
        )
        yield running
        close_session()


def pull(hub: LocalHub, source: str, *words: str, **environment: str) -> Result:
    return CliRunner().invoke(
        app,
        ["models", "pull", source, *words],
        env={"HF_ENDPOINT": hub.url, "NO_COLOR": "1", **environment},
        catch_exceptions=False,
    )


def pull_file(hub: LocalHub, folder: Path, *words: str, **environment: str) -> Result:
    return pull(hub, SOURCE, "--to", str(folder), *words, **environment)


def pull_version(hub: LocalHub, root: Path, *words: str) -> Result:
    return pull(hub, "hf:someone/tiny", "--models", str(root), *words)


def partials(folder: Path) -> list[Path]:
    return list(folder.rglob("*.partial"))
