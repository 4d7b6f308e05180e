"""manifest.json of a version that was trained here, and the files that are sealed by it."""

from importlib.metadata import version as package_version
from pathlib import Path

import onnxruntime

from model_store.manifest import FACTOR, FILES, Licence, Manifest, Recipe
from model_store.prompts import PromptSet
from model_store.store import MANIFEST, sha256_of
from training.export import tensor_specs
from training.models.clip import Clip
from training.models.from_version import tower_note

UNKNOWN_DIGEST = "0" * 64
CARD = "MODEL_CARD.md"
SPLIT_SEED_NOTE, TRAINED_ON = "split_seed", "trained_on"
"""Keys of made_by: what cut the splits, so which patients are for testing; the kinds of data."""


def tools() -> dict[str, str]:
    """Versions for `made_by`. ONNX Runtime is asked itself: for GPUs its package is another."""
    return {"torch": package_version("torch"), "onnxruntime": onnxruntime.__version__}


def draft(
    model: Clip,
    *,
    name: str,
    version: str,
    description: str,
    licence: Licence,
    recipe: Recipe,
    prompts: PromptSet,
    family: str = "mammo-clip",
) -> Manifest:
    """All but digests, calibration, figures and costs."""
    size = model.image.project.out_features
    specs = tensor_specs(
        recipe, embedding_size=size, channels=model.image.channels, stride=model.image.stride
    )
    return Manifest.model_validate(
        {
            "name": name,
            "version": version,
            "family": family,
            "description": description,
            "licence": licence,
            "recipe": recipe,
            **specs,
            "embedding_size": size,
            "text_max_tokens": model.text.base.max_tokens,
            "logit_scale": float(model.logit_scale.detach()),
            "findings": prompts.findings,
            "default_negative": prompts.default_negative,
            "files": dict.fromkeys(FILES, UNKNOWN_DIGEST),
            "made_by": tower_note(model.image),
        }
    )


def seal(staging: Path, manifest: Manifest, *, card: str) -> None:
    """MODEL_CARD.md and manifest.json beside the graphs: the directory is ready to publish."""
    (staging / CARD).write_text(card, encoding="utf-8")
    names = (*FILES, FACTOR) if manifest.factor else FILES
    digests = {name: sha256_of(staging / name) for name in names}
    final = Manifest.model_validate(manifest.model_dump() | {"files": digests})
    (staging / MANIFEST).write_text(final.model_dump_json(indent=1), encoding="utf-8")
