"""A folder's tokenizer as tokenizer.json; older models have a vocab.txt alone. Nothing is fetched.

Knows nothing of text towers.
"""

import json
from pathlib import Path

import transformers

TOKENIZER, VOCABULARY = "tokenizer.json", "vocab.txt"


def tokenizer_json(folder: Path) -> str:
    """tokenizer.json as it is, or made of vocab.txt as transformers does.

    Words of a vocab.txt are lower-cased unless tokenizer_config.json says otherwise: that is what
    BERT's tokenizer does by default, and so what models with a vocab.txt alone were trained with.
    FileNotFoundError where the folder holds neither.
    """
    path = folder / TOKENIZER
    if path.is_file():
        return path.read_text(encoding="utf-8")
    if not (folder / VOCABULARY).is_file():
        raise FileNotFoundError(
            f"{folder} holds neither {TOKENIZER} nor {VOCABULARY}: expected one of them"
        )
    # By its class, not by AutoTokenizer: a folder could name code of its own that is to be run.
    fast = transformers.BertTokenizer.from_pretrained(folder, local_files_only=True)
    written = json.loads(fast.backend_tokenizer.to_str())
    return json.dumps(written, ensure_ascii=False)
