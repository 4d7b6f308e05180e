"""The temperature: bounded, and never stuck at its bound."""

from pathlib import Path

import pytest
import torch

from tests.training.pretrain_factory import small_run
from training.config import ModelConfig, StageConfig
from training.losses import MAX_LOGIT_SCALE
from training.models.clip import Clip, tokenizer_of
from training.pretrain import PretrainStage
from training.run import Plan
from training.stage import SentenceVectors, Stage

SMALL = ModelConfig(image_weights="none", embedding_size=16, text_layers=1, text_max_tokens=48)


def test_a_temperature_that_was_pushed_over_its_bound_comes_back() -> None:
    model = Clip(SMALL)
    optimizer = torch.optim.SGD([model.log_scale], lr=1.0)
    for push in (-9.0, 0.5):  # up, beyond the bound, then down
        optimizer.zero_grad()
        (push * model.logit_scale).backward()
        optimizer.step()
        model.bound_temperature()
        assert model.logit_scale.item() == pytest.approx(MAX_LOGIT_SCALE - max(push, 0))


def test_weights_beyond_the_bound_are_bounded_when_they_are_loaded() -> None:
    model = Clip(SMALL)
    beyond = model.state_dict() | {"log_scale": torch.tensor(6.0)}
    model.load_state_dict(beyond, strict=True)
    assert model.logit_scale.item() == pytest.approx(MAX_LOGIT_SCALE)


@pytest.mark.parametrize("kind", ["pretraining", "demo"])
def test_each_step_of_a_run_bounds_the_temperature(kind: str, tmp_path: Path) -> None:
    model = Clip(SMALL)
    stage: PretrainStage | Stage
    if kind == "demo":
        crops = StageConfig(epochs=1, steps=1, batch=2, learning_rate=1.0, trunk_learning_rate=1.0)
        tokenizer = tokenizer_of(model)
        stage = Stage(model, crops, sentences=SentenceVectors(model, tokenizer))
    else:
        plan = Plan(epochs=1, steps=1)
        stage = PretrainStage(model, small_run(tmp_path), plan=plan, work=tmp_path)
    optimizer = torch.optim.SGD([model.log_scale], lr=9.0)

    def closure() -> torch.Tensor:
        loss = -model.logit_scale
        loss.backward()
        return loss

    stage.optimizer_step(0, 0, optimizer, closure)
    assert model.log_scale.item() == pytest.approx(MAX_LOGIT_SCALE)
