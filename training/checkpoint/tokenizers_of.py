"""The tokenizer that goes with a checkpoint: a folder that is given, or fetched from a model hub.

A checkpoint names its tokenizer, but nothing that a file says is fetched: only the two repositories
below, which belong to the families.
"""

import json
from pathlib import Path

import tokenizers

from training.checkpoint.errors import CheckpointError
from training.models.tokenizer_files import tokenizer_json

REPOSITORIES = {
    "mammo-clip": ("emilyalsentzer/Bio_ClinicalBERT", ("vocab.txt",)),
    "mammo-fm": ("answerdotai/ModernBERT-base", ("tokenizer.json",)),
}
"""Family -> repository on the Hugging Face hub, and the files that are needed of it."""
SPARE = 512
BEGIN, END = "[CLS]", "[SEP]"
PUBLISHED_ROWS, PUBLISHED_PLACES = 28_996, (101, 102)
"""Of cased BERT and so of Bio_ClinicalBERT: a vocab.txt that lost or won a line is shifted."""


class NoTokenizer(CheckpointError):
    """None was given that fits, and none could be fetched."""


def fetch_tokenizer(family: str) -> Path:
    """Folder with the family's tokenizer, from the hub or its cache; NoTokenizer without either."""
    import huggingface_hub

    repository, files = REPOSITORIES[family]
    try:
        paths = [Path(huggingface_hub.hf_hub_download(repository, name)) for name in files]
    except Exception as error:  # of the hub's client, of HTTP, of the network: whatever it is
        listed = ", ".join(files)
        raise NoTokenizer(
            f"no --tokenizer was given, and the hub did not give one "
            f"({type(error).__name__}). Fetch {listed} of {repository} on a machine that reaches "
            f"huggingface.co, put it into a folder, and name the folder with --tokenizer"
        ) from error
    return paths[0].parent


def check_tokenizer(folder: Path, *, rows: int, padded: bool) -> None:
    """NoTokenizer unless it is whole and its words fit a table of `rows`.

    `padded`: the table may have up to SPARE rows more than there are words (ModernBERT's has).
    """
    try:
        read = tokenizers.Tokenizer.from_str(tokenizer_json(folder))
    except (OSError, ValueError, json.JSONDecodeError) as error:
        raise NoTokenizer(str(error)) from error
    except Exception as error:  # tokenizers raises nothing narrower
        raise NoTokenizer(f"the tokenizer in {folder} cannot be read: {error}") from error
    wrong = _wrong_words(read, rows=rows, padded=padded) or _wrong_frame(read, rows=rows)
    if wrong:
        raise NoTokenizer(
            f"the tokenizer in {folder} {wrong}: it is damaged, or belongs to another text model"
        )


def _wrong_words(read: tokenizers.Tokenizer, *, rows: int, padded: bool) -> str:
    """What is wrong with its words; "" for nothing."""
    ids = sorted(read.get_vocab(with_added_tokens=True).values())
    if not rows - SPARE * padded <= len(ids) <= rows:
        return f"knows {len(ids)} words, the checkpoint's table has {rows}"
    if ids != list(range(len(ids))):  # a word that stands twice leaves a hole
        return "has words twice or numbers that no word has"
    if not padded and read.get_vocab_size(with_added_tokens=False) < len(ids):
        return f"lacks one of {BEGIN}, {END} and their like among its words"
    return ""


def _wrong_frame(read: tokenizers.Tokenizer, *, rows: int) -> str:
    """What is wrong with the tokens around a sentence; "" for nothing."""
    tokens = read.encode("a").tokens
    if len(tokens) < len((BEGIN, END)) or (tokens[0], tokens[-1]) != (BEGIN, END):
        return f"does not put {BEGIN} before and {END} after a sentence"
    if (read.padding or {}).get("direction", "right") != "right":
        return "pads before the sentence, and its last token is what is pooled"
    places = tuple(read.token_to_id(token) for token in (BEGIN, END))
    if rows == PUBLISHED_ROWS and places != PUBLISHED_PLACES:
        return f"has {BEGIN} and {END} at {places} instead of {PUBLISHED_PLACES}"
    return ""
