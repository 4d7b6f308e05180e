"""A pretraining run that is done -> a version that the service loads."""

import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

import torch

from model_store.manifest import Licence, Manifest
from model_store.prompts import PromptSet, read_prompt_set
from model_store.store import ModelStore, ModelVersion
from training.config import PretrainConfig
from training.manifests import SPLIT_SEED_NOTE, TRAINED_ON, draft, seal, tools
from training.models.clip import Clip
from training.pretrain import MODEL, RUN, Outcome, outcome_of
from training.progress import Say
from training.version_files import next_version, write_files

CARD = """# {name}/{version}

**{description}**

Mammo-CLIP, image tower {tower} ({pooling} pooling), pretrained by `mammoserve-train pretrain` on:
{data}.
{steps} steps over {pairs} pairs an epoch, loss at the end {loss:.4f}.
Torch and ONNX differ by {parity:.1e}.
Not calibrated and not measured: `mammoserve-train evaluate all --model {name}/{version}` does that.
Research use only, not for diagnosis.

## Licence

{licence}: {terms}
"""


class RunNotDone(ValueError):
    """The folder holds no finished run."""

    def __init__(self, work: Path) -> None:
        super().__init__(
            f"{work} holds no {RUN} and {MODEL}: let `mammoserve-train pretrain` end there first"
        )


def publish_run(
    config: PretrainConfig,
    *,
    work: Path,
    store: ModelStore,
    licence: Licence,
    prompts: str,
    half_weights: bool,
    say: Say,
) -> ModelVersion:
    """Export, check and publish as the next version of `config.name`.

    `prompts` names a prompt set. Raises RunNotDone, AnotherRun where the run was made with another
    configuration, ParityError, ValueError for an unknown prompt set, and StoreError.
    """
    outcome = outcome_of(config, work=work)
    if outcome is None or not (work / MODEL).exists():
        raise RunNotDone(work)
    version = next_version(store.versions(config.name))
    model = Clip(config.model)
    model.text.base.load()
    weights = torch.load(work / MODEL, map_location="cpu", weights_only=True)
    model.load_state_dict(weights, strict=True)
    asked = read_prompt_set(prompts)
    staging = Path(tempfile.mkdtemp(prefix="version-", dir=work))
    try:
        parity = write_files(
            model, staging, recipe=config.recipe, prompts=asked, half_weights=half_weights
        )
        say(f"export: torch and ONNX differ by {parity:.1e}")
        manifest = _manifest(model, config, asked, version=version, licence=licence)
        seal(staging, manifest, card=_card(manifest, config, outcome, parity=parity))
        return store.publish(staging)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _manifest(
    model: Clip, config: PretrainConfig, prompts: PromptSet, *, version: str, licence: Licence
) -> Manifest:
    manifest = draft(
        model,
        name=config.name,
        version=version,
        description="Mammo-CLIP pretrained with mammoserve. Research use only.",
        licence=licence,
        recipe=config.recipe,
        prompts=prompts,
    )
    made_by = {
        "command": "mammoserve-train pretrain",
        "config_digest": config.run_digest,
        "seed": config.seed,
        SPLIT_SEED_NOTE: config.split_seed,
        TRAINED_ON: ", ".join(sorted({source.kind for source in config.data})),
        **tools(),
    }
    return manifest.model_copy(update={"made_by": manifest.made_by | made_by})


def _card(manifest: Manifest, config: PretrainConfig, outcome: Outcome, *, parity: float) -> str:
    return CARD.format(
        **asdict(outcome),
        name=manifest.name,
        version=manifest.version,
        description=manifest.description,
        tower=config.model.image,
        pooling=config.model.pooling,
        data=", ".join(f"{source.set_name} ({source.kind})" for source in config.data),
        parity=parity,
        licence=manifest.licence.name,
        terms=manifest.licence.terms,
    )
