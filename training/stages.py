"""The two stages of a run, wired: canvases -> trained model.

A stage's model is written to WORK/STAGE/model.pt when it is done, and a stage that is done is not
run again.
"""

from pathlib import Path

import lightning
import numpy as np
import torch
from numpy.typing import NDArray

from model_store.text import Tokenizer
from training.config import StageConfig, TrainConfig
from training.data.canvases import CanvasSet
from training.data.dataset import CropDataset, FeatureDataset
from training.models.clip import Clip
from training.models.text_encoder import minilm_path
from training.progress import Say
from training.run import Report
from training.stage import ContrastiveStage, EpochData, SentenceVectors, train_stage

CROPS, WHOLE = "crops", "whole"


def train_crops(
    model: Clip, config: TrainConfig, *, canvases: CanvasSet, work: Path, say: Say
) -> None:
    """First stage, in place."""
    crops = config.crops

    def data(epoch: int) -> CropDataset:
        return CropDataset(
            canvases,
            size_px=crops.size_px,
            length=crops.steps * crops.batch,
            seed=[config.seed, 1, epoch],
        )

    model.image.to(memory_format=torch.channels_last)
    _run(model, config, stage=crops, data=data, folder=work / CROPS, say=say)


def train_whole(
    model: Clip,
    config: TrainConfig,
    *,
    canvases: CanvasSet,
    features: NDArray[np.float16],
    work: Path,
    say: Say,
) -> None:
    """Second stage, in place, on the trunk features (V, 320, h, w) of every canvas."""
    whole = config.whole

    def data(epoch: int) -> FeatureDataset:
        return FeatureDataset(
            canvases.views,
            features,
            length=whole.steps * whole.batch,
            seed=[config.seed, 2, epoch],
        )

    _run(model, config, stage=whole, data=data, folder=work / WHOLE, say=say)


def _run(
    model: Clip,
    config: TrainConfig,
    *,
    stage: StageConfig,
    data: EpochData,
    folder: Path,
    say: Say,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "model.pt"
    if done.exists():
        model.load_state_dict(torch.load(done, weights_only=True), strict=True)
        say(f"{folder.name}: done before, {done} loaded")
        return
    lightning.seed_everything(config.seed, verbose=False)
    tokenizer = Tokenizer.from_file(
        minilm_path() / "tokenizer.json", max_tokens=config.model.text_max_tokens
    )
    module = ContrastiveStage(
        model,
        stage,
        sentences=SentenceVectors(model, tokenizer),
        whole=folder.name == WHOLE,
    )
    train_stage(module, stage, data=data, folder=folder, report=Report(say, name=folder.name))
    torch.save(model.state_dict(), done)
