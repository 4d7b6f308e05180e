"""Which kind of checkpoint a file is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.checkpoint import own, published
from training.checkpoint.errors import UnknownLayout
from training.checkpoint.reading import read_checkpoint

Checkpoint = published.Published | own.Own

OTHERS = (
    (
        "efficientnet._conv_stem.weight",
        "a RetinaNet detector: its tower pads otherwise and has no text tower, so it cannot answer "
        "sentences. Import the pretraining checkpoint that it was made from",
    ),
    (
        "classifier.weight",
        "a classifier fine-tuned for one finding: it has no text tower. Import the pretraining "
        "checkpoint that it was made from",
    ),
    (
        "img_encoder_q.",
        "a MaMA checkpoint: its towers (DINOv2 and BioMedLM) are not among those that are served",
    ),
    (
        "module.image_encoder.",
        "an image tower alone: sentences need a text tower that was trained with it",
    ),
)
"""Part of a tensor's name -> what the file is. Where people have asked why it does not load."""


def open_checkpoint(path: Path) -> Checkpoint:
    """Read and recognise. Raises CheckpointError, FileNotFoundError."""
    stored = read_checkpoint(path)
    found = published.recognise(path, stored) or own.recognise_own(path, stored)
    if found is None:
        raise UnknownLayout(path, _reason(stored))
    return found


def _reason(stored: Mapping[str, Any]) -> str:
    names = _tensor_names(stored)
    for mark, what in OTHERS:
        if any(mark in name for name in names):
            return f"this is {what}"
    shown = ", ".join(sorted(map(str, stored))[:8]) or "nothing"
    return (
        "expected a pretraining checkpoint of Mammo-CLIP or Mammo-FM (`model` with image_encoder, "
        "text_encoder and both projections) or of `mammoserve-train pretrain`, "
        f"got a dictionary of {shown}"
    )


def _tensor_names(stored: Mapping[str, Any]) -> list[str]:
    inner = [stored.get(key) for key in ("model", "state_dict")]
    return [str(name) for part in (stored, *inner) if isinstance(part, Mapping) for name in part]
