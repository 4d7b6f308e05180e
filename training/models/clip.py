"""Two towers and a temperature: the model that is trained, exported and served."""

import math
from pathlib import Path

import tokenizers
import torch
from torch import Tensor, nn

from model_store.text import Tokenizer
from training.config import ModelConfig
from training.losses import MAX_LOGIT_SCALE
from training.models.bert import Bert
from training.models.image_encoder import ImageEncoder, load_imagenet, load_timm
from training.models.text_encoder import MINILM, MiniLm, TextEncoder

START_LOGIT_SCALE = math.log(1 / 0.07)  # Mammo-CLIP clip_b5_det_clinical.yaml
HIDDEN = 512  # of the head on a frozen text base
PACKAGED = "lite0"


class Clip(nn.Module):
    """`image` and `text` towers embed into the same D dimensions.

    `base`: the text tower's, where it is not the one that the configuration names.
    """

    def __init__(self, config: ModelConfig, *, base: MiniLm | Bert | None = None) -> None:
        super().__init__()
        self.image = ImageEncoder(
            config.image,
            embedding_size=config.embedding_size,
            pooling=config.pooling,
            drop_path=config.drop_path,
            dropout=config.dropout,
            frozen_statistics=config.frozen_statistics,
        )
        base = base or text_base(config)
        learns = any(weight.requires_grad for weight in base.parameters())
        self.text = TextEncoder(
            base, embedding_size=config.embedding_size, hidden=0 if learns else HIDDEN
        )
        self.log_scale = nn.Parameter(torch.tensor(START_LOGIT_SCALE))
        self.register_load_state_dict_post_hook(_bound_what_was_loaded)

    @property
    def logit_scale(self) -> Tensor:
        """Log of the factor on the cosine; `bound_temperature` keeps it bounded."""
        return self.log_scale

    @torch.no_grad()
    def bound_temperature(self) -> None:
        """To be called after each step, as in CLIP.

        A bound in the forward pass would have no gradient beyond it (nor, as float32 is rounded, at
        it), and a scale that was once there would never come back.
        """
        self.log_scale.clamp_(max=MAX_LOGIT_SCALE)


def _bound_what_was_loaded(model: nn.Module, keys: object) -> None:
    """Weights of before, or of another program, may lie beyond the bound."""
    del keys
    assert isinstance(model, Clip)
    model.bound_temperature()


def text_base(config: ModelConfig) -> MiniLm | Bert:
    """The base of the text tower that the configuration names, without its weights."""
    if config.text == MINILM:
        return MiniLm(layers=config.text_layers, max_tokens=config.text_max_tokens)
    return Bert(
        Path(config.text),
        pooling=config.text_pooling,
        max_tokens=config.text_max_tokens,
        trainable=config.text_trainable,
    )


def pretrained(config: ModelConfig) -> Clip:
    """A model with the weights that its configuration names: of packages, or of files."""
    model = Clip(config)
    if config.image_weights == "package":
        if config.image != PACKAGED:
            raise ValueError(
                f"image_weights: no package holds weights of {config.image}, only of {PACKAGED}; "
                'name a file of timm\'s weights, or "none"'
            )
        load_imagenet(model.image)
    elif config.image_weights != "none":
        load_timm(model.image, Path(config.image_weights))
    model.text.base.load()
    return model


def tokenizer_of(model: Clip) -> Tokenizer:
    """The tokenizer that the text tower was made for."""
    base = model.text.base
    read = tokenizers.Tokenizer.from_str(base.tokenizer_json())
    return Tokenizer(read, max_tokens=base.max_tokens)
