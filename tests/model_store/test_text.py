"""Token ids: the judge is the tokenizers library on one sentence at a time."""

from pathlib import Path

import numpy as np
import pytest
import tokenizers
from tokenizers import models, pre_tokenizers

from model_store.text import Tokenizer
from tests.tiny_model import make_tiny_model

SENTENCES = ["there is a mass", "no suspicious calcification in the left breast", "mass"]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models")).file("tokenizer.json")


def test_each_row_is_the_sentence_alone_then_padding_to_the_longest(path: Path) -> None:
    alone = [tokenizers.Tokenizer.from_file(str(path)).encode(one).ids for one in SENTENCES]
    ids, mask = Tokenizer.from_file(path, max_tokens=64).encode(SENTENCES)
    assert ids.dtype == mask.dtype == np.int64
    assert ids.shape == mask.shape == (3, max(map(len, alone)))
    for row, kept, expected in zip(ids, mask, alone, strict=True):
        assert row[: len(expected)].tolist() == expected
        assert set(row[len(expected) :]) <= {0}  # [PAD]
        assert kept.tolist() == [1] * len(expected) + [0] * (len(row) - len(expected))


def test_truncation_keeps_the_special_tokens(path: Path) -> None:
    tokenizer = Tokenizer.from_file(path, max_tokens=6)
    ids, mask = tokenizer.encode(["mass " * 100])
    judge = tokenizers.Tokenizer.from_file(str(path))
    assert judge.decode(ids[0].tolist(), skip_special_tokens=False) == (
        "[CLS] mass mass mass mass [SEP]"
    )
    assert mask.tolist() == [[1] * 6]


def test_two_ways_to_write_an_accent_are_one(path: Path) -> None:
    tokenizer = Tokenizer.from_file(path, max_tokens=64)
    composed, decomposed = "nódulo", "no\N{COMBINING ACUTE ACCENT}dulo"
    assert composed != decomposed
    assert np.array_equal(tokenizer.encode([composed])[0], tokenizer.encode([decomposed])[0])


def test_no_sentence_gives_no_row(path: Path) -> None:
    ids, mask = Tokenizer.from_file(path, max_tokens=64).encode([])
    assert ids.shape == mask.shape == (0, 0)


def test_the_padding_of_the_file_is_kept_but_not_its_fixed_length(
    path: Path, tmp_path: Path
) -> None:
    changed = tokenizers.Tokenizer.from_file(str(path))
    changed.enable_padding(direction="left", pad_id=7, pad_token="there", length=40)
    changed.enable_truncation(max_length=5)
    changed.save(str(tmp_path / "tokenizer.json"))
    ids, mask = Tokenizer.from_file(tmp_path / "tokenizer.json", max_tokens=64).encode(SENTENCES)
    assert ids.shape[1] == mask[1].sum() > 5
    assert ids[2, 0] == 7
    assert mask[2, 0] == 0


def test_a_file_that_is_no_tokenizer_says_so(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match=r"tokenizer.json is not a tokenizer"):
        Tokenizer.from_file(tmp_path / "tokenizer.json", max_tokens=8)


def test_a_tokenizer_without_any_padding_token_says_what_to_do(tmp_path: Path) -> None:
    bare = tokenizers.Tokenizer(models.WordLevel({"mass": 0, "?": 1}, unk_token="?"))
    bare.pre_tokenizer = pre_tokenizers.Whitespace()
    bare.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match="export it with its padding"):
        Tokenizer.from_file(tmp_path / "tokenizer.json", max_tokens=8)
