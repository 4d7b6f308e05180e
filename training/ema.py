"""A running average of the weights: what a run publishes where it is wanted."""

from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

WARM_UP = 10.0


class Ema(Callback):
    """Exponential moving average of what learns and of BatchNorm's statistics, once a step.

    After step n the decay is min(decay, (1 + n) / (10 + n)), so that the start is soon forgotten.
    The average is in the checkpoint; `copy_to` puts it in the model's place when the run is over.
    """

    def __init__(self, decay: float) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"expected a decay between 0 and 1, got {decay}")
        self._decay = decay
        self._average: dict[str, Tensor] = {}
        self._steps = 0

    @torch.no_grad()
    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: Any, *_: Any) -> None:
        """Move the average after a step."""
        if trainer.global_step == self._steps:
            return  # a pass of several
        self._steps = trainer.global_step
        decay = min(self._decay, (1 + self._steps) / (WARM_UP + self._steps))
        for name, value in averaged(pl_module).items():
            known = self._average.get(name)
            if known is None:
                self._average[name] = value.detach().clone()
            else:
                self._average[name] = known.to(value.device).lerp_(value, 1 - decay)

    def state_dict(self) -> dict[str, Any]:
        """The average and the step it stands at."""
        return {"average": self._average, "steps": self._steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the run was."""
        self._average, self._steps = state_dict["average"], state_dict["steps"]

    @torch.no_grad()
    def copy_to(self, module: nn.Module) -> None:
        """Overwrite the module's weights with the average; at least one step must be done."""
        for name, value in averaged(module).items():
            value.copy_(self._average[name])


def averaged(module: nn.Module) -> dict[str, Tensor]:
    """What is averaged: parameters that learn, and buffers of float."""
    learning = {name: value for name, value in module.named_parameters() if value.requires_grad}
    buffers = {name: value for name, value in module.named_buffers() if value.is_floating_point()}
    return learning | buffers
