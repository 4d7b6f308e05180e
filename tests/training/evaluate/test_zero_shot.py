"""Answers of a model against the service's own scoring, and figures against hand arithmetic."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from model_store.manifest import Finding
from model_store.prompts import all_sentences, questions_for
from model_store.runtime import ModelRuntime
from model_store.scoring import aggregate, score_image
from tests.tiny_model import make_tiny_model
from tests.training.evaluate.canvases import make_canvases
from training.data.canvas_set import CanvasSet
from training.data.records import Category, Density, ImageRecord
from training.evaluate.cases import breast_rows, case_truth
from training.evaluate.density import SENTENCES, commonest_share, density_scores
from training.evaluate.embeddings import Embedded
from training.evaluate.zero_shot import (
    Answers,
    Level,
    answer_metrics,
    ask,
    calibrate_findings,
    evaluate_zero_shot,
)

FINDINGS = tuple(
    Finding(name=name, positive=(name, f"there is {name}"), negative=(f"no {name}",))
    for name in ("mass", "suspicious calcification", "malignancy", "skin thickening", "biopsy")
)


def silent(_: str) -> None:
    return


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> ModelRuntime:
    version = make_tiny_model(tmp_path_factory.mktemp("models"), findings=FINDINGS)
    return ModelRuntime.load(version, threads=1)


@pytest.fixture(scope="module")
def canvases(tmp_path_factory: pytest.TempPathFactory) -> CanvasSet:
    return make_canvases(tmp_path_factory.mktemp("canvases"), patients=8)


@pytest.fixture(scope="module")
def embedded(runtime: ModelRuntime, canvases: CanvasSet) -> Embedded:
    images = np.stack([canvases.canvas(record) for record in canvases.records])
    return Embedded(runtime.embed_images(images), np.zeros((len(images), 1), np.float32))


def test_scores_are_those_of_the_service_at_both_levels(
    runtime: ModelRuntime, canvases: CanvasSet, embedded: Embedded
) -> None:
    answers = ask(runtime, canvases, embedded, manifest=runtime.manifest)
    questions = questions_for(runtime.manifest, findings=None, prompts_json=None)
    sentences = all_sentences(questions)
    vectors = dict(zip(sentences, runtime.embed_texts(sentences), strict=True))
    images = [
        score_image(row, questions, vectors, runtime.manifest.logit_scale)
        for row in embedded.embeddings
    ]
    assert answers.image.scores["mass"].tolist() == pytest.approx([s[0].score for s in images])
    first = aggregate(images[:2], "mean", questions)
    assert answers.breast.scores["mass"][0] == pytest.approx(first[0].score)
    assert len(answers.breast.patients) == 16


def test_a_finding_is_measured_on_the_images_whose_truth_is_known(
    runtime: ModelRuntime, tmp_path: Path, embedded: Embedded
) -> None:
    def half_annotated(image: ImageRecord, number: int) -> ImageRecord:
        return image if number < 16 else replace(image, annotated=frozenset(), findings=())

    partly = make_canvases(tmp_path / "set", patients=8, change=half_annotated)
    answers = ask(runtime, partly, embedded, manifest=runtime.manifest)
    found = {m.name: m for m in answer_metrics(answers, data="made", seed=1, resamples=50)}
    mass = found["zero-shot AUC, mass, image"]
    labels = [number % 4 < 2 and number // 4 % 2 == 1 for number in range(16)]
    assert mass.n == 16
    assert mass.value == pytest.approx(
        roc_auc_score(labels, answers.image.order["mass"][:16]), abs=1e-4
    )
    assert found["zero-shot AUC, malignancy, image"].n == 32
    assert found["calibration error (ECE), mass, image"].n == 16


def test_findings_that_nobody_looked_for_or_that_nobody_has_are_left_out(
    runtime: ModelRuntime, canvases: CanvasSet, embedded: Embedded
) -> None:
    answers = ask(runtime, canvases, embedded, manifest=runtime.manifest)
    assert answers.image.measurable() == ("mass", "malignancy")
    assert not answers.image.known["skin thickening"].any()
    assert answers.image.known["suspicious calcification"].all()


def test_the_mean_over_the_lesser_findings_leaves_out_the_two_main_ones() -> None:
    order = {
        "mass": np.array([0.0, 1, 0, 1]),
        "skin thickening": np.array([0.1, 0.2, 0.3, 0.4]),
        "focal asymmetry": np.array([0.4, 0.3, 0.2, 0.1]),
    }
    labels = dict.fromkeys(order, np.array([False, True, False, True]))
    level = Level(
        name="image",
        scores=order,
        order=order,
        labels=labels,
        known=dict.fromkeys(order, np.ones(4, bool)),
        patients=np.array(["a", "b", "c", "d"]),
    )
    found = {m.name: m for m in answer_metrics(Answers(level, level), data="made", seed=1)}
    assert found["zero-shot AUC, mass, image"].value == 1
    mean = found["zero-shot AUC, mean of 2 other findings, image"]
    assert mean.value == pytest.approx((0.75 + 0.25) / 2)


def test_breasts_gather_their_views_and_unknown_is_not_no(canvases: CanvasSet) -> None:
    images = [record.image for record in canvases.records]
    assert breast_rows(images)[:3] == [[0, 1], [2, 3], [4, 5]]
    sick, healthy = images[4], images[6]
    unknown = replace(healthy, annotated=frozenset())
    assert case_truth([healthy, sick], "mass") is True
    assert case_truth([unknown, sick], "mass") is True
    assert case_truth([healthy, unknown], "mass") is None
    assert case_truth([healthy, healthy], "mass") is False
    assert case_truth([healthy], Category.SKIN_THICKENING.value.lower()) is None
    assert case_truth([sick], "malignancy") is True
    assert case_truth([sick], "implant") is None


def test_density_is_the_class_of_the_nearest_ensemble(
    runtime: ModelRuntime, embedded: Embedded
) -> None:
    scores = density_scores(runtime, embedded)
    assert scores.shape == (32, 4)
    mean = runtime.embed_texts(SENTENCES[Density.C]).mean(axis=0)
    expected = embedded.embeddings @ (mean / np.linalg.norm(mean))
    np.testing.assert_allclose(scores[:, 2], expected, atol=1e-6)


def test_the_commonest_class_is_told_beside_the_accuracy() -> None:
    assert commonest_share(np.array([2, 2, 2, 1])) == 0.75


def test_the_whole_evaluation_says_its_data_and_its_intervals(
    runtime: ModelRuntime, canvases: CanvasSet, tmp_path: Path
) -> None:
    found = evaluate_zero_shot(
        runtime, canvases, cache=tmp_path, data="made", seed=3, say=silent, resamples=100
    )
    named = {metric.name: metric for metric in found}
    assert named["density accuracy, image"].n == 32
    assert named["density accuracy, breast"].n == 16
    assert named["zero-shot AUC, mass, breast"].n == 16
    assert all(metric.data == "made" for metric in found)
    for metric in found:
        assert metric.low is not None
        assert metric.high is not None
        assert metric.low <= metric.high
    again = evaluate_zero_shot(
        runtime, canvases, cache=tmp_path, data="made", seed=3, say=silent, resamples=100
    )
    assert again == found


def test_findings_are_calibrated_where_they_can_be_and_it_is_said_where_not(
    runtime: ModelRuntime, canvases: CanvasSet, embedded: Embedded
) -> None:
    answers = ask(runtime, canvases, embedded, manifest=runtime.manifest)
    truth = np.where(answers.image.labels["mass"], 2.0, -2.0)
    noise = np.random.default_rng(1).normal(0, 2, len(truth))
    answers.image.order["mass"] = truth + noise
    answers.image.order["malignancy"] = -truth
    said: list[str] = []
    mass, calcification, malignancy, skin, _ = calibrate_findings(
        FINDINGS, answers.image, say=said.append
    )
    assert mass.calibration is not None
    assert mass.threshold is not None
    assert calcification.calibration is None
    assert malignancy.calibration is None
    assert skin.threshold is None
    assert any("malignancy stays raw: scores do not rise" in line for line in said)
    assert any("skin thickening stays raw: 0 of 0 cases are positive" in line for line in said)
