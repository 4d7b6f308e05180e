"""A published version -> its variant of a kind, measured against it, and published or refused."""

import shutil
import tempfile
from pathlib import Path

import numpy as np

from model_store.golden import read_golden
from model_store.graphs import FEATURES
from model_store.manifest import FACTOR, FILES, Manifest
from model_store.runtime import ModelRuntime
from model_store.store import MANIFEST, AlreadyPublished, ModelStore, ModelVersion, sha256_of
from training.data.canvas_set import CanvasSet
from training.manifests import CARD, tools
from training.progress import Say
from training.variants.agreement import Agreement, Bounds, measure
from training.variants.graphs import (
    image_to_fp16,
    image_to_int8,
    text_to_fp16,
    text_to_int8,
)
from training.variants.kind import Kind

GRAPHS = ("image.onnx", "text.onnx")
CALIBRATION = 32
"""Canvases that set the ranges of an int8 tower."""
ABOUT = """# {name}/{version}

**{kind} variant of {source}, of which the rest of this card speaks after the line.**

{agreement}

Measured on {n} images: {data}. Calibration and thresholds are the source's.
Bounds it had to keep: mean 1 - cosine {cosine:.0e}, {flips:.0%} of pairs, {auc} of an AUC.

---

"""


class TooFarOff(ValueError):
    """The variant loses more than the bounds allow; it was not published."""

    def __init__(self, key: str, broken: list[str], agreement: Agreement) -> None:
        super().__init__(f"{key} is not published: {'; '.join(broken)}")
        self.agreement = agreement


class VariantOfVariant(ValueError):
    """The source is a variant: what is measured against it says nothing of the original."""

    def __init__(self, source: ModelVersion) -> None:
        original = source.manifest.made_by["variant_of"]
        super().__init__(
            f"expected a version that is no variant, got {source.key}, which is one of {original}; "
            f"make the variant of {original}: what both lose adds up, and only the second would be "
            "measured"
        )


def check_source(store: ModelStore, source: ModelVersion, kind: Kind) -> None:
    """Before anything is made. Raises VariantOfVariant or AlreadyPublished."""
    name, version = f"{source.manifest.name}-{kind}", source.manifest.version
    if "variant_of" in source.manifest.made_by:
        raise VariantOfVariant(source)
    if version in store.versions(name):
        raise AlreadyPublished(f"{name}/{version}")


def make_variant(
    store: ModelStore,
    source: ModelVersion,
    kind: Kind,
    *,
    calibration: CanvasSet,
    test: CanvasSet,
    data: str,
    bounds: Bounds,
    say: Say,
) -> ModelVersion:
    """Publish NAME-KIND under the source's version number.

    `calibration` sets ranges (int8), `test` measures; they must not share an image. Raises
    TooFarOff, VariantOfVariant, StoreError (AlreadyPublished among them).
    """
    check_source(store, source, kind)
    name = f"{source.manifest.name}-{kind}"
    accepted = frozenset({source.manifest.name, name})  # making it is not serving it
    with tempfile.TemporaryDirectory(prefix="variant-") as folder:
        staging, scratch = Path(folder) / "version", Path(folder) / "scratch"
        staging.mkdir()
        scratch.mkdir()
        _write_graphs(source, kind, staging, calibration=calibration, scratch=scratch)
        unchanged = ", ".join(_unchanged(source, staging)) or "none"
        say(f"{name}: graphs are written, left as they were: {unchanged}")
        draft = ModelVersion(staging, source.manifest.model_copy(update={"name": name}))
        runtimes = [
            ModelRuntime.load(one, threads=0, verify=False, accept_licences=accepted)
            for one in (source, draft)
        ]
        agreement = measure(runtimes[0], runtimes[1], test, data=data, say=say)
        say(agreement.as_markdown())
        broken = agreement.broken(bounds)
        if broken:
            raise TooFarOff(f"{name}/{source.manifest.version}", broken, agreement)
        _write_golden(runtimes[1], staging)
        _describe(staging, source, kind, agreement=agreement, bounds=bounds)
        return store.publish(staging)


def _write_graphs(
    source: ModelVersion, kind: Kind, staging: Path, *, calibration: CanvasSet, scratch: Path
) -> None:
    for name in source.manifest.files:
        shutil.copyfile(source.file(name), staging / name)
    image, text = source.file("image.onnx"), source.file("text.onnx")
    if kind is Kind.FP16:
        image_to_fp16(image, staging / "image.onnx", scratch=scratch)
        text_to_fp16(text, staging / "text.onnx")
        return
    records = calibration.records[:CALIBRATION]
    canvases = np.stack([np.asarray(calibration.canvas(record)) for record in records])
    image_to_int8(image, staging / "image.onnx", canvases, scratch=scratch)
    text_to_int8(text, staging / "text.onnx", scratch=scratch)


def _unchanged(source: ModelVersion, staging: Path) -> list[str]:
    """Graphs in which there was nothing to do."""
    return [name for name in GRAPHS if sha256_of(staging / name) == source.manifest.files[name]]


def _write_golden(runtime: ModelRuntime, staging: Path) -> None:
    """The source's inputs with the variant's own answers."""
    stored = read_golden(runtime.version)
    with np.load(staging / "golden.npz", allow_pickle=False) as before:
        arrays = dict(before)
    arrays["image_embedding"] = runtime.embed_images(stored.images)
    arrays["text_embedding"] = runtime.embed_texts(stored.sentences)
    if stored.factor is not None:
        features = runtime.run_images(stored.images, outputs=(FEATURES,))[FEATURES]
        embedded = runtime.embed_channels(features)
        arrays["factor_embedding"] = embedded[:, :, stored.factor.channels]
    np.savez_compressed(staging / "golden.npz", **arrays)


def _describe(
    staging: Path, source: ModelVersion, kind: Kind, *, agreement: Agreement, bounds: Bounds
) -> None:
    """Card and manifest: the source's, with what was changed and what it cost."""
    was = source.manifest
    card = ABOUT.format(
        name=f"{was.name}-{kind}",
        version=was.version,
        kind=kind,
        source=f"{source.key} (digest {source.digest[:12]})",
        agreement=agreement.as_markdown(),
        n=agreement.n,
        data=agreement.data,
        cosine=bounds.cosine,
        flips=bounds.flips,
        auc=bounds.auc,
    )
    (staging / CARD).write_text(card + source.file(CARD).read_text("utf-8"), encoding="utf-8")
    names = (*FILES, FACTOR) if was.factor else FILES
    made_by = was.made_by | {
        "precision": str(kind),
        "variant_of": source.key,
        "variant_of_digest": source.digest,
        "variant_onnxruntime": tools()["onnxruntime"],
        "variant_unchanged": ", ".join(_unchanged(source, staging)) or "none",
    }
    manifest = was.model_dump() | {
        "name": f"{was.name}-{kind}",
        "description": f"{was.description} Variant {kind} of {source.key}.",
        "files": {name: sha256_of(staging / name) for name in names},
        "made_by": made_by,
        "metrics": (),  # they were measured on the source
    }
    final = Manifest.model_validate(manifest)
    (staging / MANIFEST).write_text(final.model_dump_json(indent=1), encoding="utf-8")
