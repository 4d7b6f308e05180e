"""Parts of an evaluation that learn little or nothing: each gives its figures and its pictures.

A part that cannot run on this data raises NothingToMeasure, or gives figures that say why.
"""

import numpy as np

from model_store.manifest import Finding
from training.data.canvas_set import CanvasSet
from training.evaluate.cases import CATEGORY_OF, known_density
from training.evaluate.density import commonest_share, density_accuracy
from training.evaluate.evaluation import Evaluation
from training.evaluate.figures import Figure
from training.evaluate.linear_probe import probe_figures
from training.evaluate.localise import look_at
from training.evaluate.localise_figures import localisation_figures
from training.evaluate.metrics import ECE_BINS
from training.evaluate.pictures import draw_looks, draw_zero_shot
from training.evaluate.plots import efficiency_png
from training.evaluate.retrieval import make_pairs, retrieval_figures
from training.evaluate.tasks import DENSITY, NothingToMeasure, Part, limited, make_task
from training.evaluate.zero_shot import Answers, Level, ask, aucs, calibration_errors
from training.models.from_version import NoTower
from training.models.image_encoder import ImageEncoder


def zero_shot_part(evaluation: Evaluation) -> list[Figure]:
    """AUC and calibration error of every finding of the manifest, and density accuracy."""
    runtime, canvases = evaluation.runtime, evaluation.test_canvases
    embedded = evaluation.embedded(tested=True)
    answers = ask(runtime, canvases, embedded, manifest=runtime.manifest)
    figures = [
        figure for level in (answers.image, answers.breast) for figure in _aucs(evaluation, level)
    ]
    figures += _calibration(evaluation, answers)
    densities = density_accuracy(
        runtime,
        canvases,
        embedded,
        seed=evaluation.config.seed,
        resamples=evaluation.config.resamples,
    )
    for level, measured in densities.items():
        share = commonest_share(known_density(canvases)[1])
        note = f"always the commonest class: {share:.3f}"
        blank = Figure("zero-shot", DENSITY, _setting(level), "accuracy")
        figures.append(blank.measured(measured, note=note))
    if not any(figure.value is not None for figure in figures):
        raise NothingToMeasure("no finding of the model has positive and negative images here")
    draw_zero_shot(evaluation, answers)
    return figures


def _setting(level: str) -> str:
    """Images are what the papers report."""
    return "zero-shot" if level == "image" else f"zero-shot, {level}"


def _aucs(evaluation: Evaluation, level: Level) -> list[Figure]:
    """Every finding's, measured or with the reason why not, then their mean."""
    rng = np.random.default_rng(evaluation.config.seed)
    found = aucs(level, rng=rng, resamples=evaluation.config.resamples)
    figures = []
    for name in dict.fromkeys([*level.labels, *found]):
        blank = Figure("zero-shot", name, _setting(level.name), "AUC")
        if name not in found:
            figures.append(blank.missing(_why(level, name)))
        elif name in level.labels:
            positive = int(level.labels[name][level.known[name]].sum())
            figures.append(blank.measured(found[name], note=f"{positive} positive"))
        else:
            figures.append(blank.measured(found[name]))
    return figures


def _why(level: Level, finding: str) -> str:
    known = int(level.known[finding].sum())
    if not known:
        return "nobody looked for it in this data"
    positive = int(level.labels[finding][level.known[finding]].sum())
    return f"{positive} of {known} known cases are positive"


def _calibration(evaluation: Evaluation, answers: Answers) -> list[Figure]:
    rng = np.random.default_rng([evaluation.config.seed, 1])
    findings: dict[str, Finding] = {f.name: f for f in evaluation.runtime.manifest.findings}
    found = calibration_errors(answers.image, rng=rng, resamples=evaluation.config.resamples)
    figures = []
    for finding, measured in found.items():
        fitted = findings[finding].calibration
        note = f"{ECE_BINS} equal-mass bins; " + (
            f"calibrated by {fitted.method}" if fitted else "not calibrated"
        )
        blank = Figure("zero-shot", finding, "zero-shot", "ECE")
        figures.append(blank.measured(measured, note=note))
    return figures


def probe_part(evaluation: Evaluation) -> list[Figure]:
    """Linear probes of every target at every share of the labels."""
    config = evaluation.config
    pooled = evaluation.embedded().pooled
    figures: list[Figure] = []
    for target in config.probe.targets:
        try:
            task = make_task(evaluation.canvases, target)
        except NothingToMeasure as error:
            metric = "accuracy" if target == DENSITY else "AUC"
            figures += [
                Figure("linear-probe", target, f"LP {f:.0%}", metric).missing(str(error))
                for f in config.probe.fractions
            ]
            continue
        evaluation.say(f"linear probe: {target}")
        figures += probe_figures(
            pooled, task, config=config.probe, seed=config.seed, resamples=config.resamples
        )
    if any(figure.value is not None for figure in figures):
        path = evaluation.plot("linear-probe-data-efficiency")
        efficiency_png(path, figures, title="Linear probe")
    return figures


def retrieval_part(evaluation: Evaluation) -> list[Figure]:
    """Recall of reports among those of the tested images."""
    config = evaluation.config
    rng = np.random.default_rng([config.seed, 2])
    pairs = make_pairs(evaluation.test_canvases, pool=config.retrieval_pool, rng=rng)
    return retrieval_figures(
        evaluation.runtime,
        evaluation.embedded(tested=True),
        pairs,
        seed=config.seed,
        resamples=config.resamples,
    )


def localise_part(evaluation: Evaluation) -> list[Figure]:
    """Mammo-FActOR and Grad-CAM on the tested images, by the same rule for boxes."""
    config = evaluation.config
    canvases = _looked_at(evaluation)
    findings = [
        finding.name
        for finding in evaluation.runtime.manifest.findings
        if finding.name in CATEGORY_OF
        and any(record.boxes(CATEGORY_OF[finding.name]) for record in canvases.records)
    ]
    if not findings:
        raise NothingToMeasure("no tested image has a box of one of the model's findings")
    tower, why = _tower(evaluation)
    if tower is None and not evaluation.runtime.heads:
        raise NothingToMeasure(f"no factor.onnx, and no Grad-CAM: {why}")
    looks = look_at(evaluation.runtime, canvases, findings, tower=tower, say=evaluation.say)
    draw_looks(evaluation, canvases, looks)
    figures = localisation_figures(looks, seed=config.seed, resamples=config.resamples)
    if tower is None:
        figures.append(Figure("localisation", "every finding", "Grad-CAM", "IoU@0.25").missing(why))
    if not evaluation.runtime.heads:
        blank = Figure("localisation", "every finding", "Mammo-FActOR", "IoU@0.25")
        figures.append(blank.missing("the version has no factor.onnx"))
    return figures


def _looked_at(evaluation: Evaluation) -> CanvasSet:
    """The tested images, or whole patients of them up to the limit."""
    canvases = evaluation.test_canvases
    rows = np.arange(len(canvases))
    owners = np.array([record.image.patient for record in canvases.records], str)
    rng = np.random.default_rng([evaluation.config.seed, 3])
    kept = limited(Part(rows, rows, owners), evaluation.config.localise_images, rng=rng)
    return CanvasSet(canvases.folder, tuple(canvases.records[row] for row in kept.rows))


def _tower(evaluation: Evaluation) -> tuple[ImageEncoder | None, str]:
    """The torch tower, or why there is none."""
    try:
        return evaluation.tower(), ""
    except NoTower as error:
        return None, str(error)
