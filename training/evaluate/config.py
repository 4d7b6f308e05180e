"""What an evaluation does and how long it takes: frozen, typed; two presets.

"quick" ends in minutes on two cores; "paper" is the published protocol (facts of the Mammo-CLIP
repository: classifiers 30 epochs, batch 8, learning rate 5e-5; RetinaNet at 512 x 512, 120 epochs,
batch 7, detections above 0.2) and wants a GPU.
"""

from typing import Literal

from pydantic import Field

from model_store.manifest import Frozen
from training.evaluate.metrics import RESAMPLES

Fractions = tuple[float, ...]


class ProbeConfig(Frozen):
    """Logistic regression on mean features."""

    targets: tuple[str, ...] = ("mass", "suspicious calcification", "malignancy", "density")
    fractions: Fractions = (0.1, 0.5, 1.0)
    draws: int = Field(default=5, ge=1, description="subsets of the patients below 100 %")
    strengths: tuple[float, ...] = Field(
        default=(1e-4, 1e-3, 1e-2, 1e-1, 1.0), description="C; the best on validation is taken"
    )


class LearnConfig(Frozen):
    """What fine-tuning and detection share. Sizes in pixels; limits in images, None = all."""

    epochs: int = Field(ge=1)
    batch: int = Field(ge=1)
    learning_rate: float = Field(gt=0, description="of the tower")
    head_learning_rate: float = Field(gt=0, description="of layers that start from nothing")
    weight_decay: float = Field(default=1e-4, ge=0)
    warmup: float = Field(default=0.1, ge=0, lt=1, description="share of all steps")
    fractions: Fractions = (0.1, 0.5, 1.0)
    augment: bool = True
    workers: int = Field(default=0, ge=0, description="processes that load images")
    max_train: int | None = None
    max_validation: int | None = None
    max_test: int | None = None


class FinetuneConfig(LearnConfig):
    """A classifier on the whole tower."""

    targets: tuple[str, ...] = ("mass", "suspicious calcification", "malignancy", "density")
    height_px: int = Field(ge=32)
    width_px: int = Field(ge=32)


class DetectConfig(LearnConfig):
    """RetinaNet on the tower, one detector a finding."""

    targets: tuple[str, ...] = ("mass", "suspicious calcification")
    size_px: int = Field(multiple_of=32)
    modes: tuple[Literal["frozen", "fine-tuned"], ...] = ("frozen", "fine-tuned")
    frozen_fractions: Fractions = (1.0,)
    train_on: Literal["positive", "all"] = Field(
        default="positive", description="the published detector saw images with the finding alone"
    )
    score_threshold: float = Field(default=0.05, ge=0, lt=1)
    nms: float = Field(default=0.5, gt=0, lt=1)


class EvaluateConfig(Frozen):
    """A whole evaluation."""

    seed: int = 10
    resamples: int = Field(default=RESAMPLES, ge=1)
    probe: ProbeConfig = ProbeConfig()
    finetune: FinetuneConfig
    detect: DetectConfig
    retrieval_pool: int | None = Field(default=1000, ge=2, description="reports; None = all")
    localise_images: int | None = Field(default=400, ge=1, description="looked at; None = all")
    overlays: int = Field(default=6, ge=0, description="images drawn with their boxes")


QUICK = EvaluateConfig(
    finetune=FinetuneConfig(
        epochs=2,
        batch=8,
        learning_rate=1e-4,
        head_learning_rate=3e-3,
        height_px=384,
        width_px=224,
        max_train=240,
        max_validation=120,
        max_test=400,
    ),
    detect=DetectConfig(
        epochs=4,
        batch=4,
        learning_rate=1e-4,
        head_learning_rate=1e-3,
        fractions=(1.0,),
        size_px=256,
        max_train=160,
        max_test=400,
    ),
)
PAPER = EvaluateConfig(
    finetune=FinetuneConfig(
        epochs=30,
        batch=8,
        learning_rate=5e-5,
        head_learning_rate=5e-5,
        height_px=1520,
        width_px=912,
        workers=8,
    ),
    detect=DetectConfig(
        epochs=120,
        batch=7,
        learning_rate=5e-5,
        head_learning_rate=5e-5,
        size_px=512,
        score_threshold=0.2,
        workers=8,
    ),
    retrieval_pool=None,
    localise_images=None,
)
PRESETS = {"quick": QUICK, "paper": PAPER}
