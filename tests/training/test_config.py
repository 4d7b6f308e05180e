"""Configuration: typed, frozen, and nothing in it is ignored."""

from pathlib import Path

import pytest
from pydantic import ValidationError

import training
from training.config import TrainConfig

DEMO = Path(training.__file__).parent / "configs" / "demo.toml"


def test_the_demo_configuration_reads_and_opens_with_its_command() -> None:
    config = TrainConfig.named("demo")
    assert (config.recipe.height_px, config.recipe.width_px) == (1520, 912)
    assert "mammoserve-train demo" in DEMO.read_text()


def test_an_unknown_key_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(DEMO.read_text().replace("epochs = ", "epoch = ", 1))
    with pytest.raises(ValidationError, match=r"crops\.epoch\n"):
        TrainConfig.read(path)


def test_a_value_out_of_range_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(DEMO.read_text().replace("size_px = 288", "size_px = 289"))
    with pytest.raises(ValidationError, match="multiple of 32"):
        TrainConfig.read(path)


def test_a_configuration_cannot_be_changed() -> None:
    config = TrainConfig.named("demo")
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 1  # type: ignore[misc]
