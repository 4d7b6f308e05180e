"""The manifest and the card of a version that training publishes."""

from importlib.metadata import version as package_version
from pathlib import Path

from model_store.cores import usable_cores
from model_store.manifest import FACTOR, FILES, Licence, Manifest
from model_store.prompts import PromptSet
from model_store.store import MANIFEST, sha256_of
from training.card import model_card
from training.data.phantom.study import GENERATOR
from training.demo_config import DemoConfig
from training.export import tensor_specs
from training.models.clip import Clip
from training.models.from_version import tower_note

COMMAND = "mammoserve-train demo"
UNKNOWN_DIGEST = "0" * 64
STRIDE = 32
LICENCE = Licence(
    name="Apache-2.0",
    terms="Towers start from EfficientNet-Lite0 (Google) and all-MiniLM-L6-v2 "
    "(sentence-transformers), both Apache-2.0: see NOTICE. Not for diagnosis.",
)


def draft_manifest(config: DemoConfig, prompts: PromptSet, *, model: Clip) -> Manifest:
    """All but digests, calibration, figures and costs."""
    specs = tensor_specs(
        config.recipe,
        embedding_size=config.model.embedding_size,
        channels=model.image.channels,
        stride=STRIDE,
    )
    return Manifest.model_validate(
        {
            "name": config.name,
            "version": config.version,
            "family": "mammo-clip",
            "description": "Demonstration model made on synthetic images. Of no diagnostic value.",
            "licence": LICENCE,
            "recipe": config.recipe,
            **specs,
            "embedding_size": config.model.embedding_size,
            "text_max_tokens": config.model.text_max_tokens,
            "logit_scale": float(model.logit_scale.detach()),
            "findings": prompts.findings,
            "default_negative": prompts.default_negative,
            "files": dict.fromkeys(FILES, UNKNOWN_DIGEST),
            "made_by": tower_note(model.image),
        }
    )


def write_version(
    staging: Path, manifest: Manifest, *, config: DemoConfig, made: dict[str, float]
) -> None:
    """MODEL_CARD.md and manifest.json beside the graphs: the directory is ready to publish."""
    described = manifest.model_copy(
        update={"made_by": {**manifest.made_by, **_made_by(config), **made}}
    )
    (staging / "MODEL_CARD.md").write_text(model_card(described), encoding="utf-8")
    names = (*FILES, FACTOR) if manifest.factor else FILES
    digests = {name: sha256_of(staging / name) for name in names}
    final = Manifest.model_validate(described.model_dump() | {"files": digests})
    (staging / MANIFEST).write_text(final.model_dump_json(indent=1), encoding="utf-8")


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
        "torch": package_version("torch"),
        "onnxruntime": package_version("onnxruntime"),
    }
