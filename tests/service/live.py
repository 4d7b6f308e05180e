"""A whole service for tests: real HTTP, real queue, real worker process, a tiny real model."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import redis

from service.serving import Serving
from service.settings import Settings
from tests.dicom_factory import FOUR_VIEWS, dicom_bytes, mammogram_dataset
from tests.tiny_model import make_tiny_model

READY_S = 60
DICOM = "application/dicom"
Files = list[tuple[str, tuple[str, bytes]]]


@dataclass(frozen=True)
class Live:
    """A running service."""

    client: httpx.Client
    settings: Settings
    serving: Serving

    def classify(self, files: Files | None = None, /, **fields: Any) -> httpx.Response:
        return self.client.post("/v1/classify", files=files or four_views(), data=fields)

    def metric(self, name: str, **labels: str) -> float:
        """Sum of the samples of a metric whose labels include these."""
        total = 0.0
        for line in self.client.get("/metrics").text.splitlines():
            sample, _, value = line.rpartition(" ")
            if sample.partition("{")[0] == name and all(
                f'{label}="{wanted}"' in sample for label, wanted in labels.items()
            ):
                total += float(value)
        return total

    def files_left(self) -> list[Path]:
        """What requests have left on the disk."""
        return list(self.settings.uploads.glob("*/*"))

    def processes(self, module: str) -> list[psutil.Process]:
        """Living child processes that run this module."""
        found = []
        for process in psutil.Process().children(recursive=True):
            try:
                if module in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found


@contextmanager
def live(
    folder: Path,
    *,
    model: dict[str, Any] | None = None,
    default_model: str | None = None,
    ready: bool = True,
    **changes: Any,
) -> Iterator[Live]:
    """A service with a tiny model; `default_model` is the setting `model`, `changes` the others."""
    models = folder / "models"
    if not models.exists():
        make_tiny_model(models, **(model or {}))
    given = {
        "port": 0,
        "data": folder / "data",
        "models": models,
        "model": default_model,
        "worker_threads": 1,
        "decode_processes": 2,
        "decode_memory_mb": 1024,
        "queue_memory_mb": 256,
        "lease_s": 1.0,
    }
    settings = Settings(**{**given, **changes})
    with Serving(settings) as serving:
        if ready:
            assert serving.wait_ready(READY_S)
        with httpx.Client(base_url=serving.url, timeout=60, trust_env=False) as client:
            yield Live(client, settings, serving)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One service for the tests of a module."""
    with live(tmp_path_factory.mktemp("service"), max_file_mb=8, max_request_mb=16) as running:
        yield running


def view(laterality: str = "L", position: str = "CC", seed: int = 0, **overrides: Any) -> bytes:
    """One small mammogram as a DICOM file."""
    size = {"rows": 256, "columns": 208}
    return dicom_bytes(
        mammogram_dataset(laterality=laterality, view=position, seed=seed, **{**size, **overrides})
    )


def four_views(*, seed: int = 0) -> Files:
    """A study as the parts of a form: RCC, LCC, RMLO, LMLO, of one study."""
    study = f"1.2.826.0.1.3680043.8.498.{seed + 1}"
    return [
        (
            "files",
            (f"{side}{position}.dcm", view(side, position, seed + i, StudyInstanceUID=study)),
        )
        for i, (side, position) in enumerate(FOUR_VIEWS)
    ]


def files(*contents: bytes) -> Files:
    return [("files", (f"{i}.dcm", content)) for i, content in enumerate(contents)]


@contextmanager
def stopped(processes: list[psutil.Process]) -> Iterator[None]:
    """The processes stand still meanwhile."""
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            if process.is_running():
                process.send_signal(signal.SIGCONT)


def problem(response: httpx.Response, slug: str) -> dict[str, Any]:
    """The problem that a response must be."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    body = response.json()
    assert body["type"] == f"/problems/{slug}", body
    assert body["status"] == response.status_code
    assert body["request_id"] == response.headers["x-request-id"]
    return dict(body)


def in_hand(url: str, model_key: str) -> int:
    """Items that a worker has taken and not completed."""
    with redis.Redis.from_url(url, protocol=2) as connection:
        try:
            return int(connection.xpending(f"mammo:q:{model_key}", "workers")["pending"])
        except redis.ResponseError:
            return 0
