"""A text base of the BERT family from a folder, as transformers saves it. Nothing is downloaded.

Knows nothing of projections, captions or losses.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from training.models.tokenizer_files import tokenizer_json

CONFIG = "config.json"
Pooling = Callable[[Tensor, Tensor], Tensor]
"""Token vectors (N, L, W) and attention mask (N, L) -> (N, W)."""


def last_token(tokens: Tensor, mask: Tensor) -> Tensor:
    """The last token that is no padding: [SEP], as Mammo-CLIP pools ("eos")."""
    last = mask.sum(dim=1) - 1  # (N,); padding is on the right
    index = last[:, None, None].expand(-1, 1, tokens.shape[2])
    return tokens.gather(1, index).squeeze(1)


def mean_token(tokens: Tensor, mask: Tensor) -> Tensor:
    """Mean over the tokens that are no padding."""
    weight = mask.to(tokens.dtype)[..., None]
    return (tokens * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


def first_token(tokens: Tensor, mask: Tensor) -> Tensor:
    """The first token, [CLS]."""
    del mask
    return tokens[:, 0]


POOLINGS: dict[str, Pooling] = {"eos": last_token, "mean": mean_token, "cls": first_token}


class Bert(nn.Module):
    """A transformers encoder of any BERT-like architecture, pooled: ids -> (N, width)."""

    def __init__(
        self,
        folder: Path,
        *,
        pooling: str,
        max_tokens: int,
        trainable: bool,
        architecture: transformers.PretrainedConfig | None = None,
    ) -> None:
        """`folder` holds config.json and a tokenizer; with `architecture`, a tokenizer will do."""
        super().__init__()
        config = architecture or _architecture_in(folder)
        longest = getattr(config, "max_position_embeddings", None)
        if longest is not None and max_tokens > longest:
            raise ValueError(f"{folder.name} reads {longest} tokens at most, not {max_tokens}")
        self.width = int(config.hidden_size)
        self.max_tokens = max_tokens
        self.net: Any = _without_pooler(
            transformers.AutoModel.from_config(config, trust_remote_code=False)
        )
        self._folder = folder
        self._pool = POOLINGS[pooling]
        self.requires_grad_(trainable)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(N, L) int64 twice -> (N, width)."""
        tokens = self.net(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return self._pool(tokens, attention_mask)

    def load(self) -> None:
        """Fill with the folder's weights; ValueError where one that is used is not among them."""
        transformers.utils.logging.disable_progress_bar()
        transformers.utils.logging.set_verbosity_error()
        net, told = transformers.AutoModel.from_pretrained(
            self._folder,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            dtype=torch.float32,
        )
        missing = sorted(name for name in told["missing_keys"] if not name.startswith("pooler."))
        if missing:
            raise ValueError(
                f"{self._folder} lacks {len(missing)} weights of {type(net).__name__}, "
                f"{missing[0]} first"
            )
        self.net.load_state_dict(_without_pooler(net).state_dict(), strict=True)

    def tokenizer_json(self) -> str:
        """The folder's tokenizer as tokenizer.json."""
        return tokenizer_json(self._folder)


def _architecture_in(folder: Path) -> transformers.PretrainedConfig:
    if not (folder / CONFIG).is_file():
        raise FileNotFoundError(
            f"{folder} holds no {CONFIG}: expected the folder of a BERT-family model as "
            "transformers saves it"
        )
    found: transformers.PretrainedConfig = transformers.AutoConfig.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    return found


def _without_pooler(net: Any) -> Any:
    """BERT's own pooler has no part in any pooling here, and would learn nothing."""
    if getattr(net, "pooler", None) is not None:
        net.pooler = None
    return net
