"""Configuration of a training run: frozen, typed, read from TOML; an unknown key is an error."""

import contextlib
import hashlib
import json
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from model_store.manifest import Frozen, Recipe
from training.data.augment import AugmentRules
from training.data.reports import check_path
from training.data.splits import SPLIT_SEED
from training.losses import IMAGE_IMAGE, TEXT_TEXT
from training.models.bert import POOLINGS as TEXT_POOLINGS
from training.models.image_encoder import POOLINGS, TOWERS, known
from training.models.text_encoder import LAYERS, MINILM


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


Range = tuple[float, float]


class AugmentConfig(Frozen):
    """training.data.augment.AugmentRules under the names it has there; each range drawn evenly."""

    flip_columns: float = Field(default=0.5, ge=0, le=1)
    flip_rows: float = Field(default=0.5, ge=0, le=1)
    affine: float = Field(default=0.5, ge=0, le=1)
    elastic: float = Field(default=0.5, ge=0, le=1)
    rotate_deg: Range = (-20.0, 20.0)
    translate: Range = (-0.1, 0.1)
    scale: Range = (0.8, 1.2)
    shear_deg: Range = (-20.0, 20.0)
    elastic_px: float = Field(default=3.0, ge=0)
    elastic_sigma_px: float = Field(default=15.0, gt=0)

    def rules(self) -> AugmentRules:
        """The same for `augment`."""
        return AugmentRules(**self.model_dump())


class DataSource(Frozen):
    """A set of pairs: a table (a folder of tables for VinDr and EMBED) and where its images are.

    `kind` "canvases" names a folder of canvases that were made before; "phantom" draws `studies` of
    series `series`. `weight` is the set's share of an epoch against the others'; left out, it is
    its number of breasts. `path`: where a report's image lies under `images`,
    by {patient}, {study} and {image}.
    """

    kind: Literal["reports", "vindr", "rsna", "embed", "canvases", "phantom"]
    name: str = Field(default="", description="of the set in the cache; left out, the kind")
    table: str = ""
    images: str = ""
    path: str = "{patient}/{image}"
    texts: Literal["", "reports", "labels"] = Field(default="", description="left out, by kind")
    weight: float | None = Field(default=None, gt=0)
    series: int = Field(default=1, ge=0)
    studies: int = Field(default=0, ge=0)

    @field_validator("path")
    @classmethod
    def _known_placeholders(cls, path: str) -> str:
        check_path(path)
        return path

    @model_validator(mode="after")
    def _says_where(self) -> Self:
        if self.kind == "phantom":
            if not self.studies:
                raise ValueError("a phantom source needs studies = how many")
        elif not self.table:
            raise ValueError(f"a source of kind {self.kind} needs table = its file or folder")
        return self

    @property
    def set_name(self) -> str:
        """Name of the set in the cache."""
        return self.name or self.kind


class RunConfig(Frozen):
    """A whole run, as a TOML file describes it."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Parse a TOML file; pydantic's ValidationError names every key that is wrong."""
        return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))

    @classmethod
    def named(cls, name: str) -> Self:
        """One of the package's own, training/configs/NAME.toml; FileNotFoundError lists them."""
        folder = resources.files("training") / "configs"
        if name not in cls.ours():
            raise FileNotFoundError(
                f"no configuration is called {name!r}; ours are {', '.join(cls.ours())}, and a "
                "file of your own ends in .toml"
            )
        with resources.as_file(folder / f"{name}.toml") as path:
            return cls.read(path)

    @classmethod
    def ours(cls) -> list[str]:
        """Names of the package's own that are of this kind."""
        known: list[str] = []
        for entry in sorted((resources.files("training") / "configs").iterdir(), key=str):
            with contextlib.suppress(ValidationError), resources.as_file(entry) as path:
                cls.read(path)
                known.append(entry.name.removesuffix(".toml"))
        return known


NOT_OF_THE_RUN = frozenset({"threads", "workers", "say_every", "save_every"})
"""Of a PretrainConfig: what may change while a run goes on, since the weights are the same."""


class PretrainConfig(RunConfig):
    """A run of Mammo-CLIP's pretraining.

    `batch` pairs a pass and process; a step is `accumulate` passes of every process, and negatives
    are those of one pass. `pairs` an epoch; left out, as many as there are breasts. `positives`:
    "pairs" as in the paper, or "facts", where every templated text that is true of a breast is one.
    `ema` is a decay, 0 for none. `workers` processes draw pairs ahead, in each process.
    `split_seed` decides which patients are trained on where a table does not say; it goes with the
    published version, and evaluations take it from there.
    """

    name: str
    seed: int = 10
    split_seed: int = SPLIT_SEED
    threads: int = Field(default=0, ge=0, description="torch's threads; 0 = all usable cores")
    recipe: Recipe = Recipe(height_px=1520, width_px=912)
    model: ModelConfig
    data: tuple[DataSource, ...] = Field(min_length=1)
    augment: AugmentConfig | None = Field(default_factory=AugmentConfig)
    epochs: int = Field(ge=1)
    pairs: int | None = Field(default=None, ge=2)
    batch: int = Field(ge=1)
    accumulate: int = Field(default=1, ge=1)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    warmup_epochs: float = Field(default=1.0, ge=0)
    gradient_clip: float = Field(default=1.0, gt=0)
    image_image: float = Field(default=IMAGE_IMAGE, ge=0)
    text_text: float = Field(default=TEXT_TEXT, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    positives: Literal["pairs", "facts"] = "pairs"
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    precision: Literal["32", "bf16-mixed", "16-mixed"] = "32"
    checkpointing: bool = Field(default=False, description="of gradients in the image tower")
    ema: float = Field(default=0.0, ge=0, lt=1)
    workers: int = Field(default=2, ge=0)
    save_every: int = Field(default=200, ge=0, description="steps; 0 = at epochs' ends alone")
    say_every: int = Field(default=20, ge=0, description="steps; 0 = at epochs' ends alone")

    @model_validator(mode="after")
    def _sets_have_names_of_their_own(self) -> Self:
        names = [source.set_name for source in self.data]
        if len(names) != len(set(names)):
            raise ValueError(f"two sources are called alike, give them names: {', '.join(names)}")
        return self

    def settings(self) -> dict[str, Any]:
        """All that the weights depend on, as plain JSON: what a run is known by."""
        return self.model_dump(mode="json", exclude=set(NOT_OF_THE_RUN))

    @property
    def run_digest(self) -> str:
        """sha256 of the settings, 64 hex digits."""
        return hashlib.sha256(json.dumps(self.settings(), sort_keys=True).encode()).hexdigest()
