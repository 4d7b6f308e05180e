"""A checkpoint file -> a version that the service loads, checked against torch on the way."""

import re
import resource
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from model_store.manifest import NAME, Licence, Manifest
from model_store.prompts import PromptSet, read_prompt_set
from model_store.store import AlreadyPublished, ModelStore, ModelVersion, sha256_of
from training.checkpoint.licences import licence_of, serving_note
from training.checkpoint.own import Own
from training.checkpoint.recognise import Checkpoint, open_checkpoint
from training.checkpoint.staging import staging_in
from training.checkpoint.tokenizers_of import check_tokenizer, fetch_tokenizer
from training.manifests import draft, seal, tools
from training.models.clip import Clip
from training.progress import Say
from training.version_files import next_version, write_files

KIB = 1024
UNNUMBERED = "0"
TRIES = 10
CARD = """# {name}/{version}

**{description}**

Imported by `mammoserve-train import` from `{file}` (sha256 {digest}).
Image tower {tower}, text tower {text}, embeddings of {size} numbers, canvases of {canvas} px.
Torch and ONNX differ by {parity:.1e} on the golden inputs.
Not calibrated and not measured:
`mammoserve-train evaluate all --model {name}/{version} --store STORE --accept-licence {name}` does.
Prompts are the set `{prompts}`; those behind published zero-shot figures were never published.
Research use only, not for diagnosis.

## Licence

{licence}: {terms}
"""


def import_checkpoint(
    path: Path,
    *,
    name: str,
    tokenizer: Path | None,
    prompts: str,
    store: ModelStore,
    licence: Licence | None,
    say: Say,
) -> ModelVersion:
    """Publish the file's model as the next version of `name`.

    `tokenizer`: folder with tokenizer.json or vocab.txt; None asks the model hub. `licence`: None
    takes the family's; `serving` of a given one is the importer's word that opens it. Raises
    CheckpointError, ParityError, StoreError, OSError, and ValueError for an unknown prompt set or a
    name that is none; nothing is left of an import that fails.
    """
    started = time.monotonic()
    if not re.fullmatch(NAME, name):
        raise ValueError(
            f"expected a name of a model, such as mammo-clip-b5 ({NAME}), got {name!r}"
        )
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    asked = read_prompt_set(prompts)
    tell = _clocked(say, started)
    with staging_in(store.root) as staging:
        tell(f"reading {path.name}")
        found = open_checkpoint(path)
        model = found.build(_tokenizer(found, tokenizer))
        tell(f"{found.family}, image tower {model.image.name}, every tensor is in its place")
        parity = write_files(model, staging, recipe=found.recipe, prompts=asked)
        tell(f"exported; torch and ONNX differ by {parity:.1e}")
        terms = licence_of(found.family, licence)
        manifest = _manifest(model, found, asked, name=name, licence=terms)
        card = partial(_card, model=model, found=found, prompts=prompts, parity=parity)
        made = publish_next(store, staging, manifest, card=card)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB
    tell(f"published; peak memory {peak / 1e9:.1f} GB")
    return made


def publish_next(
    store: ModelStore, staging: Path, manifest: Manifest, *, card: Callable[[Manifest], str]
) -> ModelVersion:
    """Under the number after the newest; the next one where another import was faster."""
    for tries_left in reversed(range(TRIES)):
        version = next_version(store.versions(manifest.name))
        numbered = manifest.model_copy(update={"version": version})
        seal(staging, numbered, card=card(numbered))
        try:
            return store.publish(staging)
        except AlreadyPublished:
            if not tries_left:
                raise
    raise AssertionError(TRIES)


def _tokenizer(found: Checkpoint, given: Path | None) -> Path | None:
    """Folder of the tokenizer, checked; None where the checkpoint has its own."""
    if isinstance(found, Own):
        return given
    folder = given or fetch_tokenizer(found.family)
    check_tokenizer(folder, rows=found.vocabulary, padded=found.family == "mammo-fm")
    return folder


def _manifest(
    model: Clip, found: Checkpoint, prompts: PromptSet, *, name: str, licence: Licence
) -> Manifest:
    manifest = draft(
        model,
        name=name,
        version=UNNUMBERED,
        description=f"{found.family} imported from {found.path.name}. Research use only.",
        licence=licence,
        recipe=found.recipe,
        prompts=prompts,
        family=found.family,
    )
    made_by = {
        "command": "mammoserve-train import",
        "checkpoint": found.path.name,
        "checkpoint_sha256": sha256_of(found.path),
        **found.note,
        **serving_note(found.family, licence),
        **tools(),
    }
    return manifest.model_copy(update={"made_by": manifest.made_by | made_by})


def _card(
    manifest: Manifest, model: Clip, found: Checkpoint, *, prompts: str, parity: float
) -> str:
    return CARD.format(
        name=manifest.name,
        version=manifest.version,
        description=manifest.description,
        file=found.path.name,
        digest=manifest.made_by["checkpoint_sha256"],
        tower=model.image.name,
        text=type(getattr(model.text.base, "net", model.text.base)).__name__,
        size=manifest.embedding_size,
        canvas=f"{manifest.recipe.height_px} x {manifest.recipe.width_px}",
        parity=parity,
        prompts=prompts,
        licence=manifest.licence.name,
        terms=manifest.licence.terms,
    )


def _clocked(say: Say, started: float) -> Callable[[str], None]:
    def tell(line: str) -> None:
        say(f"import: {line}, {time.monotonic() - started:.0f} s")

    return tell
