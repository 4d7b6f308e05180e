"""A model's graphs, tokenizer and golden file in a folder, checked against torch.

The golden image is a phantom: no patient's pixels travel with a model.
"""

import tempfile
from pathlib import Path

import numpy as np

from model_store.manifest import Recipe
from model_store.prompts import PromptSet
from training.data.phantom.rules import STANDARD
from training.data.phantom_canvases import Series, make_views
from training.export import Golden, check_parity, export_towers, write_golden
from training.models.clip import Clip

GOLDEN_SERIES = 99
GOLDEN_FINDINGS = 4


def write_files(
    model: Clip, staging: Path, *, recipe: Recipe, prompts: PromptSet, half_weights: bool = False
) -> float:
    """Write them; the largest difference of an embedding from torch. Raises ParityError."""
    export_towers(model, staging, recipe=recipe, half_weights=half_weights)
    series = Series(GOLDEN_SERIES, STANDARD, recipe)
    with tempfile.TemporaryDirectory(dir=staging.parent) as folder:
        record = make_views(series, 0, folder=Path(folder))[0]
        canvas = np.load(Path(folder) / record.file)[None]
    sentences = tuple(finding.positive[0] for finding in prompts.findings[:GOLDEN_FINDINGS])
    golden = Golden(canvas, sentences)
    max_tokens = model.text.base.max_tokens
    parity = check_parity(model, staging, golden=golden, max_tokens=max_tokens)
    write_golden(staging, golden, max_tokens=max_tokens)
    return parity


def next_version(known: list[str]) -> str:
    """The number after the newest."""
    return str(int(known[-1]) + 1) if known else "1"
