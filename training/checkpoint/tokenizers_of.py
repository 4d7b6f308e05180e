"""The tokenizer that goes with a checkpoint: a folder that is given, or fetched from a model hub.

A checkpoint names its tokenizer, but nothing that a file says is fetched: only the two repositories
below, which belong to the families.
"""

import json
from pathlib import Path

import huggingface_hub
import tokenizers

from training.checkpoint.errors import CheckpointError
from training.models.tokenizer_files import tokenizer_json

REPOSITORIES = {
    "mammo-clip": ("emilyalsentzer/Bio_ClinicalBERT", ("vocab.txt",)),
    "mammo-fm": ("answerdotai/ModernBERT-base", ("tokenizer.json",)),
}
"""Family -> repository on the Hugging Face hub, and the files that are needed of it."""
SPARE = 512
"""Rows that a table of words may have more than there are words: tables are padded."""


class NoTokenizer(CheckpointError):
    """None was given that fits, and none could be fetched."""


def fetch_tokenizer(family: str) -> Path:
    """Folder with the family's tokenizer, from the hub or its cache; NoTokenizer without either."""
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


def check_tokenizer(folder: Path, *, rows: int) -> None:
    """NoTokenizer unless its words fit a table of `rows`."""
    try:
        read = tokenizers.Tokenizer.from_str(tokenizer_json(folder))
    except (OSError, ValueError, json.JSONDecodeError) as error:
        raise NoTokenizer(str(error)) from error
    except Exception as error:  # tokenizers raises nothing narrower
        raise NoTokenizer(f"the tokenizer in {folder} cannot be read: {error}") from error
    words = read.get_vocab_size(with_added_tokens=True)
    if not rows - SPARE <= words <= rows:
        raise NoTokenizer(
            f"the tokenizer in {folder} knows {words} words, the checkpoint's table has {rows}: "
            "it belongs to another text model"
        )
