"""Figures of a model version on a series of phantoms, measured on its exported graphs."""

from pathlib import Path

from model_store.cores import usable_cores
from model_store.manifest import Manifest, Metric
from model_store.runtime import ModelRuntime
from model_store.store import ModelVersion
from training.data.canvases import CanvasSet, Series, collect_canvases
from training.data.phantom import PhantomRules
from training.evaluate.zero_shot import Level, as_metrics, embed_views, levels, score_views
from training.progress import Say, counter


def measure(
    version: ModelVersion, *, seed: int, studies: int, rules: PhantomRules, work: Path, say: Say
) -> tuple[Metric, ...]:
    """Zero-shot AUC by image and by breast on series `seed`."""
    series = Series(seed, rules, version.manifest.recipe)
    canvases = collect_canvases(
        series, studies, root=work / "canvases", processes=usable_cores(), say=say
    )
    runtime = ModelRuntime.load(version, threads=0)
    scored = score_set(runtime, canvases, manifest=version.manifest, say=say)
    return metrics_of(scored, seed=seed, studies=studies)


def score_set(
    runtime: ModelRuntime, canvases: CanvasSet, *, manifest: Manifest, say: Say
) -> tuple[Level, Level]:
    """Zero-shot scores of a set of canvases, by image and by breast."""
    embeddings = embed_views(runtime, canvases, progress=counter(say, "zero-shot"))
    questions, scores = score_views(runtime, embeddings, manifest=manifest)
    return levels(canvases.views, scores, questions=questions, manifest=manifest)


def metrics_of(scored: tuple[Level, ...], *, seed: int, studies: int) -> tuple[Metric, ...]:
    """AUCs of every level, named and with their data."""
    return tuple(as_metrics(scored, seed=seed, data=f"phantoms, seed {seed}, {studies} studies"))


def metric_line(metric: Metric) -> str:
    """One figure in words."""
    interval = f"{metric.low:.3f} to {metric.high:.3f}"
    return f"{metric.name}: {metric.value:.3f} ({interval}), n {metric.n}"
