"""The two stages of the demo model's run: crops through the whole tower, then whole canvases.

A stage's model is written to WORK/STAGE/model.pt when it is done, and a stage that is done is not
run again; one that was killed goes on at its last checkpoint.
"""

from collections.abc import Callable
from pathlib import Path

import lightning
import torch
from torch import Tensor

from model_store.text import Tokenizer
from training.config import StageConfig
from training.data.canvas_set import CanvasSet
from training.data.crops import Batch, CropDataset
from training.data.crops import collate as collate_crops
from training.data.facts import Facts, truth
from training.data.whole import VIEWS, BreastBatch, BreastDataset, Features, collate_breasts
from training.demo_config import DemoConfig, WholeConfig
from training.losses import Truth, clip_loss, mammo_clip_loss
from training.models.clip import Clip
from training.models.cut import freeze_lower, upper
from training.models.image_encoder import standardise
from training.models.text_encoder import minilm_path
from training.progress import Say
from training.run import Report
from training.stage import Collate, EpochData, SentenceVectors, Stage, train_stage

CROPS, WHOLE = "crops", "whole"


class CropStage(Stage):
    """Crops with sentences; every sentence that is true of a crop is its positive."""

    def __init__(self, model: Clip, stage: StageConfig, *, sentences: SentenceVectors) -> None:
        super().__init__(model, stage, sentences=sentences)
        model.image.freeze_early()

    def training_step(self, batch: Batch, index: int) -> Tensor:  # noqa: ARG002  Lightning's
        """Loss of one batch."""
        tower = self.model.image
        images = standardise(batch.images.float(), low=batch.low, high=batch.high)
        images = images.to(memory_format=torch.channels_last)
        return clip_loss(
            tower.head(tower.trunk(images)).embedding,
            self.embed_texts(batch.texts),
            logit_scale=self.model.logit_scale,
            true=torch.from_numpy(truth(batch.facts, batch.claims)),
        )


class WholeStage(Stage):
    """Both views of a breast above the cut, by Mammo-CLIP's loss with what is true as positives."""

    def __init__(self, model: Clip, stage: WholeConfig, *, sentences: SentenceVectors) -> None:
        super().__init__(model, stage, sentences=sentences)
        self._whole = stage
        freeze_lower(model.image, stage.cut)

    def training_step(self, batch: BreastBatch, index: int) -> Tensor:  # noqa: ARG002  Lightning's
        """Mean of the loss over the rounds of sentences, the last of which is about density."""
        lower = batch.images.float().to(memory_format=torch.channels_last)
        embedded = upper(self.model.image, lower, self._whole.cut).embedding
        images = embedded.unflatten(0, (VIEWS, -1))  # (2, N, D)
        claims = batch.claims
        texts = self.embed_texts(batch.texts).unflatten(0, claims.shape[:3])  # (2, R, N, D)
        losses = [
            mammo_clip_loss(
                *images,
                *texts[:, r],
                logit_scale=self.model.logit_scale,
                image_image=self._whole.image_image,
                text_text=self._whole.text_text,
                true=truths(batch.facts, claims[:, r]),
            )
            for r in range(claims.shape[1])
        ]
        weights = torch.ones(len(losses))
        weights[-1] = self._whole.density
        return (torch.stack(losses) * weights).sum() / weights.sum()


def truths(facts: Facts, claims: Facts) -> Truth:
    """(2, N, F) facts of views, (2, N, F) claims of sentences -> which sentence is true of which.

    Two sentences say the same where they claim the same.
    """
    tables = [truth(view, said) for said in claims for view in facts]
    same = (claims[0][:, None] == claims[1][None]).all(axis=2)
    return Truth(*(torch.from_numpy(table) for table in (*tables, same)))


def train_crops(
    model: Clip, config: DemoConfig, *, canvases: CanvasSet, work: Path, say: Say
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

    def stage(sentences: SentenceVectors) -> Stage:
        return CropStage(model, crops, sentences=sentences)

    model.image.to(memory_format=torch.channels_last)
    _run(model, config, stage, data=(data, collate_crops), folder=work / CROPS, say=say)


def train_whole(
    model: Clip,
    config: DemoConfig,
    *,
    canvases: CanvasSet,
    features: Features,
    work: Path,
    say: Say,
) -> None:
    """Second stage, in place, on the (V, C, h, w) that the tower makes below the cut."""
    whole = config.whole

    def data(epoch: int) -> BreastDataset:
        return BreastDataset(
            canvases.records,
            features,
            length=whole.steps * whole.batch,
            captions=whole.captions,
            seed=[config.seed, 2, epoch],
        )

    def stage(sentences: SentenceVectors) -> Stage:
        return WholeStage(model, whole, sentences=sentences)

    _run(model, config, stage, data=(data, collate_breasts), folder=work / WHOLE, say=say)


def _run(
    model: Clip,
    config: DemoConfig,
    make: Callable[[SentenceVectors], Stage],
    *,
    data: tuple[EpochData, Collate],
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
    stage = make(SentenceVectors(model, tokenizer))
    settings = config.crops if folder.name == CROPS else config.whole
    train_stage(
        stage,
        settings,
        data=data[0],
        collate=data[1],
        folder=folder,
        report=Report(say, name=folder.name),
    )
    torch.save(model.state_dict(), done)
