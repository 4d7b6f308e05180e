"""The paper in miniature, on reduced canvases of phantoms: three questions, one script.

- Does pretraining beat the same tower without it (ImageNet's weights), at 10, 50 and 100 % of the
  labels, by a linear probe and by fine-tuning?
- Does adding image-label data to image-text data help?
- (Mammo-FActOR against Grad-CAM is measured on the full-size demo model: demo_figures.)

Towers are pretrained by `pretrain`, probed and fine-tuned by the evaluation's own parts, on
patients that no tower was pretrained on. Whatever it shows is written down.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from pydantic import Field

from model_store.arrays import F32
from model_store.cores import usable_cores
from model_store.manifest import Frozen, Recipe
from training.alone import alone_in
from training.config import AugmentConfig, DataSource, ModelConfig, PretrainConfig
from training.data.canvas_set import CanvasRecord, CanvasSet
from training.data.phantom.rules import STANDARD
from training.data.phantom_canvases import Series, collect_canvases
from training.data.records import Split
from training.evaluate.config import FinetuneConfig, ProbeConfig
from training.evaluate.figures import Figure
from training.evaluate.finetune import finetune
from training.evaluate.linear_probe import compare_probes, probe_figures
from training.evaluate.metrics import Interval, difference, interval
from training.evaluate.tasks import Task, make_task, nested_subset
from training.models.clip import pretrained
from training.models.image_encoder import ImageEncoder
from training.pretrain import MODEL, pretrain
from training.progress import Say
from training.whole_file import whole_file

PLAIN, TEXT, TEXT_AND_LABELS = "ImageNet", "image-text", "image-text + image-label"
FOLDERS = {TEXT: "text", TEXT_AND_LABELS: "text-and-labels"}
EMBED_BATCH = 16


class MiniatureConfig(Frozen):
    """Sizes of the experiment; series are of phantoms, in studies of four images."""

    seed: int = 10
    recipe: Recipe = Recipe(height_px=384, width_px=224)
    text_series: int = 31
    text_studies: int = Field(default=300, ge=1)
    label_series: int = 32
    label_studies: int = Field(default=300, ge=1)
    probe_series: int = 33
    train_studies: int = Field(default=120, ge=3)
    validation_studies: int = Field(default=40, ge=1)
    test_studies: int = Field(default=140, ge=1)
    epochs: int = Field(default=8, ge=1)
    batch: int = Field(default=20, ge=2)
    learning_rate: float = Field(default=3e-4, gt=0)
    targets: tuple[str, ...] = ("mass", "architectural distortion", "density")
    finetuned: tuple[str, ...] = ("mass",)
    finetune_epochs: int = Field(default=4, ge=1)
    fractions: tuple[float, ...] = (0.1, 0.5, 1.0)

    def probe(self) -> ProbeConfig:
        """The linear probe's part."""
        return ProbeConfig(targets=self.targets, fractions=self.fractions)

    def finetune(self) -> FinetuneConfig:
        """The fine-tuned classifier's part."""
        return FinetuneConfig(
            epochs=self.finetune_epochs,
            batch=8,
            learning_rate=1e-4,
            head_learning_rate=3e-3,
            height_px=self.recipe.height_px,
            width_px=self.recipe.width_px,
        )

    def model(self) -> ModelConfig:
        """Both towers; the mean over positions, so that a probe sees what pretraining saw."""
        return ModelConfig(pooling="mean", text_layers=6)


def run_miniature(config: MiniatureConfig, *, work: Path, say: Say) -> list[Figure]:
    """All figures, written to WORK/miniature.json; what is done already is not done again.

    Raises alone.FolderInUse.
    """
    with alone_in(work):
        torch.set_num_threads(usable_cores())
        figures = _figures(config, work=work, say=say)
        with whole_file(work / "miniature.json") as file:
            file.write(json.dumps([asdict(figure) for figure in figures], indent=1).encode())
    return figures


def own_folder(config: MiniatureConfig, work: Path) -> Path:
    """Of the towers and scores of this very configuration; canvases are shared."""
    return work / config.digest[:12]


def _figures(config: MiniatureConfig, *, work: Path, say: Say) -> list[Figure]:
    labelled = labelled_canvases(config, work=work, say=say)
    towers = {name: make() for name, make in _towers(config, work=work, say=say).items()}
    features = {name: pooled_features(tower, labelled) for name, tower in towers.items()}
    figures: list[Figure] = []
    for target in config.targets:
        task = make_task(labelled, target)
        figures += _probes(features, task, config)
        if target in config.finetuned:
            figures += _finetuned(towers, labelled, task, config=config, work=work, say=say)
    return figures


def labelled_canvases(config: MiniatureConfig, *, work: Path, say: Say) -> CanvasSet:
    """Phantoms of a series of their own: the first for training, then validation, then test."""
    ends = np.cumsum([config.train_studies, config.validation_studies, config.test_studies])
    made = _canvases(config, config.probe_series, int(ends[-1]), work=work, say=say)
    patients = list(dict.fromkeys(record.image.patient for record in made.records))
    split_of = {
        patient: list(Split)[int(np.searchsorted(ends, number, side="right"))]
        for number, patient in enumerate(patients)
    }

    def with_split(record: CanvasRecord) -> CanvasRecord:
        return replace(record, image=replace(record.image, split=split_of[record.image.patient]))

    return CanvasSet(made.folder, tuple(map(with_split, made.records)))


def _canvases(
    config: MiniatureConfig, series: int, studies: int, *, work: Path, say: Say
) -> CanvasSet:
    return collect_canvases(
        Series(series, STANDARD, config.recipe),
        studies,
        root=work / "canvases",
        processes=usable_cores(),
        say=say,
    )


def _towers(
    config: MiniatureConfig, *, work: Path, say: Say
) -> dict[str, Callable[[], ImageEncoder]]:
    """How each tower comes to be, in the order of the tables."""

    def plain() -> ImageEncoder:
        return pretrained(config.model()).image.eval()

    def pretrained_on(name: str) -> Callable[[], ImageEncoder]:
        return lambda: _pretrained(config, name, work=work, say=say)

    return {PLAIN: plain} | {name: pretrained_on(name) for name in FOLDERS}


def _pretrained(config: MiniatureConfig, name: str, *, work: Path, say: Say) -> ImageEncoder:
    """Both runs have the same number of steps: what is compared is the data, not the time."""
    text = _canvases(config, config.text_series, config.text_studies, work=work, say=say)
    sources = [DataSource(kind="canvases", name="text", table=str(text.folder), texts="reports")]
    if name == TEXT_AND_LABELS:
        more = _canvases(config, config.label_series, config.label_studies, work=work, say=say)
        sources.append(
            DataSource(kind="canvases", name="labels", table=str(more.folder), texts="labels")
        )
    run = PretrainConfig(
        name=FOLDERS[name],
        seed=config.seed,
        recipe=config.recipe,
        model=config.model(),
        data=tuple(sources),
        augment=AugmentConfig(elastic=0.0, flip_rows=0.0),
        epochs=config.epochs,
        pairs=2 * config.text_studies,
        batch=config.batch,
        learning_rate=config.learning_rate,
        positives="facts",
        workers=0,
    )
    folder = own_folder(config, work) / FOLDERS[name]
    pretrain(run, work=folder, say=say)
    model = pretrained(run.model)
    model.load_state_dict(torch.load(folder / MODEL, weights_only=True), strict=True)
    return model.image.eval()


@torch.inference_mode()
def pooled_features(tower: ImageEncoder, canvases: CanvasSet) -> F32:
    """(N, C): mean over positions of the tower's features, of every canvas."""
    rows: list[F32] = []
    for start in range(0, len(canvases), EMBED_BATCH):
        piece = canvases.records[start : start + EMBED_BATCH]
        stack = np.stack([canvases.canvas(record) for record in piece])
        rows.append(tower(torch.from_numpy(stack)).features.mean(dim=(2, 3)).numpy())
    return np.concatenate(rows)


def _probes(features: dict[str, F32], task: Task, config: MiniatureConfig) -> list[Figure]:
    """Linear probes of every tower, and how much pretraining adds on the same images."""
    figures = [
        replace(figure, setting=f"{name}, {figure.setting}")
        for name, pooled in features.items()
        for figure in probe_figures(pooled, task, config=config.probe(), seed=config.seed)
    ]
    for better, worse in ((TEXT, PLAIN), (TEXT_AND_LABELS, TEXT)):
        for fraction in config.fractions:
            gain = compare_probes(
                features[better],
                features[worse],
                task,
                fraction=fraction,
                config=config.probe(),
                seed=config.seed,
            )
            figures.append(_gain(task, f"{better} - {worse}, LP {fraction:.0%}", gain))
    return figures


def _gain(task: Task, setting: str, gain: Interval) -> Figure:
    return Figure("miniature", task.name, setting, f"{task.metric} difference").measured(gain)


def _finetuned(
    towers: dict[str, ImageEncoder],
    canvases: CanvasSet,
    task: Task,
    *,
    config: MiniatureConfig,
    work: Path,
    say: Say,
) -> list[Figure]:
    """Fine-tuned towers at each share of the labels, and what pretraining adds."""
    figures: list[Figure] = []
    test = task.parts[Split.TEST]
    finetuned = own_folder(config, work) / "finetuned"
    folders = {name: finetuned / FOLDERS.get(name, "imagenet") for name in towers}
    for fraction in config.fractions:
        scores = {
            name: _scores(tower, canvases, task, fraction, (config, folders[name]), say)
            for name, tower in towers.items()
        }
        rng = np.random.default_rng([config.seed, round(100 * fraction)])
        statistics = {name: task.statistic(test, values) for name, values in scores.items()}
        for name, statistic in statistics.items():
            measured = interval(statistic, patients=test.patients, rng=rng)
            blank = Figure("miniature", task.name, f"{name}, FT {fraction:.0%}", task.metric)
            figures.append(blank.measured(measured))
        for better, worse in ((TEXT, PLAIN), (TEXT_AND_LABELS, TEXT)):
            gain = difference(
                statistics[better], statistics[worse], patients=test.patients, rng=rng
            )
            figures.append(_gain(task, f"{better} - {worse}, FT {fraction:.0%}", gain))
    return figures


def _scores(
    tower: ImageEncoder,
    canvases: CanvasSet,
    task: Task,
    fraction: float,
    given: tuple[MiniatureConfig, Path],
    say: Say,
) -> np.ndarray:
    """Scores of the test split, from disk where they were made before."""
    config, folder = given
    path = folder / f"{task.name}-{fraction:.0%}.npy".replace("%", "")
    if not path.exists():
        rng = np.random.default_rng([config.seed, 0])
        part = nested_subset(task.parts[Split.TRAIN], fraction, rng=rng)
        learned = finetune(
            tower,
            canvases,
            task.with_part(Split.TRAIN, part),
            config=config.finetune(),
            seed=config.seed,
            say=say,
        )
        with whole_file(path) as file:
            np.save(file, learned.scores)
    loaded: np.ndarray = np.load(path)
    return loaded


def as_markdown(figures: Sequence[Figure]) -> str:
    """A table for docs/ and LOG.md."""
    head = "| target | tower and labels | metric | value | 95 % interval | n |"
    lines = [head, "|---|---|---|---|---|---|"]
    for one in figures:
        value = "-" if one.value is None else f"{one.value:.3f}"
        low_high = "" if one.low is None else f"{one.low:.3f} to {one.high:.3f}"
        lines.append(
            f"| {one.target} | {one.setting} | {one.metric} | {value} | {low_high} | {one.n} |"
        )
    return "\n".join(lines)
