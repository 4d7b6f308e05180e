"""The text tower against transformers' BERT, and what int8 costs."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from model_store.text import Tokenizer
from training.models.text_encoder import (
    LAYERS,
    WIDTH,
    Int8Linear,
    MiniLm,
    TextEncoder,
    load_minilm,
    minilm_path,
)

SENTENCES = ("mass", "no mass", "a cluster of microcalcifications in the upper outer left breast")


@pytest.fixture(scope="module")
def tokens() -> tuple[torch.Tensor, torch.Tensor]:
    tokenizer = Tokenizer.from_file(minilm_path() / "tokenizer.json", max_tokens=64)
    ids, mask = tokenizer.encode(SENTENCES)
    return torch.from_numpy(ids), torch.from_numpy(mask)


def reference(layers: int, tokens: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """transformers' BERT in float32 with the same weights, mean-pooled."""
    from safetensors.torch import load_file

    config = BertConfig.from_pretrained(minilm_path())
    model = BertModel(config).eval()
    given = load_file(minilm_path() / "model.safetensors")
    given.pop("embeddings.position_ids", None)
    model.load_state_dict(given, strict=True)
    ids, mask = tokens
    with torch.inference_mode():
        hidden = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        states = hidden.hidden_states[layers]
        pooled = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    return torch.nn.functional.normalize(pooled, dim=1)


@pytest.mark.parametrize("layers", [5, LAYERS])
def test_the_base_is_minilm_but_for_the_rounding_to_int8(
    layers: int, tokens: tuple[torch.Tensor, torch.Tensor]
) -> None:
    base = MiniLm(layers=layers, max_tokens=64)
    load_minilm(base, minilm_path())
    with torch.inference_mode():
        cosine = (base(*tokens) * reference(layers, tokens)).sum(1)
    assert cosine.min() > 0.998


def test_padding_changes_nothing(tokens: tuple[torch.Tensor, torch.Tensor]) -> None:
    base = MiniLm(layers=2, max_tokens=64)
    load_minilm(base, minilm_path())
    ids, mask = tokens
    with torch.inference_mode():
        alone = base(ids[:1, : int(mask[0].sum())], mask[:1, : int(mask[0].sum())])
        torch.testing.assert_close(base(ids, mask)[:1], alone, atol=1e-6, rtol=0)


def test_int8_rows_err_by_half_a_level_at_most() -> None:
    drawn = torch.from_numpy(np.random.default_rng(1).standard_normal((7, 9)).astype(np.float32))
    linear = Int8Linear(9, 7)
    linear.set(drawn)
    restored = linear(torch.eye(9)).T
    assert ((restored - drawn).abs() <= drawn.abs().amax(1, keepdim=True) / 254 + 1e-6).all()


def test_only_the_head_learns() -> None:
    tower = TextEncoder(MiniLm(layers=1, max_tokens=16), embedding_size=8, hidden=4)
    learning = [name for name, weight in tower.named_parameters() if weight.requires_grad]
    assert learning
    assert all(name.startswith(("straight", "bent")) for name in learning)


def test_sentence_vectors_have_length_one(tokens: tuple[torch.Tensor, torch.Tensor]) -> None:
    tower = TextEncoder(MiniLm(layers=1, max_tokens=64), embedding_size=8)
    with torch.inference_mode():
        assert tower(*tokens).shape == (3, 8)
        torch.testing.assert_close(tower(*tokens).norm(dim=1), torch.ones(3))
    assert tower.straight.in_features == WIDTH
