"""Sentences -> token ids by a version's tokenizer.json. Knows nothing of models or prompts."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import tokenizers

from model_store.arrays import I64

PAD_TOKENS = ("[PAD]", "<pad>", "<|pad|>", "<|endoftext|>")
"""Tried in this order where tokenizer.json has no padding section."""


class Tokenizer:
    """tokenizer.json, with padding to the longest sentence of a call and truncation.

    What tokenizer.json itself says about truncation and fixed-length padding is overruled.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer, *, max_tokens: int) -> None:
        self.max_tokens = max_tokens
        padding = tokenizer.padding or {}
        token = padding.get("pad_token") or _pad_token(tokenizer)
        tokenizer.enable_truncation(max_length=max_tokens)  # special tokens are kept and counted
        tokenizer.enable_padding(
            direction=padding.get("direction", "right"),
            pad_id=padding.get("pad_id", tokenizer.token_to_id(token)),
            pad_type_id=padding.get("pad_type_id", 0),
            pad_token=token,
        )
        self._tokenizer = tokenizer

    @classmethod
    def from_file(cls, path: Path, *, max_tokens: int) -> Self:
        """Read tokenizer.json; ValueError where it is not one."""
        try:
            tokenizer = tokenizers.Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except Exception as error:  # tokenizers raises nothing narrower
            raise ValueError(f"{path.name} is not a tokenizer: {error}") from error
        return cls(tokenizer, max_tokens=max_tokens)

    def encode(self, sentences: Sequence[str]) -> tuple[I64, I64]:
        """N sentences -> ids and attention mask, both (N, L), L = longest and <= max_tokens.

        Sentences are brought to NFC first, so that the two ways to write an accent are one.
        """
        if not sentences:
            empty = np.zeros((0, 0), dtype=np.int64)
            return empty, empty.copy()
        composed = [unicodedata.normalize("NFC", sentence) for sentence in sentences]
        encoded = self._tokenizer.encode_batch(composed)
        ids = np.array([one.ids for one in encoded], dtype=np.int64)
        mask = np.array([one.attention_mask for one in encoded], dtype=np.int64)
        return ids, mask


def _pad_token(tokenizer: tokenizers.Tokenizer) -> str:
    for token in PAD_TOKENS:
        if tokenizer.token_to_id(token) is not None:
            return token
    raise ValueError(
        f"tokenizer.json has neither a padding section nor one of the tokens {PAD_TOKENS}; "
        "export it with its padding"
    )
