"""Checkpoints of our own pretraining: a run's `last.ckpt`, and the `model.pt` it ends with."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from model_store.manifest import Recipe
from training.checkpoint.errors import TensorsDiffer, UnknownLayout
from training.config import ModelConfig, PretrainConfig
from training.models.clip import Clip
from training.pretrain import RUN, SETTINGS

MARK = "image.net.conv_stem.weight"
INSIDE = "model."
"""The model's attribute in the LightningModule."""


@dataclass(frozen=True, slots=True, eq=False)
class Own:
    """A checkpoint of `mammoserve-train pretrain`, before its model is built."""

    path: Path
    state: Mapping[str, Tensor]
    model: ModelConfig
    recipe: Recipe
    step: int | None

    family = "mammoserve"

    @property
    def max_tokens(self) -> int:
        """Of the text tower."""
        return self.model.text_max_tokens

    @property
    def note(self) -> dict[str, str | int]:
        """For the manifest."""
        return {} if self.step is None else {"checkpoint_step": self.step}

    def build(self, tokenizer: Path | None) -> Clip:
        """The model with the file's weights. The text base's folder is the configuration's own.

        TensorsDiffer where a tensor is missing, left over or of another shape.
        """
        config = self.model if tokenizer is None else _with_text(self.model, tokenizer)
        made = Clip(config)
        wanted = made.state_dict()
        missing, surplus = sorted(wanted.keys() - self.state), sorted(self.state.keys() - wanted)
        shapes = [
            f"{name} {tuple(self.state[name].shape)} for {tuple(wanted[name].shape)}"
            for name in sorted(wanted.keys() & self.state)
            if wanted[name].shape != self.state[name].shape
        ]
        if missing or surplus or shapes:
            raise TensorsDiffer(self.path.name, missing=missing, surplus=surplus, shapes=shapes)
        made.load_state_dict(dict(self.state), strict=True)
        return made.eval()


def recognise_own(path: Path, stored: Mapping[str, Any]) -> Own | None:
    """The file's parts where `pretrain` wrote it, None where not.

    UnknownLayout where it does not come with the run's settings.
    """
    if MARK in stored:
        return _own(path, stored, _settings_beside(path), step=None)
    inside = stored.get("state_dict")
    if not isinstance(inside, Mapping) or INSIDE + MARK not in inside:
        return None
    state = {name.removeprefix(INSIDE): tensor for name, tensor in inside.items()}
    settings = stored.get(SETTINGS)
    if not isinstance(settings, Mapping):
        raise UnknownLayout(path, f"a checkpoint of pretraining without its {SETTINGS!r}")
    step = stored.get("global_step")
    return _own(path, state, settings, step=step if isinstance(step, int) else None)


def _own(
    path: Path, state: Mapping[str, Tensor], settings: Mapping[str, Any], *, step: int | None
) -> Own:
    config = PretrainConfig.model_validate(dict(settings))
    return Own(path=path, state=state, model=config.model, recipe=config.recipe, step=step)


def _settings_beside(path: Path) -> Mapping[str, Any]:
    """The settings that `pretrain` wrote into the folder of model.pt."""
    run = path.with_name(RUN)
    told: dict[str, Any] = json.loads(run.read_text(encoding="utf-8")) if run.is_file() else {}
    settings = told.get(SETTINGS)
    if not isinstance(settings, Mapping):
        raise UnknownLayout(
            path,
            f"weights of a run of pretraining; expected the run's {RUN} beside them",
        )
    return settings


def _with_text(model: ModelConfig, folder: Path) -> ModelConfig:
    return model.model_copy(update={"text": str(folder.resolve())})
