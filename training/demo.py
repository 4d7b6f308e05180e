"""The demo model from nothing to a published version: phantoms, two stages, export, evaluation.

Every part leaves its result below `work` and is not done again, so a run that was killed goes on.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from model_store.arrays import F32
from model_store.cores import usable_cores
from model_store.manifest import Finding, Manifest
from model_store.prompts import read_prompt_set
from model_store.runtime import ModelRuntime
from model_store.store import AlreadyPublished, ModelStore, ModelVersion
from training.clock import Clock
from training.config import TrainConfig
from training.data.canvases import CanvasSet, Series, collect_canvases
from training.data.phantom import PhantomRules
from training.evaluate.calibration import best_threshold, fit_platt
from training.evaluate.phantoms import metric_line, metrics_of, score_set
from training.evaluate.zero_shot import Level
from training.export import Golden, check_parity, export_towers, export_trunk, write_golden
from training.models.clip import Clip, pretrained
from training.progress import Say, counter
from training.stages import train_crops, train_whole
from training.version import draft_manifest, write_version

PROMPT_SET = "phantom"
GOLDEN_SENTENCES = ("mass", "no suspicious calcification is seen in the right breast.")


@dataclass(frozen=True, slots=True)
class Splits:
    """Canvases of three series with seeds of their own."""

    train: CanvasSet
    validation: CanvasSet
    test: CanvasSet


def make_demo(config: TrainConfig, *, work: Path, store: ModelStore, say: Say) -> ModelVersion:
    """Train, export, evaluate and publish; AlreadyPublished where the version exists."""
    if config.version in store.versions(config.name):
        raise AlreadyPublished(f"{config.name}/{config.version}")  # said now, not in an hour
    work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(config.threads or usable_cores())
    clock = Clock(work / "clock.json")
    with clock.part("phantoms"):
        splits = make_splits(config, root=work / "canvases", say=say)
    model = pretrained(config.model)
    with clock.part("crops"):
        train_crops(model, config, canvases=splits.train, work=work, say=say)
    with clock.part("trunk features"):
        features = trunk_features(model, config, canvases=splits.train, work=work, say=say)
    with clock.part("whole canvases"):
        train_whole(model, config, canvases=splits.train, features=features, work=work, say=say)
    staging = work / "version"
    with clock.part("export"):
        parity = export_version(model, config, canvases=splits.validation, staging=staging, say=say)
    with clock.part("evaluation"):
        manifest = evaluate(model, config, splits=splits, staging=staging, say=say)
    say(f"parts: { {name: round(spent.wall_s) for name, spent in clock.parts.items()} } s")
    spent = clock.total()
    made = {"parity": parity, "wall_s": round(spent.wall_s), "cpu_s": round(spent.cpu_s)}
    write_version(staging, manifest, config=config, made=made)
    return store.publish(staging)


def make_splits(config: TrainConfig, *, root: Path, say: Say) -> Splits:
    """Canvases of the three series."""
    phantoms = config.phantoms
    rules = PhantomRules(phantoms.mass_share, phantoms.calcification_share, phantoms.contrast)

    def made(seed: int, studies: int) -> CanvasSet:
        series = Series(seed, rules, config.recipe)
        return collect_canvases(series, studies, root=root, processes=usable_cores(), say=say)

    return Splits(
        made(phantoms.train_seed, phantoms.train_studies),
        made(phantoms.validation_seed, phantoms.validation_studies),
        made(phantoms.test_seed, phantoms.test_studies),
    )


def trunk_features(
    model: Clip, config: TrainConfig, *, canvases: CanvasSet, work: Path, say: Say
) -> NDArray[np.float16]:
    """(V, 320, h, w) of every canvas, once, through ONNX Runtime (five times faster than eager)."""
    path = work / "trunk_features.npy"
    if not path.exists():
        graph = work / "trunk.onnx"
        export_trunk(model, graph, recipe=config.recipe)
        session = _session(graph, threads=config.threads or usable_cores())
        canvas = np.asarray(canvases.canvas(canvases.views[0]))[None]
        first: F32 = session.run(None, {"image": canvas})[0]
        partial = path.with_suffix(".part")
        features = np.lib.format.open_memmap(
            partial, "w+", np.float16, (len(canvases.views), *first.shape[1:])
        )
        progress = counter(say, "trunk features")
        for number, view in enumerate(canvases.views):
            canvas = np.asarray(canvases.canvas(view))[None]
            features[number] = session.run(None, {"image": canvas})[0][0]
            progress(number + 1, len(canvases.views))
        features.flush()
        partial.rename(path)
    loaded: NDArray[np.float16] = np.load(path, mmap_mode="r")
    return loaded


def export_version(
    model: Clip, config: TrainConfig, *, canvases: CanvasSet, staging: Path, say: Say
) -> float:
    """Graphs, tokenizer and golden file into `staging`; the largest difference from torch."""
    staging.mkdir(exist_ok=True)
    export_towers(model, staging, recipe=config.recipe)
    canvas = np.array(canvases.canvas(canvases.views[0]))[None]
    golden = Golden(canvas, GOLDEN_SENTENCES)
    max_tokens = config.model.text_max_tokens
    parity = check_parity(model, staging, golden=golden, max_tokens=max_tokens)
    write_golden(staging, golden, max_tokens=max_tokens)
    say(f"export: torch and ONNX differ by {parity:.1e}")
    return parity


def evaluate(
    model: Clip, config: TrainConfig, *, splits: Splits, staging: Path, say: Say
) -> Manifest:
    """Calibrate on validation, measure on test: the manifest without digests and costs."""
    draft = draft_manifest(config, read_prompt_set(PROMPT_SET), model=model)
    version = ModelVersion(path=staging, manifest=draft)
    runtime = ModelRuntime.load(version, threads=config.threads, verify=False)
    image, _ = score_set(runtime, splits.validation, manifest=draft, say=say)
    findings = tuple(calibrated(finding, image) for finding in draft.findings)
    manifest = draft.model_copy(update={"findings": findings})
    scored = score_set(runtime, splits.test, manifest=manifest, say=say)
    phantoms = config.phantoms
    metrics = metrics_of(scored, seed=phantoms.test_seed, studies=phantoms.test_studies)
    for metric in metrics:
        say(metric_line(metric))
    return manifest.model_copy(update={"metrics": metrics})


def calibrated(finding: Finding, image: Level) -> Finding:
    """The finding with Platt scaling and a threshold fitted on raw scores of images."""
    labels, scores = image.labels[finding.name], image.scores[finding.name]
    calibration = fit_platt(labels, scores)
    probabilities = [calibration.apply(float(score)) for score in scores]
    threshold = best_threshold(labels, probabilities)
    return finding.model_copy(update={"calibration": calibration, "threshold": threshold})


def _session(path: Path, *, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
