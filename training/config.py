"""Configuration of a training run: frozen, typed, read from TOML; an unknown key is an error."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator

from model_store.manifest import Frozen, Recipe
from training.models.bert import POOLINGS as TEXT_POOLINGS
from training.models.image_encoder import POOLINGS, TOWERS, known
from training.models.text_encoder import LAYERS, MINILM


class PhantomConfig(Frozen):
    """Which phantoms a run sees. Series are disjoint by construction: `seed` names a series."""

    train_seed: int = 1
    validation_seed: int = 2
    test_seed: int = 3
    train_studies: int = Field(ge=1)
    validation_studies: int = Field(ge=1)
    test_studies: int = Field(ge=1)
    mass_share: float = Field(default=0.4, gt=0, lt=1)
    calcification_share: float = Field(default=0.4, gt=0, lt=1)
    contrast: float = Field(default=1.0, gt=0, description="factor on every lesion's brightness")


class ModelConfig(Frozen):
    """Both towers. `text_layers` belongs to minilm; `text_pooling` and `text_trainable` to others.

    `text`: "minilm", which comes as a package and stays frozen, or the folder of a BERT-family
    model as transformers saves it, written with a slash. `image_weights`: "package" (lite0 alone),
    "none", or a file of timm's weights.
    """

    image: str = "lite0"
    image_weights: str = "package"
    pooling: str = "smooth-maximum"
    drop_path: float = Field(default=0.0, ge=0, lt=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    frozen_statistics: bool = Field(default=True, description="of BatchNorm, in training too")
    text: str = MINILM
    text_pooling: str = "eos"
    text_trainable: bool = True
    embedding_size: int = Field(default=256, ge=8)
    text_layers: int = Field(default=5, ge=1, le=LAYERS)
    text_max_tokens: int = Field(default=128, ge=16, le=512)

    @field_validator("image")
    @classmethod
    def _known_tower(cls, name: str) -> str:
        known(name, TOWERS, what="image tower")
        return name

    @field_validator("pooling")
    @classmethod
    def _known_pooling(cls, name: str) -> str:
        known(name, POOLINGS, what="pooling")
        return name

    @field_validator("text_pooling")
    @classmethod
    def _known_text_pooling(cls, name: str) -> str:
        known(name, TEXT_POOLINGS, what="pooling of tokens")
        return name

    @field_validator("text")
    @classmethod
    def _minilm_or_a_folder(cls, name: str) -> str:
        if name != MINILM and "/" not in name:
            raise ValueError(
                f"no text tower is called {name!r}; there is {MINILM}, and any folder of a "
                "BERT-family model, written with a slash (./name)"
            )
        return name


class StageConfig(Frozen):
    """One stage of training. `batch` images a step, `steps` steps an epoch."""

    epochs: int = Field(ge=1)
    steps: int = Field(ge=1)
    batch: int = Field(ge=2)
    learning_rate: float = Field(gt=0)
    trunk_learning_rate: float = Field(gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    warmup_steps: int = Field(default=20, ge=0)


class CropConfig(StageConfig):
    """First stage: square crops of the canvases, in pixels of the canvas."""

    size_px: int = Field(default=288, multiple_of=32)


class TrainConfig(Frozen):
    """A whole run."""

    name: str = "mammo-demo"
    version: str = "1"
    seed: int = 10
    threads: int = Field(default=0, ge=0, description="torch's threads; 0 = all usable cores")
    recipe: Recipe = Recipe(height_px=1520, width_px=912)
    phantoms: PhantomConfig
    model: ModelConfig = Field(default_factory=ModelConfig)
    crops: CropConfig
    whole: StageConfig

    @classmethod
    def read(cls, path: Path) -> Self:
        """Parse a TOML file; pydantic's ValidationError names every key that is wrong."""
        return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))

    @classmethod
    def named(cls, name: str) -> Self:
        """One of the package's own: training/configs/NAME.toml."""
        with resources.as_file(resources.files("training") / "configs" / f"{name}.toml") as path:
            return cls.read(path)
