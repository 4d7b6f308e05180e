"""Where a worker's models run, as the operator asked and the log tells."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from model_store.providers import Provider, ProviderUnavailable, cuda_devices
from service.queue.loading import load_models
from service.settings import Settings
from tests.tiny_model import make_tiny_model

no_device = pytest.mark.skipif(cuda_devices() > 0, reason="there is a CUDA device")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    make_tiny_model(root)
    return root


def test_the_log_says_where_a_model_runs(models: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    settings = Settings(models=models, worker_threads=1, provider=Provider.CPU)
    assert [it.key for it in load_models(settings)] == ["tiny/1"]
    assert "tiny/1 runs on CPUExecutionProvider, 1 a pass" in caplog.text


@no_device
def test_a_provider_that_was_named_and_is_not_there_stops_the_start(models: Path) -> None:
    with pytest.raises(ProviderUnavailable, match="there are auto, cpu"):
        load_models(Settings(models=models, worker_threads=1, provider=Provider.CUDA))


@no_device
@pytest.mark.system
def test_a_worker_that_cannot_have_its_provider_ends_with_2_and_says_why(models: Path) -> None:
    asked = {
        "MAMMO_REDIS_URL": "redis://127.0.0.1:1/0",  # it never comes so far
        "MAMMO_MODELS": str(models),
        "MAMMO_PROVIDER": "TensorRT",
    }
    done = subprocess.run(
        [sys.executable, "-m", "service.queue.worker"],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "MAMMO_PROVIDER: provider 'tensorrt' is not available" in done.stderr + done.stdout


def test_an_unknown_provider_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValidationError, match="'auto', 'cpu', 'cuda' or 'tensorrt'"):
        Settings(provider="rocm")


def test_engines_lie_below_the_data_unless_said_otherwise(tmp_path: Path) -> None:
    assert Settings(data=tmp_path).engines == tmp_path / "engines"
    assert Settings(data=tmp_path, engine_cache=tmp_path / "there").engines == tmp_path / "there"
