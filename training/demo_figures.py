"""Figures of the demo model: calibrated on validation phantoms, measured on others."""

from collections.abc import Iterator
from pathlib import Path

from model_store.manifest import Manifest, Metric
from model_store.runtime import ModelRuntime
from model_store.store import ModelVersion
from training.data.canvas_set import CanvasSet
from training.demo_config import DemoConfig
from training.evaluate.embeddings import embed_canvases
from training.evaluate.figures import Figure
from training.evaluate.localise import look_at
from training.evaluate.localise_figures import localisation_figures
from training.evaluate.metrics import Interval, as_metric, metric_line
from training.evaluate.zero_shot import (
    MAIN_FINDINGS,
    ask,
    calibrate_findings,
    evaluate_zero_shot,
)
from training.models.from_version import tower_from_version
from training.progress import Say, counter


def evaluate(
    draft: ModelVersion,
    config: DemoConfig,
    *,
    validation: CanvasSet,
    test: CanvasSet,
    cache: Path,
    say: Say,
) -> Manifest:
    """The manifest with calibrations, thresholds and figures, without digests and costs."""
    runtime = ModelRuntime.load(draft, threads=config.threads, verify=False)
    progress = counter(say, "validation")
    embedded = embed_canvases(runtime, validation, cache=cache, progress=progress)
    answers = ask(runtime, validation, embedded, manifest=draft.manifest)
    findings = calibrate_findings(draft.manifest.findings, answers.image, say=say)
    manifest = draft.manifest.model_copy(update={"findings": findings})
    calibrated = ModelRuntime.load(
        ModelVersion(draft.path, manifest), threads=config.threads, verify=False
    )
    seed, studies = config.phantoms.test_seed, config.phantoms.test_studies
    data = f"phantoms, seed {seed}, {studies} studies"
    metrics = evaluate_zero_shot(calibrated, test, cache=cache, data=data, seed=seed, say=say)
    metrics += localised(calibrated, config, test=test, say=say)
    for metric in metrics:
        say(metric_line(metric))
    return manifest.model_copy(update={"metrics": tuple(metrics)})


def localised(
    runtime: ModelRuntime, config: DemoConfig, *, test: CanvasSet, say: Say
) -> list[Metric]:
    """Mammo-FActOR beside Grad-CAM on the first studies of the test series."""
    studies = config.localise_studies
    patients = list(dict.fromkeys(record.image.patient for record in test.records))[:studies]
    looked_at = test.where(lambda image: image.patient in patients)
    tower = tower_from_version(runtime.version)
    looks = look_at(runtime, looked_at, MAIN_FINDINGS, tower=tower, say=say)
    seed = config.phantoms.test_seed
    data = f"phantoms, seed {seed}, {len(patients)} studies"
    return list(_metrics(localisation_figures(looks, seed=seed), data=data))


def _metrics(figures: list[Figure], *, data: str) -> Iterator[Metric]:
    """Those that have a value."""
    for figure in figures:
        if figure.value is not None:
            measured = Interval(figure.value, figure.low, figure.high, figure.n)
            name = f"{figure.metric}, {figure.target}, {figure.setting}"
            yield as_metric(name, measured, data=data)
