"""Which split an evaluation is made on, what it is known by, and what it warns of."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from model_store.manifest import SEAL
from model_store.store import MANIFEST, ModelStore
from tests.tiny_model import make_tiny_model
from tests.training.evaluate.canvases import make_canvases
from tests.training.evaluate.tables import write_tables
from training.data.canvas_set import CanvasRecord, CanvasSet
from training.data.phantom.rules import PhantomRules
from training.data.records import Box, Category, Finding, Split
from training.evaluate.config import QUICK
from training.evaluate.evaluation import NO_TEST, Evaluation
from training.evaluate.opened import DataOptions
from training.evaluate.run import REPORT, TABLES, run_parts
from training.evaluate.start import Choice, start

SIZE = (96, 64)
TRAINED = {"split_seed": 3, "trained_on": "reports, vindr"}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tables(tmp_path_factory.mktemp("tables"), patients=8)


def store(folder: Path, **made_by: object) -> ModelStore:
    """A tiny model whose manifest says in made_by how it came to be."""
    plain = make_tiny_model(folder / "plain", height=SIZE[0], width=SIZE[1]).path
    staging = folder / "staging"
    shutil.copytree(plain, staging, ignore=shutil.ignore_patterns(SEAL))
    manifest = json.loads((staging / MANIFEST).read_text())
    manifest["made_by"] |= made_by
    (staging / MANIFEST).write_text(json.dumps(manifest))
    ModelStore(folder / "store").publish(staging)
    return ModelStore(folder / "store")


def started(models: ModelStore, tables: Path, said: list[str], **choice: int | None) -> Evaluation:
    options = DataOptions("vindr", work=tables / "canvases", csv=tables, images=tables)
    chosen = replace(Choice("tiny", models, threads=1), **choice)
    return start(chosen, options, out=tables / "out", say=said.append)


def splits(evaluation: Evaluation) -> list[Split | None]:
    return [record.image.split for record in evaluation.canvases.records]


def test_an_evaluation_s_seed_does_not_move_the_splits(tables: Path, tmp_path: Path) -> None:
    models = store(tmp_path)
    first, other = (started(models, tables, [], seed=seed) for seed in (1, 2))
    assert splits(first) == splits(other)
    assert first.split_seed == other.split_seed == 0
    assert (first.config.seed, other.config.seed) == (1, 2)


def test_the_splits_are_those_that_the_model_was_trained_by(tables: Path, tmp_path: Path) -> None:
    models, said = store(tmp_path, **TRAINED), list[str]()
    evaluation = started(models, tables, said)
    assert "splits: by seed 3, as tiny/1 was trained" in said
    assert evaluation.about()["split seed"] == 3
    assert not evaluation.warnings
    assert started(models, tables, [], split_seed=3).warnings == ()


def test_another_split_than_the_model_was_trained_by_is_warned_of(
    tables: Path, tmp_path: Path
) -> None:
    models = store(tmp_path, **TRAINED)
    (warning,) = started(models, tables, [], split_seed=4).warnings
    assert "tiny/1 was trained on data of kind vindr split by seed 3" in warning
    elsewhere = store(tmp_path / "other", split_seed=3, trained_on="rsna")
    assert started(elsewhere, tables, [], split_seed=4).warnings == ()


def untested(evaluation: Evaluation) -> Evaluation:
    """The same without any image to test on."""

    def trained(record: CanvasRecord) -> CanvasRecord:
        return replace(record, image=replace(record.image, split=Split.TRAIN))

    records = tuple(map(trained, evaluation.canvases.records))
    return replace(evaluation, canvases=CanvasSet(evaluation.canvases.folder, records))


def test_data_without_a_test_split_is_warned_of_on_the_screen_and_in_the_report(
    tables: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    evaluation = replace(
        started(store(tmp_path), tables, said), config=QUICK.model_copy(update={"resamples": 20})
    )
    without = replace(untested(evaluation), out=tmp_path / "out")
    assert len(without.tested) == len(without.canvases) > len(evaluation.tested) > 0
    run_parts(without, ["zero-shot"])
    assert f"WARNING: {NO_TEST}" in said
    assert f'<p class="warning">{NO_TEST}</p>' in (without.out / REPORT).read_text()
    assert f"**Warning: {NO_TEST}**" in (without.out / TABLES).read_text()
    assert not evaluation.warnings


def test_whatever_is_told_anew_of_an_image_is_another_evaluation(
    tables: Path, tmp_path: Path
) -> None:
    evaluation = started(store(tmp_path), tables, [])
    first, *others = evaluation.canvases.records
    known = {evaluation.identity}
    for change in (
        {"labels": {"malignancy": True, "implant": True}},
        {"findings": (Finding((Category.MASS,), Box(1, 2, 30, 40)),)},
        {"split": Split.VALIDATION if first.image.split is Split.TEST else Split.TEST},
        {"density": None},
    ):
        records = (replace(first, image=replace(first.image, **change)), *others)
        canvases = CanvasSet(evaluation.canvases.folder, records)
        known.add(replace(evaluation, canvases=canvases).identity)
    assert len(known) == 5
    assert replace(evaluation).identity in known


def test_phantoms_of_another_contrast_are_another_evaluation_and_say_so(tmp_path: Path) -> None:
    models = store(tmp_path)

    def opened(contrast: float) -> Evaluation:
        rules = PhantomRules(contrast=contrast)
        options = DataOptions("phantoms", work=tmp_path, studies=1, rules=rules)
        return start(Choice("tiny", models, threads=1), options, out=tmp_path, say=lambda _: None)

    plain, faint = opened(1.0), opened(0.5)
    assert plain.identity != faint.identity
    assert plain.measured.words == "phantoms, seed 77, 1 studies"
    assert faint.measured.words == "phantoms, seed 77, 1 studies, contrast 0.5"
    same = replace(faint, canvases=CanvasSet(faint.canvases.folder, plain.canvases.records))
    assert same.identity != plain.identity


def test_embeddings_speak_while_they_are_made(tmp_path: Path) -> None:
    said: list[str] = []
    evaluation = start(
        Choice("tiny", store(tmp_path), threads=1),
        DataOptions("phantoms", work=tmp_path, studies=1),
        out=tmp_path,
        say=said.append,
    )
    many = make_canvases(tmp_path / "many", patients=75, size=SIZE)
    said.clear()
    replace(evaluation, canvases=many).embedded()
    assert said == ["embeddings: 256/300 images", "embeddings: 300/300 images"]
