"""Mammo-CLIP's pretraining at its published size on a GPU: images a second, memory, first losses.

`python -m bench pretraining:b5`, or b2. Breasts of phantoms, towers with drawn weights (the text
tower as large as Bio_ClinicalBERT), no dropout, so that the precisions may be compared. Each row is
a process of its own: "fed" is given one batch over and over, "loop" draws and augments its own.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import transformers

import model_store
from bench.child import answer_of
from bench.rows import Row
from model_store.cores import usable_cores
from model_store.manifest import Recipe
from training.config import PretrainConfig
from training.data.phantom.rules import STANDARD
from training.data.phantom_canvases import Series, collect_canvases

SERIES, STUDIES = 9, 8
LIMIT_S = 240
PAIRS = 8
"""A pass of the published configuration: 16 images."""
RUNS = tuple(
    (precision, checkpointing, fed)
    for fed in (True, False)
    for precision in ("32", "bf16-mixed", "16-mixed")
    for checkpointing in (False, True)
    if fed or (precision != "32" and checkpointing)
)


def run(argument: str = "b5") -> Iterator[Row]:
    """Every precision with and without checkpointing of gradients."""
    torch.manual_seed(1)
    with TemporaryDirectory() as name:
        folder = Path(name)
        _text_base(folder / "bert")
        recipe = Recipe(height_px=1520, width_px=912)
        collect_canvases(
            Series(SERIES, STANDARD, recipe),
            STUDIES,
            root=folder,
            processes=usable_cores(),
            say=_tell,
        )
        (canvases,) = folder.glob("phantoms*")
        for number, (precision, checkpointing, fed) in enumerate(RUNS):
            config = _config(argument, folder, canvases, precision, checkpointing=checkpointing)
            title = f"{argument}, {PAIRS} pairs, {precision}"
            title += f"{', checkpointing' if checkpointing else ''}, {'fed' if fed else 'loop'}"
            yield _row(title, config, folder / str(number), fed=fed)


def _config(
    tower: str, folder: Path, canvases: Path, precision: str, *, checkpointing: bool
) -> PretrainConfig:
    return PretrainConfig.model_validate(
        {
            "name": "bench",
            "model": {
                "image": tower,
                "image_weights": "none",
                "pooling": "mean",
                "frozen_statistics": False,
                "text": str(folder / "bert"),
                "text_max_tokens": 256,
                "embedding_size": 512,
            },
            "data": ({"kind": "canvases", "table": str(canvases), "texts": "reports"},),
            "epochs": 1,
            "batch": PAIRS,
            "learning_rate": 5e-5,
            "precision": precision,
            "checkpointing": checkpointing,
            "workers": min(16, usable_cores()),
        }
    )


def _text_base(folder: Path) -> None:
    """BERT base with drawn weights and the demo model's tokenizer."""
    transformers.BertModel(transformers.BertConfig()).save_pretrained(folder)
    models = Path(model_store.__file__).parent / "models"
    tokenizer = sorted(models.glob("mammo-demo/*/tokenizer.json"))[-1]
    (folder / "tokenizer.json").write_bytes(tokenizer.read_bytes())


def _row(title: str, config: PretrainConfig, work: Path, *, fed: bool) -> Row:
    work.mkdir()
    answer = _answer(config, work, fed=fed)
    if "failed" in answer:
        row = Row(title, float("nan"), "images/s", "", answer["failed"])
    else:
        losses = " ".join(f"{loss:.4f}" for loss in answer["losses"])
        note = f"peak {answer['peak_bytes'] / 1e9:.1f} GB; losses {losses}"
        row = Row(title, answer["rate"], "images/s", "", note)
    _tell(f"{row.name}: {row.value:.4g} {row.unit}, {row.note}")
    return row


def _answer(config: PretrainConfig, work: Path, *, fed: bool) -> dict[str, Any]:
    return answer_of(
        "bench.pretraining_child",
        str(work),
        "fed" if fed else "loop",
        given=config.model_dump_json(),
        limit_s=LIMIT_S,
    )


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
