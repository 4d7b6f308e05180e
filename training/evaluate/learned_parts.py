"""Parts of an evaluation that train: fine-tuning and detection, fit by fit, each kept on disk."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from training.data.canvas_set import CanvasRecord, CanvasSet
from training.data.records import Category, Split
from training.evaluate.average_precision import Found, ap_statistic, match
from training.evaluate.cases import CATEGORY_OF
from training.evaluate.config import LearnConfig
from training.evaluate.detect import (
    detect,
    examples,
    mean_average_precision,
    train_detector,
)
from training.evaluate.evaluation import Evaluation
from training.evaluate.figures import Figure
from training.evaluate.finetune import finetune
from training.evaluate.metrics import interval
from training.evaluate.pictures import draw_found
from training.evaluate.plots import efficiency_png
from training.evaluate.squares import Example
from training.evaluate.tasks import (
    DENSITY,
    NothingToMeasure,
    Task,
    limited,
    make_task,
    nested_subset,
    shuffled_patients,
)
from training.models.image_encoder import ImageEncoder

F64 = NDArray[np.float64]
POSITIVE, ALL = "mAP@0.5, positive images", "mAP@0.5, all images"
MIN_BOXED = 4  # images with a box, in training and in test


def finetune_part(evaluation: Evaluation) -> list[Figure]:
    """The whole tower, trained for every target on every share of the labels."""
    config = evaluation.config.finetune
    tower = evaluation.tower()
    figures = [
        _finetuned(evaluation, tower, target=target, fraction=fraction)
        for target in config.targets
        for fraction in config.fractions
    ]
    if any(figure.value is not None for figure in figures):
        path = evaluation.plot("fine-tuning-data-efficiency")
        efficiency_png(path, figures, title="Fine-tuning")
    return figures


def _finetuned(
    evaluation: Evaluation, tower: ImageEncoder, *, target: str, fraction: float
) -> Figure:
    config, seed = evaluation.config.finetune, evaluation.config.seed
    metric = "accuracy" if target == DENSITY else "AUC"
    blank = Figure("finetune", target, f"FT {fraction:.0%}", metric)
    try:
        task = limited_task(make_task(evaluation.canvases, target), config, seed=seed)
        train = nested_subset(
            task.parts[Split.TRAIN], fraction, rng=np.random.default_rng([seed, 0])
        )
        _check_two_classes(task)
    except NothingToMeasure as error:
        return blank.missing(str(error))
    task = task.with_part(Split.TRAIN, train)

    def fit() -> F64:
        learned = finetune(
            tower, evaluation.canvases, task, config=config, seed=seed, say=evaluation.say
        )
        return learned.scores

    scores = evaluation.kept(f"finetune-{target}-{fraction:.0%}".replace(" ", "-"), fit)
    test = task.parts[Split.TEST]
    measured = interval(
        task.statistic(test, scores),
        patients=test.patients,
        rng=np.random.default_rng([seed, round(100 * fraction)]),
        resamples=evaluation.config.resamples,
    )
    return blank.measured(measured, note=f"{len(train)} images, {config.epochs} epochs")


def limited_task(task: Task, config: LearnConfig, *, seed: int) -> Task:
    """Its splits cut to whole patients within the configuration's limits."""
    limits = {
        Split.TRAIN: config.max_train,
        Split.VALIDATION: config.max_validation,
        Split.TEST: config.max_test,
    }
    for number, (split, limit) in enumerate(limits.items()):
        rng = np.random.default_rng([seed, number])
        task = task.with_part(split, limited(task.parts[split], limit, rng=rng))
    return task


def _check_two_classes(task: Task) -> None:
    for split, part in task.parts.items():
        if task.outputs == 2 and len(set(part.classes.tolist())) < 2:
            raise NothingToMeasure(f"{task.name}: the {split} split within its limit has one class")


def detect_part(evaluation: Evaluation) -> list[Figure]:
    """A RetinaNet for every target: frozen, and fine-tuned on every share of the labels."""
    config = evaluation.config.detect
    tower = evaluation.tower()
    figures: list[Figure] = []
    for target in config.targets:
        category = CATEGORY_OF[target]
        try:
            train, test = _detection_sets(evaluation, category)
        except NothingToMeasure as error:
            figures += [
                Figure("detect", target, setting, POSITIVE).missing(str(error))
                for setting, _, _ in settings(evaluation)
            ]
            continue
        for setting, frozen, fraction in settings(evaluation):
            given = _share(train, fraction, seed=evaluation.config.seed)
            name = f"detect-{target}-{setting}".replace(" ", "-")
            found = _detected(evaluation, tower, (given, test), frozen=frozen, name=name)
            records = [example.record for example in test]
            draw_found(evaluation, name.replace("%", ""), records, found)
            blank = Figure("detect", target, setting, POSITIVE)
            note = f"{len(given)} images, {config.epochs} epochs"
            figures += _maps(evaluation, records, found, blank=blank, note=note)
    return figures


def settings(evaluation: Evaluation) -> Iterator[tuple[str, bool, float]]:
    """("frozen 100%", True, 1.0) and so on."""
    config = evaluation.config.detect
    for mode in config.modes:
        frozen = mode == "frozen"
        for fraction in config.frozen_fractions if frozen else config.fractions:
            yield f"{'frozen' if frozen else 'FT'} {fraction:.0%}", frozen, fraction


def _detection_sets(
    evaluation: Evaluation, category: Category
) -> tuple[list[Example], list[Example]]:
    """Training and test examples, within the configuration's limits."""
    config = evaluation.config.detect
    sets = []
    for number, (split, limit) in enumerate(
        ((Split.TRAIN, config.max_train), (Split.TEST, config.max_test))
    ):
        of_split = evaluation.canvases.where(lambda image, split=split: image.split is split)  # type: ignore[misc]
        given = _examples(of_split, category, positive=split is Split.TRAIN, config=evaluation)
        rng = np.random.default_rng([evaluation.config.seed, 4, number])
        given = _limited(given, limit, rng=rng)
        boxed = sum(bool(example.boxes) for example in given)
        if boxed < MIN_BOXED:
            raise NothingToMeasure(f"{boxed} images of the {split} split have a box of it")
        sets.append(given)
    return sets[0], sets[1]


def _examples(
    canvases: CanvasSet, category: Category, *, positive: bool, config: Evaluation
) -> list[Example]:
    found = examples(canvases, category)
    if positive and config.config.detect.train_on == "positive":
        return [example for example in found if example.boxes]
    return found


def _limited(
    given: Sequence[Example], images: int | None, *, rng: np.random.Generator
) -> list[Example]:
    """Whole patients up to the limit, in the order of the images."""
    if images is None or len(given) <= images:
        return list(given)
    kept: set[str] = set()
    taken = 0
    for patient in shuffled_patients([_owner(example) for example in given], rng).tolist():
        hers = sum(_owner(example) == patient for example in given)
        if taken + hers > images:
            break
        kept.add(patient)
        taken += hers
    return [example for example in given if _owner(example) in kept]


def _share(given: Sequence[Example], fraction: float, *, seed: int) -> list[Example]:
    """Nested shares of the patients, rounded up."""
    rng = np.random.default_rng([seed, 5])
    order = shuffled_patients([_owner(example) for example in given], rng).tolist()
    kept = set(order[: int(np.ceil(fraction * len(order) - 1e-9))])
    return [example for example in given if _owner(example) in kept]


def _owner(example: Example) -> str:
    return example.record.image.patient


def _detected(
    evaluation: Evaluation,
    tower: ImageEncoder,
    sets: tuple[Sequence[Example], Sequence[Example]],
    *,
    frozen: bool,
    name: str,
) -> list[Found]:
    """Train on the first set, detect in the second; the detections are kept on disk."""
    train, test = sets
    config = evaluation.config.detect

    def fit() -> F64:
        model = train_detector(
            tower,
            evaluation.canvases,
            train,
            frozen=frozen,
            config=config,
            seed=evaluation.config.seed,
            say=evaluation.say,
        )
        return packed(detect(model, evaluation.canvases, test, config=config))

    return unpacked(evaluation.kept(name, fit), images=len(test))


def packed(found: Sequence[Found]) -> F64:
    """(rows, 6): image, score (NaN for a truth), and the box."""
    rows = [
        (number, score, *box)
        for number, one in enumerate(found)
        for boxes, scores in ((one.boxes, one.scores), (one.truths, [np.nan] * len(one.truths)))
        for box, score in zip(boxes, scores, strict=True)
    ]
    return np.array(rows, np.float64).reshape(-1, 6)


def unpacked(rows: F64, *, images: int) -> list[Found]:
    """What `packed` was given."""
    truth = np.isnan(rows[:, 1])
    found = []
    for number in range(images):
        of_image = rows[:, 0] == number
        seen, true = rows[of_image & ~truth], rows[of_image & truth]
        found.append(Found(boxes=seen[:, 2:], scores=seen[:, 1], truths=true[:, 2:]))
    return found


def _maps(
    evaluation: Evaluation,
    records: Sequence[CanvasRecord],
    found: Sequence[Found],
    *,
    blank: Figure,
    note: str,
) -> list[Figure]:
    """mAP on the images with the finding, and on all of them."""
    figures = []
    boxed = [number for number, one in enumerate(found) if len(one.truths)]
    for metric, kept in ((POSITIVE, boxed), (ALL, list(range(len(found))))):
        chosen = [found[number] for number in kept]
        measured = interval(
            ap_statistic(match(chosen)),
            patients=[records[number].image.patient for number in kept],
            rng=np.random.default_rng([evaluation.config.seed, len(kept)]),
            resamples=evaluation.config.resamples,
        )
        exact = replace(measured, value=mean_average_precision(chosen))
        figures.append(replace(blank, metric=metric).measured(exact, note=note))
    return figures
