"""Checkpoints of our own pretraining: a run's `last.ckpt`, and the `model.pt` it ends with."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from model_store.manifest import Recipe
from training.checkpoint.errors import UnknownLayout
from training.checkpoint.reading import plain_count
from training.checkpoint.tensors import check_shapes, checked_state
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
        wanted = {name: tuple(tensor.shape) for name, tensor in made.state_dict().items()}
        check_shapes(self.path.name, wanted, self.state)
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
    state = {str(name).removeprefix(INSIDE): tensor for name, tensor in inside.items()}
    settings = stored.get(SETTINGS)
    if not isinstance(settings, Mapping):
        raise UnknownLayout(path, f"a checkpoint of pretraining without its {SETTINGS!r}")
    return _own(path, state, settings, step=plain_count(stored.get("global_step")))


def _own(
    path: Path, state: Mapping[Any, Any], settings: Mapping[str, Any], *, step: int | None
) -> Own:
    try:
        config = PretrainConfig.model_validate(dict(settings))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UnknownLayout(path, f"{where} of its settings: {first['msg']}") from error
    sound = checked_state(path, state)
    return Own(path=path, state=sound, model=config.model, recipe=config.recipe, step=step)


def _settings_beside(path: Path) -> Mapping[str, Any]:
    """The settings that `pretrain` wrote into the folder of model.pt."""
    run = path.with_name(RUN)
    try:
        told = json.loads(run.read_text(encoding="utf-8")) if run.is_file() else {}
    except (ValueError, RecursionError) as error:
        raise UnknownLayout(path, f"the {RUN} beside it is no JSON") from error
    settings = told.get(SETTINGS) if isinstance(told, dict) else None
    if not isinstance(settings, Mapping):
        raise UnknownLayout(
            path,
            f"weights of a run of pretraining; expected the run's {RUN} beside them",
        )
    return settings


def _with_text(model: ModelConfig, folder: Path) -> ModelConfig:
    return model.model_copy(update={"text": str(folder.resolve())})
