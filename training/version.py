"""The manifest and the card of a version that training publishes."""

from pathlib import Path

from model_store.cores import usable_cores
from model_store.manifest import Licence, Manifest
from model_store.prompts import PromptSet
from training.card import model_card
from training.data.phantom.study import GENERATOR
from training.demo_config import DemoConfig
from training.manifests import draft, seal, tools
from training.models.clip import Clip

COMMAND = "mammoserve-train demo"
LICENCE = Licence(
    name="Apache-2.0",
    terms="Towers start from EfficientNet-Lite0 (Google) and all-MiniLM-L6-v2 "
    "(sentence-transformers), both Apache-2.0: see NOTICE. Not for diagnosis.",
)


def draft_manifest(config: DemoConfig, prompts: PromptSet, *, model: Clip) -> Manifest:
    """All but digests, calibration, figures and costs."""
    return draft(
        model,
        name=config.name,
        version=config.version,
        description="Demonstration model made on synthetic images. Of no diagnostic value.",
        licence=LICENCE,
        recipe=config.recipe,
        prompts=prompts,
    )


def write_version(
    staging: Path, manifest: Manifest, *, config: DemoConfig, made: dict[str, float]
) -> None:
    """MODEL_CARD.md and manifest.json beside the graphs: the directory is ready to publish."""
    described = manifest.model_copy(
        update={"made_by": {**manifest.made_by, **_made_by(config), **made}}
    )
    seal(staging, described, card=model_card(described))


def _made_by(config: DemoConfig) -> dict[str, str | int | float | bool]:
    phantoms = config.phantoms
    return {
        "command": COMMAND,
        "config_digest": config.digest,
        "seed": config.seed,
        "train_seed": phantoms.train_seed,
        "train_studies": phantoms.train_studies,
        "train_images": 4 * phantoms.train_studies,
        "validation_studies": phantoms.validation_studies,
        "contrast": phantoms.contrast,
        "phantom_generator": GENERATOR,
        "text_layers": config.model.text_layers,
        "cores": config.threads or usable_cores(),
        **tools(),
    }
