"""The demo model from nothing to a published version: phantoms, crops, whole canvases, FActOR.

Every part leaves its result below `work` and is not done again, so a run that was killed goes on.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from model_store.arrays import F32
from model_store.cores import usable_cores
from model_store.manifest import Manifest
from model_store.prompts import read_prompt_set
from model_store.store import AlreadyPublished, ModelStore, ModelVersion
from training.clock import Clock
from training.data.canvas_set import CanvasSet
from training.data.phantom_canvases import Series, collect_canvases
from training.data.whole import Features
from training.demo_config import DemoConfig
from training.demo_figures import evaluate
from training.demo_stages import train_crops, train_whole
from training.export import Golden, check_parity, export_towers, write_golden
from training.factor_stage import add_factor
from training.models.clip import Clip, pretrained
from training.models.cut import Lower
from training.onnx_graph import export_graph
from training.progress import Say, counter
from training.version import draft_manifest, write_version

PROMPT_SET = "phantom"
GOLDEN_SENTENCES = (
    "mass",
    "no mass",
    "there is a suspicious mass in the upper outer left breast at anterior depth",
    "no suspicious calcification",
)


@dataclass(frozen=True, slots=True)
class Splits:
    """Canvases of three series that share no phantom."""

    train: CanvasSet
    validation: CanvasSet
    test: CanvasSet


def make_demo(config: DemoConfig, *, work: Path, store: ModelStore, say: Say) -> ModelVersion:
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
    with clock.part("lower features"):
        features = lower_features(model, config, canvases=splits.train, work=work, say=say)
    with clock.part("whole canvases"):
        train_whole(model, config, canvases=splits.train, features=features, work=work, say=say)
    staging = work / "version"
    with clock.part("export"):
        parity = export_version(model, config, canvases=splits.validation, staging=staging, say=say)
    draft = draft_manifest(config, read_prompt_set(PROMPT_SET), model=model)
    with clock.part("factor"):
        draft = with_factor(draft, config, canvases=splits.train, staging=staging, say=say)
    with clock.part("evaluation"):
        manifest = evaluate(
            ModelVersion(path=staging, manifest=draft),
            config,
            validation=splits.validation,
            test=splits.test,
            cache=work / "embeddings",
            say=say,
        )
    say(f"parts: { {name: round(spent.wall_s) for name, spent in clock.parts.items()} } s")
    spent = clock.total()
    made = {"parity": parity, "wall_s": round(spent.wall_s), "cpu_s": round(spent.cpu_s)}
    write_version(staging, manifest, config=config, made=made)
    return store.publish(staging)


def make_splits(config: DemoConfig, *, root: Path, say: Say) -> Splits:
    """Canvases of the three series."""
    phantoms = config.phantoms

    def made(seed: int, studies: int) -> CanvasSet:
        series = Series(seed, phantoms.rules(), config.recipe)
        return collect_canvases(series, studies, root=root, processes=usable_cores(), say=say)

    return Splits(
        made(phantoms.train_seed, phantoms.train_studies),
        made(phantoms.validation_seed, phantoms.validation_studies),
        made(phantoms.test_seed, phantoms.test_studies),
    )


def lower_features(
    model: Clip, config: DemoConfig, *, canvases: CanvasSet, work: Path, say: Say
) -> Features:
    """(V, C, h, w) below the cut, once, through ONNX Runtime (five times faster than eager)."""
    path = work / "lower_features.npy"
    if not path.exists():
        graph = work / "lower.onnx"
        recipe = config.recipe
        example = torch.zeros(2, recipe.height_px, recipe.width_px, dtype=torch.uint8)
        lower = Lower(model.image, config.whole.cut)
        dynamic = ({0: torch.export.Dim("N")},)
        export_graph(lower, (example,), graph, names=(["image"], ["lower"]), dynamic=dynamic)
        session = _session(graph, threads=config.threads or usable_cores())
        partial = path.with_suffix(".part")
        progress = counter(say, "lower features")
        features: Features | None = None
        for number, record in enumerate(canvases.records):
            canvas = np.asarray(canvases.canvas(record))[None]
            row: F32 = session.run(None, {"image": canvas})[0][0]
            if features is None:
                shape = (len(canvases), *row.shape)
                features = np.lib.format.open_memmap(partial, "w+", np.float16, shape)
            features[number] = row
            progress(number + 1, len(canvases))
        del features
        partial.rename(path)
    loaded: Features = np.load(path, mmap_mode="r")
    return loaded


def export_version(
    model: Clip, config: DemoConfig, *, canvases: CanvasSet, staging: Path, say: Say
) -> float:
    """Graphs, tokenizer and golden file into `staging`; the largest difference from torch."""
    staging.mkdir(exist_ok=True)
    export_towers(model, staging, recipe=config.recipe, half_weights=True)
    canvas = np.array(canvases.canvas(canvases.records[0]))[None]
    golden = Golden(canvas, GOLDEN_SENTENCES)
    max_tokens = config.model.text_max_tokens
    parity = check_parity(model, staging, golden=golden, max_tokens=max_tokens)
    write_golden(staging, golden, max_tokens=max_tokens)
    say(f"export: torch and ONNX differ by {parity:.1e}")
    return parity


def with_factor(
    draft: Manifest, config: DemoConfig, *, canvases: CanvasSet, staging: Path, say: Say
) -> Manifest:
    """factor.onnx into `staging`; the manifest with its entry."""
    version = ModelVersion(path=staging, manifest=draft)
    work = staging.with_name("factor")
    work.mkdir(exist_ok=True)
    entry = add_factor(version, canvases, config.factor, work=work, say=say)
    return draft.model_copy(update={"factor": entry})


def _session(path: Path, *, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
