"""Recall of reports: by hand, by counting, and by the model's own scores."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model_store.runtime import ModelRuntime
from tests.tiny_model import make_tiny_model
from tests.training.evaluate.canvases import make_canvases
from training.data.records import ImageRecord, Report
from training.evaluate.embeddings import Embedded
from training.evaluate.retrieval import (
    content,
    first_hits,
    make_pairs,
    own_hits,
    report_text,
    retrieval_figures,
)
from training.evaluate.tasks import NothingToMeasure


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def test_ones_own_report_in_the_second_place_is_found_from_two_on() -> None:
    scores = np.array([[0.5, 0.9], [0.1, 0.8]])
    hits = own_hits(scores)
    assert hits[:, 1].tolist() == [0, 1]
    assert hits[:, 2].tolist() == [1, 1]


def test_a_tie_is_worth_the_chance_of_drawing_the_right_one() -> None:
    """Three equal scores and one above: of 2 places one is left for three that tie."""
    scores = np.full((4, 4), 0.5)
    scores[0, 3] = 0.9
    assert own_hits(scores)[0, :5].tolist() == pytest.approx([0, 0, 1 / 3, 2 / 3, 1])


def test_any_report_of_the_same_content_is_a_hit_and_ties_with_wrong_ones_come_last() -> None:
    scores = np.array([[0.2, 0.7, 0.7], [0.1, 0.1, 0.1], [0.9, 0.1, 0.2]])
    right = np.array([[True, True, False], [False, True, False], [False, False, True]])
    assert first_hits(scores, right)[:, 1].tolist() == [0, 0, 0]
    assert first_hits(scores, right)[:, 2].tolist() == [1, 0, 1]
    assert first_hits(scores, right)[:, 3].tolist() == [1, 1, 1]


def test_content_is_what_is_known_or_else_the_words(tmp_path: Path) -> None:
    canvases = make_canvases(tmp_path, patients=2)
    healthy, sick = canvases.records[0].image, canvases.records[4].image
    assert content(healthy) != content(sick)
    assert content(replace(healthy, report=Report(findings=("Nothing.",)))) == content(healthy)
    unseen = replace(healthy, annotated=frozenset(), report=Report(("No  mass.",), ("Benign.",)))
    assert content(unseen) == "no mass. benign."
    assert report_text(unseen) == "No  mass. Benign."
    assert report_text(replace(unseen, report=None)) == ""


def test_the_pool_holds_one_image_a_breast_of_whole_patients(tmp_path: Path) -> None:
    canvases = make_canvases(tmp_path, patients=20)
    pairs = make_pairs(canvases, pool=None, rng=rng())
    assert len(pairs.rows) == 40
    assert all(canvases.records[row].image.view == "CC" for row in pairs.rows)
    few = make_pairs(canvases, pool=30, rng=rng())
    assert len(few.rows) == 30
    assert len(set(few.patients.tolist())) == 15


def test_without_reports_there_is_nothing_to_retrieve(tmp_path: Path) -> None:
    def silent(image: ImageRecord, _: int) -> ImageRecord:
        return replace(image, report=None)

    canvases = make_canvases(tmp_path, patients=20, change=silent)
    with pytest.raises(NothingToMeasure, match="0 breasts with a report"):
        make_pairs(canvases, pool=None, rng=rng())


def test_a_tower_that_gives_each_image_its_reports_embedding_finds_every_report(
    tmp_path: Path,
) -> None:
    def told(image: ImageRecord, number: int) -> ImageRecord:
        return replace(image, report=Report(findings=(f"report {number} of a breast",)))

    canvases = make_canvases(tmp_path / "set", patients=12, change=told)
    runtime = ModelRuntime.load(make_tiny_model(tmp_path / "models"), threads=1)
    texts = [report_text(record.image) for record in canvases.records]
    ideal = Embedded(runtime.embed_texts(texts), np.zeros((len(texts), 1), np.float32))
    pairs = make_pairs(canvases, pool=None, rng=rng())
    figures = retrieval_figures(runtime, ideal, pairs, seed=1, resamples=20)
    assert len(figures) == 2 * 2 * 3
    assert {figure.value for figure in figures} == {1.0}
    noise = np.random.default_rng(3).normal(size=ideal.embeddings.shape).astype(np.float32)
    blind = retrieval_figures(runtime, Embedded(noise, noise), pairs, seed=1, resamples=20)
    own_at_10 = next(f for f in blind if (f.target, f.metric) == ("own report", "Recall@10"))
    assert own_at_10.value is not None
    assert own_at_10.value < 0.8
    assert own_at_10.note == f"pool of 24; by chance {10 / 24:.3f}"
