"""Files of exactly the published form, with weights drawn from a rule.

Published weights may not be passed on. Here tensor NAME is drawn from PCG64 seeded with
crc32(NAME); BatchNorm's statistics are measured ones (tests/data/parity), without which activations
fade to nothing and any tower looks right. What the authors' own code computes with these weights
lies beside them.
"""

import json
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import Tensor
from transformers import BertConfig, BertModel

DATA = Path(__file__).parents[2] / "data" / "parity"
TEMPERATURE = 0.07
NAMES = {"b5": "tf_efficientnet_b5_ns-detect", "b2": "tf_efficientnetv2-detect"}
WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "no",
    "mass",
    "suspicious",
    "there",
    "is",
    "a",
]
SMALL_CANVAS = (96, 64)


def draw(name: str, shape: list[int]) -> Tensor:
    """Always the same for the same name: He-normal convolutions, else normal(0, 0.02)."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    values = rng.standard_normal(shape, dtype=np.float32)
    if len(shape) == 4:
        fan = shape[2] * shape[3] * (1 if "_depthwise_conv" in name else shape[0])
        return torch.from_numpy(values * np.float32(np.sqrt(2.0 / fan)))
    values = np.asarray(values * np.float32(0.02))
    if name.endswith("LayerNorm.weight"):
        values += 1
    return torch.from_numpy(values)


def whole_state(which: str) -> dict[str, Tensor]:
    """Every tensor of the published file."""
    shapes = json.loads((DATA / f"names_{which}.json").read_text())
    statistics = np.load(DATA / f"batchnorm_{which}.npz")
    state = {}
    for name, (shape, dtype) in shapes.items():
        if name in statistics:
            state[name] = torch.from_numpy(np.array(statistics[name]))
        elif name == "logit_scale":
            state[name] = torch.tensor(np.float32(np.log(1 / TEMPERATURE)))
        elif dtype == "int64":
            state[name] = torch.zeros(shape, dtype=torch.int64)
        else:
            state[name] = draw(name, shape)
    return state


@cache
def small_state() -> dict[str, Tensor]:
    """The B2 tower with a text tower of two narrow layers; not to be changed in place."""
    kept = ("image_encoder.", "image_projection.", "logit_scale")
    state = {
        name: _mild(name, tensor)
        for name, tensor in whole_state("b2").items()
        if name.startswith(kept)
    }
    torch.manual_seed(0)
    base = BertModel(
        BertConfig(
            vocab_size=len(WORDS),
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=1,
            intermediate_size=96,
            max_position_embeddings=40,
        )
    )
    state |= {f"text_encoder.text_encoder.{name}": t for name, t in base.state_dict().items()}
    for kind, shape in (("weight", [512, 64]), ("bias", [512])):
        name = f"text_projection.projection.{kind}"
        state[name] = draw(name, shape)
    return state


def _mild(name: str, tensor: Tensor) -> Tensor:
    """BatchNorm that changes nothing: on small canvases the measured one amplifies rounding.

    torch's float32 and float64 differ by 0.02 there.
    """
    if name.endswith(("running_mean", "bias")) and "_bn" in name:
        return torch.zeros_like(tensor)
    return torch.ones_like(tensor) if "_bn" in name and tensor.ndim else tensor


def checkpoint(
    state: dict[str, Tensor],
    *,
    which: str,
    canvas: tuple[int, int] = (1520, 912),
    max_tokens: int = 256,
) -> dict[str, Any]:
    """The whole dictionary, with the training state and the omegaconf list of published files."""
    return {
        "model": state,
        "optimizer": {"state": {}, "param_groups": [{"lr": 5e-5, "params": [0]}]},
        "scheduler": {"last_epoch": 7},
        "config": {
            "base": {
                "mean": 0.3089279,
                "std": 0.25053555408335154,
                "image_size_h": canvas[0],
                "image_size_w": canvas[1],
                "text_max_length": max_tokens,
            },
            "model": {
                "name": "clip_custom",
                "image_encoder": {"source": "cnn", "name": NAMES[which]},
                "text_encoder": {
                    "name": "emilyalsentzer/Bio_ClinicalBERT",
                    "pooling": "eos",
                    "cache_dir": "/ocean/projects/somewhere/huggingface",
                },
                "projection_head": {"name": "linear", "dropout": 0.1, "proj_dim": 512},
            },
            "transform": {"train": {"affine_scale": OmegaConf.create([0.8, 1.2])}},
        },
        "epoch": 7,
        "train_loss": np.float64(1.234),
    }


def small_checkpoint(state: dict[str, Tensor]) -> dict[str, Any]:
    """With a small state, for a canvas of 96 x 64 px."""
    return checkpoint(state, which="b2", canvas=SMALL_CANVAS, max_tokens=32)


def small_tokenizer(folder: Path) -> Path:
    """A vocab.txt alone, as Bio_ClinicalBERT is published."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return folder
