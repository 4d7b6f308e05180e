"""Localisation figures by hand, and Grad-CAM where its answer is known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from model_store.factor import HeatBox
from model_store.runtime import ModelRuntime
from tests.tiny_model import make_tiny_model
from tests.training.evaluate.canvases import make_canvases
from training.data.records import Box, Category
from training.evaluate.figures import Figure
from training.evaluate.gradcam import grad_cam
from training.evaluate.localise import FACTOR, GRAD_CAM, Look, look_at
from training.evaluate.localise_figures import localisation_figures, statistics
from training.models.image_encoder import ImageEncoder

TRUTH = Box(100, 100, 200, 200)
EXACT = HeatBox((100, 100, 200, 200), 2.0)
HALF = HeatBox((100, 100, 200, 140), 1.0)  # IoU 0.4
FAR = HeatBox((500, 500, 600, 600), 3.0)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def _look(
    *boxes: HeatBox,
    patient: str,
    truths: tuple[Box, ...] = (TRUTH,),
    peak: tuple[float, float] = (150, 150),
    score: float = 0.9,
) -> Look:
    return Look(boxes, peak, truths, present=score >= 0.5, score=score, patient=patient)


LOOKS = [
    _look(EXACT, FAR, patient="a"),
    _look(HALF, patient="b", peak=(99.9, 150)),
    _look(FAR, EXACT, patient="c", peak=(199.9, 199.9)),
    _look(patient="d", peak=(0, 0), score=0.2),
    _look(FAR, patient="e", truths=(), peak=(550, 550), score=0.8),  # has no box of the finding
    _look(FAR, patient="f", truths=(), peak=(550, 550), score=0.1),
]


def _values(looks: list[Look]) -> dict[str, float]:
    return {
        name: float(statistic(np.ones((1, len(looks))))[0])
        for name, statistic in statistics(looks).items()
    }


def test_rates_are_of_the_images_with_a_box_and_by_the_best_heat_box() -> None:
    values = _values(LOOKS)
    assert values["IoU@0.25"] == 2 / 4  # a and b: what is best in c is far away
    assert values["IoU@0.50"] == 1 / 4
    assert values["any box, IoU@0.50"] == 2 / 4
    assert values["pointing game"] == 2 / 4  # b points just above the box


def test_average_precision_is_of_all_images_and_gated_by_their_score() -> None:
    gated = _values([_look(EXACT, patient="a", score=0.2)])
    assert gated["mAP@0.25"] == 0
    assert _values([_look(EXACT, patient="a")])["mAP@0.25"] == pytest.approx(1)
    healthy = _look(FAR, patient="e", truths=(), score=0.95)
    assert _values([_look(EXACT, patient="a"), healthy])["mAP@0.25"] == pytest.approx(0.5)
    silent = _look(FAR, patient="e", truths=(), score=0.05)
    assert _values([_look(EXACT, patient="a"), silent])["mAP@0.25"] == pytest.approx(1)


def _figure(figures: list[Figure], setting: str, metric: str) -> Figure:
    (found,) = [f for f in figures if (f.setting, f.metric) == (setting, metric)]
    return found


def test_figures_have_intervals_by_patient_and_a_difference_to_grad_cam() -> None:
    worse = [_look(FAR, patient=look.patient, truths=look.truths, peak=(0, 0)) for look in LOOKS]
    figures = localisation_figures(
        {(FACTOR, "mass"): LOOKS, (GRAD_CAM, "mass"): worse}, seed=1, resamples=200
    )
    factor = _figure(figures, FACTOR, "IoU@0.25")
    assert (factor.value, factor.n) == (0.5, 4)  # of six images, those with a box
    assert factor.low is not None
    assert factor.high is not None
    assert 0 <= factor.low < 0.5 < factor.high <= 1
    gain = _figure(figures, f"{FACTOR} less {GRAD_CAM}", "IoU@0.25")
    assert gain.value == 0.5
    assert _figure(figures, GRAD_CAM, "IoU@0.25").value == 0


def test_rates_of_one_patients_boxes_have_no_interval() -> None:
    """Other patients' images without a box do not make one: they are not counted in a rate."""
    healthy = [_look(FAR, patient=patient, truths=()) for patient in "bcd"]
    figures = localisation_figures(
        {(FACTOR, "mass"): [_look(EXACT, patient="a"), *healthy]}, seed=1, resamples=50
    )
    rate = _figure(figures, FACTOR, "IoU@0.25")
    assert (rate.value, rate.low, rate.high, rate.n) == (1, None, None, 1)
    assert "too few patients" in rate.note


def test_a_finding_without_boxes_has_no_figure_and_says_so() -> None:
    healthy = [_look(patient="a", truths=()), _look(patient="b", truths=())]
    figures = localisation_figures({(FACTOR, "mass"): healthy}, seed=1, resamples=10)
    assert {figure.value for figure in figures} == {None}
    assert "no image has a box" in figures[0].note


def test_every_image_whose_truth_is_known_is_looked_at_by_both_methods(tmp_path: Path) -> None:
    runtime = ModelRuntime.load(make_tiny_model(tmp_path / "models"), threads=1)
    canvases = make_canvases(tmp_path / "canvases", patients=4)
    looks = look_at(runtime, canvases, ["mass"], tower=_tower(8, 16), say=lambda _: None)
    assert {*looks} == {(FACTOR, "mass"), (GRAD_CAM, "mass")}
    for one in looks.values():
        assert len(one) == len(canvases)
        boxed = [bool(record.boxes(Category.MASS)) for record in canvases.records]
        assert [bool(look.truths) for look in one] == boxed
        for look in one:
            assert 0 <= look.peak[0] <= 64
            assert all(box.box[2] <= 64 and box.box[3] <= 48 for box in look.boxes)
    assert [look.score for look in looks[FACTOR, "mass"]] == [
        look.score for look in looks[GRAD_CAM, "mass"]
    ]


class _Head(torch.nn.Module):
    """The part of a tower that Grad-CAM needs."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.project = torch.nn.Linear(channels, size)

    def pooled(self, features: torch.Tensor) -> torch.Tensor:
        return features.mean(dim=(2, 3))


def _tower(channels: int, size: int) -> ImageEncoder:
    torch.manual_seed(0)
    return _Head(channels, size).eval()  # type: ignore[return-value]


def test_grad_cam_is_its_own_formula() -> None:
    tower = _tower(5, 7)
    rng = np.random.default_rng(0)
    features = rng.standard_normal((5, 4, 3)).astype(np.float32)
    positive, negative = rng.standard_normal((2, 7)).astype(np.float32)
    given = torch.from_numpy(features[None]).requires_grad_()
    embedding = functional.normalize(tower.project(tower.pooled(given)), dim=1)
    (embedding @ torch.from_numpy(positive - negative)).sum().backward()
    assert given.grad is not None
    weights = given.grad[0].mean(dim=(1, 2)).numpy()
    expected = np.maximum(np.einsum("c,chw->hw", weights, features), 0)
    got = grad_cam(tower, features, positive=positive, negative=negative)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-8)
    assert got.any()
