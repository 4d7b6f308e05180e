"""Ids of a folder with a vocab.txt are those of transformers' slow BERT tokenizer.

That one is Python, close to the code that the published towers were trained with; ours is
tokenizer.json read by the tokenizers library, as it is served.
"""

import json
import random
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

from model_store.text import Tokenizer
from training.models.bert import CONFIG
from training.models.tokenizer_files import tokenizer_json

MAX_TOKENS = 48
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ASCII = [chr(code) for code in range(33, 127)]
SENTENCE = "no mass masses suspicious calcification left breast density heterogeneously there is a"
WORDS = SENTENCE.split()
PIECES = [f"##{one}" for one in ("es", "ly", "ification", "neous", "s", "ed", "é", "房", "😀", "ß")]
FOREIGN = [
    *"éÉàüñßẞİıſÅﬁΣςσёйж",
    *"乳房癌日本かが가각क्กาال",
    *"😀👩❤–—¿«µ±²Ⅷ\u0301",  # noqa: RUF001
]
SIMPLE = [
    "",
    " ",
    "\t\n\r",
    "No suspicious mass.",
    "BI-RADS 4B; 3.5x2.1 cm (12 o'clock)!",
    "[SEP]",
    "a [MASK] in the left breast[SEP]",
    "mass[UNK]mass[PAD][CLS]",
    "[sep] [ SEP ] [SEP",
    "MASSÉ massé masse\u0301",
    "a\u0301" * 60,
    "乳房X线摄影 右乳房癌",
    "日本語の文 か\u3099",
    "각 \u1100\u1161\u11a8",
    "\x00mass\x07\x1f no\x7f\x85mass",
    "mass\u200bmass\u200d\ufeffno\u00ad",
    "a\u00a0b\u2003c\u3000d\u2028e\u2029f\x0bg\x0ch\x1ci",
    "x" * 100,
    "x" * 101,
    "mass" * 26,
    "no mass " * 400,
    "no" * 5000,
    "👩‍⚕️ 😀mass❤️ 🇩🇪",
    "İstanbul ΑΣ ΑΣΑ ŉ ǅ",
    "\ufffd mass \ue000 mass",
]
OLD = unicodedata.ucd_3_2_0
SETTLED = [
    chr(code)
    for code in range(0x20000)
    if unicodedata.category(chr(code)) == OLD.category(chr(code)) not in ("Cn", "Cs")
]
"""Characters that were there in Unicode 3.2 and are today what they were.

The library's tables of punctuation, marks and controls are older than Python's: it splits off,
drops or keeps younger characters otherwise than the slow tokenizer does, whose answer changes from
one Python to the next too. No vocabulary of BERT's knows such characters.
"""


@dataclass(frozen=True)
class Pair:
    slow: BertTokenizerLegacy
    ours: Tokenizer

    def ids(self, text: str) -> tuple[list[int], list[int]]:
        expected = self.slow(text, truncation=True, max_length=MAX_TOKENS)["input_ids"]
        return expected, self.ours.encode([text])[0][0].tolist()


def made(folder: Path, *, lower: bool, configured: bool) -> Pair:
    """`configured`: with the files of a folder that says what it is; else a vocab.txt alone."""
    vocabulary = dict.fromkeys([*SPECIAL, *ASCII, *(f"##{c}" for c in ASCII), *WORDS, *PIECES])
    vocabulary |= dict.fromkeys([*FOREIGN, *(word.upper() for word in WORDS)])
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    if configured:
        says = {"tokenizer_class": "BertTokenizer", "do_lower_case": lower}
        (folder / "tokenizer_config.json").write_text(json.dumps(says))
        (folder / CONFIG).write_text('{"model_type": "bert"}')
    (folder / "tokenizer.json").write_text(tokenizer_json(folder), encoding="utf-8")
    return Pair(
        BertTokenizerLegacy(str(folder / "vocab.txt"), do_lower_case=lower),
        Tokenizer.from_file(folder / "tokenizer.json", max_tokens=MAX_TOKENS),
    )


@pytest.fixture(scope="module", params=["vocab.txt alone", "configured", "configured, cased"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    kind: str = request.param
    folder = tmp_path_factory.mktemp("bert")
    return made(folder, lower="cased" not in kind, configured="configured" in kind)


@pytest.mark.parametrize("text", SIMPLE, ids=ascii)
def test_ids_are_those_of_the_slow_tokenizer(pair: Pair, text: str) -> None:
    expected, got = pair.ids(text)
    assert got == expected


def test_ids_of_a_seeded_corpus_are_those_of_the_slow_tokenizer(pair: Pair) -> None:
    rng = random.Random(4)
    known = [*SPECIAL, *WORDS, *FOREIGN, *ASCII, *(piece[2:] for piece in PIECES)]
    unknown = 0
    for _ in range(1500):
        parts = rng.choices(known, k=rng.randint(1, 12)) + rng.choices(SETTLED, k=rng.randint(0, 2))
        rng.shuffle(parts)
        text = rng.choice(["", " "]).join(parts)
        expected, got = pair.ids(text)
        assert got == expected, ascii(text)
        unknown += expected.count(1)
    assert 1000 < unknown < 10_000  # words known and unknown were both met


@settings(max_examples=300, deadline=None)
@given(
    parts=st.lists(
        st.one_of(
            st.sampled_from([*SPECIAL, *WORDS, *FOREIGN, *ASCII, " ", "\n"]),
            st.text(st.sampled_from(SETTLED), max_size=8),
        ),
        max_size=60,
    )
)
def test_ids_of_any_text_are_those_of_the_slow_tokenizer(pair: Pair, parts: list[str]) -> None:
    expected, got = pair.ids("".join(parts))
    assert got == expected


def test_all_that_differs_is_younger_than_the_tokenizers_library_s_unicode_tables(
    pair: Pair,
) -> None:
    settled = frozenset(SETTLED)
    seen = [chr(code) for code in (*range(0x3200), *range(0xF900, 0x11000))]
    texts = {character: f"a{character}b" for character in seen if not is_surrogate(character)}
    differ = [one for one, text in texts.items() if not same(pair, text)]
    assert [ascii(one) for one in differ if one in settled] == []


def is_surrogate(character: str) -> bool:
    return unicodedata.category(character) == "Cs"


def same(pair: Pair, text: str) -> bool:
    expected, got = pair.ids(text)
    return got == expected


def test_a_lone_surrogate_is_refused(pair: Pair) -> None:
    with pytest.raises(TypeError, match="TextEncodeInput"):
        pair.ours.encode(["mass \ud800"])
