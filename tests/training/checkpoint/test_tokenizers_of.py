"""A tokenizer folder that is not whole, or not the checkpoint's, is refused before the export."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import tokenizers
from tokenizers.processors import TemplateProcessing

from training.checkpoint import tokenizers_of
from training.checkpoint.tokenizers_of import NoTokenizer, check_tokenizer
from training.models.tokenizer_files import tokenizer_json

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [*SPECIAL, "a", *(f"word{number}" for number in range(94))]
ROWS = len(WORDS)
EVIL = """
from pathlib import Path
from transformers import PretrainedConfig
Path(__file__).with_name("ran").touch()
class C(PretrainedConfig):
    model_type = "evil"
"""


def folder(path: Path, words: list[str]) -> Path:
    (path / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    return path


def saved(path: Path, change: Callable[[tokenizers.Tokenizer], None]) -> Path:
    """The same as tokenizer.json, changed."""
    read = tokenizers.Tokenizer.from_str(tokenizer_json(folder(path, WORDS)))
    change(read)
    read.save(str(path / "tokenizer.json"))
    return path


def test_the_checkpoint_s_own_is_taken(tmp_path: Path) -> None:
    check_tokenizer(folder(tmp_path, WORDS), rows=ROWS, padded=False)
    check_tokenizer(tmp_path, rows=ROWS + 100, padded=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (WORDS[:-1], "knows 99 words, the checkpoint's table has 100"),
        ([*WORDS, "more"], "knows 101 words"),
        ([*WORDS[:-1], "a"], "knows 99 words"),
        ([*WORDS[:-1], "a", "more"], "words twice"),
        ([word for word in WORDS if word != "[CLS]"], "lacks one of"),
    ],
)
def test_words_that_do_not_fit_the_table_are_refused(
    tmp_path: Path, words: list[str], said: str
) -> None:
    with pytest.raises(NoTokenizer, match=said):
        check_tokenizer(folder(tmp_path, words), rows=ROWS, padded=False)


def test_the_published_table_s_tokens_stand_at_their_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizers_of, "PUBLISHED_ROWS", ROWS)
    monkeypatch.setattr(tokenizers_of, "PUBLISHED_PLACES", (2, 3))
    check_tokenizer(folder(tmp_path, WORDS), rows=ROWS, padded=False)
    shuffled = WORDS.copy()
    random.Random(1).shuffle(shuffled)
    for words in (["shifted", *WORDS[:-1]], shuffled):
        with pytest.raises(NoTokenizer, match=r"instead of \(2, 3\)"):
            check_tokenizer(folder(tmp_path, words), rows=ROWS, padded=False)


def test_sentences_without_their_frame_are_refused(tmp_path: Path) -> None:
    def without_end(read: tokenizers.Tokenizer) -> None:
        read.post_processor = TemplateProcessing(
            single="[CLS] $A", special_tokens=[("[CLS]", read.token_to_id("[CLS]"))]
        )

    with pytest.raises(NoTokenizer, match=r"does not put \[CLS\] before and \[SEP\] after"):
        check_tokenizer(saved(tmp_path, without_end), rows=ROWS, padded=False)


def test_padding_before_the_sentence_is_refused(tmp_path: Path) -> None:
    wrong = saved(tmp_path, lambda read: read.enable_padding(direction="left"))
    with pytest.raises(NoTokenizer, match="pads before the sentence"):
        check_tokenizer(wrong, rows=ROWS, padded=False)


def test_numbers_with_holes_are_refused(tmp_path: Path) -> None:
    stored = json.loads(tokenizer_json(folder(tmp_path, WORDS)))
    stored["model"]["vocab"]["word93"] = 50_000
    (tmp_path / "tokenizer.json").write_text(json.dumps(stored))
    with pytest.raises(NoTokenizer, match="numbers that no word has"):
        check_tokenizer(tmp_path, rows=ROWS, padded=False)


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_in_a_tokenizer_s_folder_is_neither_run_nor_asked_about(
    tmp_path: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object) -> str:
        pytest.fail("the user was asked")

    monkeypatch.setattr("builtins.input", asked)
    classes = {"AutoConfig": "evil.C", "AutoTokenizer": ["evil.C", "evil.C"]}
    (tmp_path / file).write_text(json.dumps({"model_type": "evil", "auto_map": classes}))
    (tmp_path / "evil.py").write_text(EVIL)
    check_tokenizer(folder(tmp_path, WORDS), rows=ROWS, padded=False)
    assert not (tmp_path / "ran").exists()
