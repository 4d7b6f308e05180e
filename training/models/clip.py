"""Two towers and a temperature: the model that is trained, exported and served."""

import math

import torch
from torch import Tensor, nn

from training.config import ModelConfig
from training.losses import MAX_LOGIT_SCALE
from training.models.image_encoder import ImageEncoder, load_imagenet
from training.models.text_encoder import TextEncoder, load_minilm, minilm_path

START_LOGIT_SCALE = math.log(1 / 0.07)  # Mammo-CLIP clip_b5_det_clinical.yaml


class Clip(nn.Module):
    """`image` and `text` towers embed into the same D dimensions."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.image = ImageEncoder(embedding_size=config.embedding_size)
        self.text = TextEncoder(
            embedding_size=config.embedding_size,
            layers=config.text_layers,
            max_tokens=config.text_max_tokens,
        )
        self.log_scale = nn.Parameter(torch.tensor(START_LOGIT_SCALE))

    @property
    def logit_scale(self) -> Tensor:
        """Log of the factor on the cosine, bounded as in CLIP."""
        return self.log_scale.clamp(max=MAX_LOGIT_SCALE)


def pretrained(config: ModelConfig) -> Clip:
    """Towers with the weights that travel in packages: ImageNet and all-MiniLM-L6-v2."""
    model = Clip(config)
    load_imagenet(model.image)
    load_minilm(model.text.base, minilm_path())
    return model
