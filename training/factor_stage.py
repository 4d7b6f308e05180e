"""Mammo-FActOR for a version whose other files are there: choose images, learn, export, publish.

Needs image.onnx and text.onnx alone, so that it works for every version, an imported one too.
"""

import shutil
import tempfile
import time
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np

from model_store.golden import read_golden
from model_store.graphs import FEATURES
from model_store.manifest import FACTOR, FILES, Factor, Manifest
from model_store.runtime import ModelRuntime
from model_store.store import MANIFEST, ModelStore, ModelVersion, sha256_of
from training.data.canvas_set import CanvasSet
from training.evaluate.cases import image_truth
from training.factor import FactorConfig, train_factor
from training.factor_export import export_factor, factor_entry
from training.factor_features import cache_features
from training.factor_lessons import make_lessons
from training.factor_origin import measure_origin
from training.progress import Say

CARD = "MODEL_CARD.md"


def add_factor(
    version: ModelVersion, canvases: CanvasSet, config: FactorConfig, *, work: Path, say: Say
) -> Factor:
    """Learn on the canvases; factor.onnx and golden entries go to the version's own folder.

    Returns the manifest's entry. For a folder that is not published yet: see `publish_factor` for
    one that is. Killed and begun again it goes on from WORK. Raises ValueError where a head has
    nothing to learn from, UnknownFinding for a head the manifest has no finding for.
    """
    started = time.monotonic()
    runtime = _plain_runtime(version)
    chosen = choose_images(canvases, config.heads, count=config.images, seed=config.seed)
    features = cache_features(runtime, chosen, folder=work, say=say)
    origin = measure_origin(runtime, [chosen.canvas(record) for record in chosen.records])
    say(f"factor: cells are centred at ({origin[0]:.2f}, {origin[1]:.2f}) of a cell")
    lessons = make_lessons(
        runtime,
        [record.image for record in chosen.records],
        config.heads,
        sentences=config.captions,
        seed=config.seed,
        placed=config.placed,
    )
    mapper = train_factor(features, lessons, config, work=work / config.digest[:16], say=say)
    golden = runtime.run_images(read_golden(runtime.version).images, outputs=(FEATURES,))[FEATURES]
    difference = export_factor(mapper, version.path, features=golden)
    size = (version.path / FACTOR).stat().st_size / 1e6
    say(
        f"factor: {FACTOR} {size:.2f} MB, differs from torch by {difference:.1g}; "
        f"{time.monotonic() - started:.0f} s in all"
    )
    (spec,) = (spec for spec in version.manifest.image_outputs if spec.name == FEATURES)
    return factor_entry(
        spec,
        heads=config.heads,
        embedding_size=version.manifest.embedding_size,
        origin=origin,
        config=config,
    )


def _plain_runtime(version: ModelVersion) -> ModelRuntime:
    """The version without what it has of Mammo-FActOR."""
    files = _without(version.manifest.files, FACTOR)
    plain = version.manifest.model_copy(update={"factor": None, "files": files})
    return ModelRuntime.load(
        ModelVersion(version.path, plain),
        threads=0,
        verify=False,
        accept_licences=frozenset({plain.name}),  # learning on it is not serving it
    )


def choose_images(canvases: CanvasSet, heads: Sequence[str], *, count: int, seed: int) -> CanvasSet:
    """At most `count`: in turn one of each head's positives, and one that has none of them."""
    rng = np.random.default_rng([seed, 2])
    images = [record.image for record in canvases.records]
    has = np.array([[image_truth(image, head) is True for head in heads] for image in images])
    queues = [*(np.flatnonzero(column) for column in has.T), np.flatnonzero(~has.any(axis=1))]
    turns = zip_longest(*(rng.permutation(queue).tolist() for queue in queues))
    rows = dict.fromkeys(row for turn in turns for row in turn if row is not None)
    return CanvasSet(canvases.folder, tuple(canvases.records[row] for row in [*rows][:count]))


def publish_factor(
    store: ModelStore,
    version: ModelVersion,
    canvases: CanvasSet,
    config: FactorConfig,
    *,
    work: Path,
    say: Say,
) -> ModelVersion:
    """The same model with Mammo-FActOR, as its next version; the one given stays as it is."""
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="factor-", dir=work) as folder:
        staging = Path(folder)
        for name in FILES:
            shutil.copyfile(version.file(name), staging / name)
        entry = add_factor(
            ModelVersion(staging, version.manifest), canvases, config, work=work, say=say
        )
        _describe(staging, version, entry, config=config, store=store)
        return store.publish(staging)


def _describe(
    staging: Path, version: ModelVersion, entry: Factor, *, config: FactorConfig, store: ModelStore
) -> None:
    """manifest.json and the card of the next version."""
    number = str(int(store.versions(version.manifest.name)[-1]) + 1)
    with (staging / CARD).open("a", encoding="utf-8") as card:
        heads = ", ".join(entry.heads)
        card.write(
            f"\n## Mammo-FActOR\n\nAdded to {version.key}, whose other graphs are unchanged. "
            f"Heads: {heads}. Heat maps are of the {entry.top_channels} channels nearest to a "
            "sentence; they show where a sentence is grounded, not how sure the model is.\n"
        )
    made_by = version.manifest.made_by | {
        "factor_of": version.key,
        "factor_config_digest": config.digest,
        "factor_images": config.images,
    }
    manifest = version.manifest.model_dump() | {
        "version": number,
        "factor": entry.model_dump(),
        "made_by": made_by,
        "files": {name: sha256_of(staging / name) for name in (*FILES, FACTOR)},
    }
    final = Manifest.model_validate(manifest)
    (staging / MANIFEST).write_text(final.model_dump_json(indent=1), encoding="utf-8")


def _without(files: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in files.items() if key != name}
