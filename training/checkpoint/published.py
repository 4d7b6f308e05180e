"""Published Mammo-CLIP files, and Mammo-FM's, which are of the same form, as a model of ours.

A published file is a dictionary: `model` (tensors), `config` (what it was trained with), and the
optimiser's state. Towers are recognised by shapes, not by the names that the configuration gives
them: those are paths on the authors' cluster. Anything the configuration says that this package
computes otherwise is refused, so that no wrong number comes out of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers
from pydantic import ValidationError
from torch import Tensor

from model_store.manifest import Recipe
from training.checkpoint.errors import TensorsDiffer, UnknownLayout
from training.checkpoint.names import published_names
from training.checkpoint.reading import plain, plain_count, shown
from training.checkpoint.tensors import check_shapes, checked_state
from training.checkpoint.text_shapes import WORDS, text_architecture
from training.config import ModelConfig
from training.models.bert import POOLINGS, Bert
from training.models.clip import Clip
from training.models.image_encoder import MEAN, STD

TOWERS = {2048: "b5", 1408: "b2"}
"""Channels of the last convolution -> tower."""
HEAD, PROJECTION = "image_encoder._conv_head.weight", "image_projection.projection.weight"
PREFIXES = ("text_encoder.text_encoder.", "text_encoder.")
UNUSED = ("pooler.", "embeddings.position_ids", "cls.")
"""Of a text base: pooler and heads have no part in the embedding, positions are counted."""
MARK, STEM = "image_encoder._", "image.net.conv_stem.weight"
COLOURS = (1, 3)
CLOSE = 1e-6
WIDEST = 8192  # embedding
LONGEST = 512


@dataclass(frozen=True, slots=True)
class Settings:
    """What a published configuration says of how the model computes."""

    recipe: Recipe
    pooling: str
    max_tokens: int
    epoch: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Published:
    """A file of the published form, before its model is built."""

    path: Path
    state: Mapping[str, Tensor]
    text_prefix: str
    architecture: transformers.PretrainedConfig
    tower: str
    settings: Settings

    @property
    def family(self) -> str:
        """mammo-clip for a BERT as text base, mammo-fm for a ModernBERT."""
        return "mammo-clip" if self.architecture.model_type == "bert" else "mammo-fm"

    @property
    def recipe(self) -> Recipe:
        """The canvas that the model was trained on."""
        return self.settings.recipe

    @property
    def max_tokens(self) -> int:
        """Of the text tower."""
        return self.settings.max_tokens

    @property
    def vocabulary(self) -> int:
        """Rows of the text base's table of words."""
        return int(self.architecture.vocab_size)

    @property
    def note(self) -> dict[str, str | int]:
        """For the manifest."""
        return {} if self.settings.epoch is None else {"checkpoint_epoch": self.settings.epoch}

    def build(self, tokenizer: Path | None) -> Clip:
        """The model with the file's weights; `tokenizer`: folder of the text base's tokenizer.

        TensorsDiffer where a tensor is missing, left over or of another shape.
        """
        assert tokenizer is not None  # a published file does not hold one
        base = Bert(
            tokenizer,
            pooling=self.settings.pooling,
            max_tokens=self.settings.max_tokens,
            trainable=True,
            architecture=self.architecture,
        )
        config = ModelConfig(
            image=self.tower,
            image_weights="none",
            pooling="mean",
            text="./published",
            embedding_size=self.state[PROJECTION].shape[0],
            text_max_tokens=self.settings.max_tokens,
        )
        model = Clip(config, base=base)
        fill(model, self.state, text_prefix=self.text_prefix, what=f"{self.family} {self.tower}")
        return model.eval()


def recognise(path: Path, stored: Mapping[str, Any]) -> Published | None:
    """The file's parts where it is of the published form, None where it is not.

    Raises UnknownLayout for a tower or a configuration that this package would compute otherwise,
    TensorsDiffer where tensors that tell the towers are missing.
    """
    state = stored.get("model")
    if not isinstance(state, Mapping) or not any(str(n).startswith(MARK) for n in state):
        return None
    state = checked_state(path, state)
    channels = _channels(path, state)
    prefix = next((p for p in PREFIXES if any(p + word in state for word in WORDS)), None)
    if prefix is None:
        raise UnknownLayout(
            path, "expected a text tower of the BERT or ModernBERT family below text_encoder"
        )
    architecture = text_architecture(state, prefix)
    settings = _settings(path, _config(path, stored), plain_count(stored.get("epoch")))
    longest = getattr(architecture, "max_position_embeddings", settings.max_tokens)
    if settings.max_tokens > longest:
        raise UnknownLayout(
            path,
            f"expected a text_max_length of at most {longest}, the positions of its text tower, "
            f"got {settings.max_tokens}",
        )
    return Published(
        path=path,
        state=state,
        text_prefix=prefix,
        architecture=architecture,
        tower=TOWERS[channels],
        settings=settings,
    )


def _channels(path: Path, state: Mapping[str, Tensor]) -> int:
    """Of the image tower's last convolution, the projection being from as many."""
    missing = [name for name in (HEAD, PROJECTION) if name not in state]
    if missing:
        raise TensorsDiffer("a published Mammo-CLIP", missing=missing, surplus=[], shapes=[])
    channels = next(iter(state[HEAD].shape), 0)
    if channels not in TOWERS:
        known = ", ".join(f"{name} ({size})" for size, name in TOWERS.items())
        raise UnknownLayout(path, f"expected an image tower of {known} channels, got {channels}")
    shape = tuple(state[PROJECTION].shape)
    if len(shape) != 2 or shape[1] != channels or shape[0] > WIDEST:
        wrong = f"{PROJECTION} {shape} for (1 to {WIDEST}, {channels})"
        raise TensorsDiffer("a published Mammo-CLIP", missing=[], surplus=[], shapes=[wrong])
    return channels


def fill(model: Clip, state: Mapping[str, Tensor], *, text_prefix: str, what: str) -> None:
    """Load by published names, strictly. The stem's three input channels become one: grey."""
    names = published_names(model, text_prefix=text_prefix)
    wanted = {names[ours]: tuple(value.shape) for ours, value in model.state_dict().items()}
    stem = names[STEM]
    out, _, *kernel = wanted[stem]
    if stem in state and state[stem].ndim == 4 and state[stem].shape[1] in COLOURS:
        wanted[stem] = (out, state[stem].shape[1], *kernel)
    check_shapes(what, wanted, state, ignored=tuple(text_prefix + name for name in UNUSED))
    filled = {ours: state[published] for ours, published in names.items()}
    filled[STEM] = filled[STEM].sum(dim=1, keepdim=True)
    model.load_state_dict(filled, strict=True)


def _config(path: Path, stored: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration in plain values; empty only where the file has none."""
    try:
        return _part(
            path, {"config": plain(stored["config"])} if "config" in stored else {}, "config"
        )
    except ValueError as error:
        if isinstance(error, UnknownLayout):
            raise
        raise UnknownLayout(path, f"its config cannot be one: {error}") from error


def _settings(path: Path, config: Mapping[str, Any], epoch: int | None) -> Settings:
    """Raises UnknownLayout for what would be computed otherwise."""
    base = _part(path, config, "base")
    model = _part(path, config, "model")
    for name, ours in (("mean", MEAN), ("std", STD)):
        given = base.get(name, ours)
        if not _is_number(given) or not abs(given - ours) <= CLOSE:
            got = shown(given)
            raise UnknownLayout(path, f"expected images normalised by {name} {ours}, got {got}")
    pooling = _part(path, model, "text_encoder").get("pooling", "eos")
    if not isinstance(pooling, str) or pooling not in POOLINGS:
        known = ", ".join(POOLINGS)
        raise UnknownLayout(path, f"expected text pooling {known}, got {shown(pooling)}")
    head = _part(path, model, "projection_head").get("name", "linear")
    if head != "linear":
        raise UnknownLayout(path, f"expected linear projections, got {shown(head)}")
    max_tokens = base.get("text_max_length", 256)
    if not isinstance(max_tokens, int) or not 16 <= max_tokens <= LONGEST:
        got = shown(max_tokens)
        raise UnknownLayout(path, f"expected text_max_length 16 to {LONGEST}, got {got}")
    return Settings(recipe=_recipe(path, base), pooling=pooling, max_tokens=max_tokens, epoch=epoch)


def _is_number(value: object) -> bool:
    """Neither NaN nor beyond what a pixel can be."""
    return isinstance(value, int | float) and 0 <= value < 2**16


def _recipe(path: Path, base: Mapping[str, Any]) -> Recipe:
    size = {"height_px": base.get("image_size_h", 1520), "width_px": base.get("image_size_w", 912)}
    try:
        return Recipe.model_validate(size, strict=True)
    except ValidationError as error:
        got = shown(size)
        raise UnknownLayout(path, f"expected a canvas of whole pixels, got {got}") from error


def _part(path: Path, config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of the configuration; empty where it has no such part."""
    part = config.get(name, {})
    if not isinstance(part, Mapping):
        raise UnknownLayout(path, f"expected {name} to be a dictionary, got {shown(part)}")
    return part
