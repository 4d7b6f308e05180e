"""RetinaNet on a real tower, at a size that two cores can bear."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model_store.arrays import U8
from tests.training.evaluate.canvases import make_canvases
from training.data.canvas_set import CanvasRecord, CanvasSet
from training.data.records import Category, Finding, ImageRecord
from training.evaluate.average_precision import ap_statistic, match
from training.evaluate.config import DetectConfig
from training.evaluate.detect import (
    Backbone,
    Levels,
    detect,
    examples,
    make_detector,
    train_detector,
)
from training.evaluate.squares import Squares
from training.models.image_encoder import ImageEncoder, load_imagenet

CONFIG = DetectConfig(
    epochs=1,
    batch=2,
    learning_rate=1e-4,
    head_learning_rate=1e-3,
    size_px=64,
    score_threshold=0.0,
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def tower() -> ImageEncoder:
    torch.manual_seed(0)
    return ImageEncoder("lite0", embedding_size=16, pooling="mean")


def silent(_: str) -> None:
    return


def test_levels_are_the_towers_own_maps_at_strides_8_16_and_32() -> None:
    given = tower().eval()
    levels = Levels(given)
    image = torch.randn(2, 1, 128, 96)
    with torch.inference_mode():
        maps = levels(image)
        features = given.head(given.trunk(image)).features
    assert [tuple(one.shape) for one in maps.values()] == [
        (2, 40, 16, 12),
        (2, 112, 8, 6),
        (2, 1280, 4, 3),
    ]
    torch.testing.assert_close(maps["c5"], features)


def test_b2_gives_its_levels_too() -> None:
    levels = Levels(ImageEncoder("b2", embedding_size=16, pooling="mean").eval())
    assert levels.channels == [48, 120, 1408]


def test_the_pyramid_has_five_maps_of_one_width() -> None:
    with torch.inference_mode():
        maps = Backbone(tower(), frozen=True).eval()(torch.randn(1, 1, 128, 128))
    assert [one.shape[1:] for one in maps.values()] == [
        (256, 16, 16),
        (256, 8, 8),
        (256, 4, 4),
        (256, 2, 2),
        (256, 1, 1),
    ]


@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_tower_does_not_move_and_a_fine_tuned_one_does(
    tmp_path: Path, frozen: bool
) -> None:
    canvases = make_canvases(tmp_path, patients=4)
    given = tower()
    before = {name: value.clone() for name, value in given.state_dict().items()}
    sick = [one for one in examples(canvases, Category.MASS) if one.boxes]
    model = train_detector(given, canvases, sick, frozen=frozen, config=CONFIG, seed=1, say=silent)
    learned = model.backbone.levels.tower.net.state_dict()
    moved = [
        name for name, value in learned.items() if not torch.equal(value, before[f"net.{name}"])
    ]
    assert bool(moved) is not frozen
    assert all(torch.equal(before[name], value) for name, value in given.state_dict().items())


class Watched(CanvasSet):
    """Leaves a file named after each process that reads."""

    def canvas(self, record: CanvasRecord) -> U8:
        (self.folder / f"{os.getpid()}.reader").touch()
        return super().canvas(record)


def test_images_are_loaded_by_the_processes_asked_for_and_are_the_same(tmp_path: Path) -> None:
    canvases = Watched(tmp_path, make_canvases(tmp_path, patients=4).records)
    given = tuple(one for one in examples(canvases, Category.MASS) if one.boxes)
    losses = []
    for workers in (1, 0):
        said: list[str] = []
        config = CONFIG.model_copy(update={"workers": workers})
        train_detector(
            tower(), canvases, given, frozen=True, config=config, seed=1, say=said.append
        )
        losses.append(said)
        (reader,) = tmp_path.glob("*.reader")
        assert (int(reader.stem) == os.getpid()) is (workers == 0)
        reader.unlink()
    assert losses[0] == losses[1]


def test_a_batch_depends_on_the_seed_and_its_number_alone(tmp_path: Path) -> None:
    canvases = make_canvases(tmp_path, patients=4)
    given = tuple(examples(canvases, Category.MASS))
    squares = Squares(canvases, given, CONFIG, seed=3)
    assert squares.steps == 8
    later = squares(11)[0]
    assert torch.equal(later, Squares(canvases, given, CONFIG, seed=3)(11)[0])
    assert not torch.equal(later, squares(3)[0])  # the same place of the epoch before
    plain = Squares(canvases, given, CONFIG.model_copy(update={"augment": False}), seed=3)
    shown = [plain(8 + place)[0] for place in range(8)]
    brightness = torch.cat(shown).double().mean(dim=(1, 2)).sort().values
    straight = [Squares(canvases, given, CONFIG)(place)[0] for place in range(8)]
    expected = torch.cat(straight).double().mean(dim=(1, 2)).sort().values
    torch.testing.assert_close(brightness, expected)  # every image once


def test_examples_are_the_images_whose_truth_is_known_with_boxes_on_the_canvas(
    tmp_path: Path,
) -> None:
    def changed(image: ImageRecord, number: int) -> ImageRecord:
        if number == 4:  # a mass without a box
            return replace(image, findings=(Finding((Category.MASS,)),))
        return image if number else replace(image, annotated=frozenset())

    canvases = make_canvases(tmp_path, patients=2, change=changed)
    found = examples(canvases, Category.MASS)
    kept = [canvases.records.index(one.record) for one in found]
    assert kept == [1, 2, 3, 5, 6, 7]
    assert [len(one.boxes) for one in found] == [0, 0, 0, 1, 0, 0]
    assert examples(canvases, Category.SKIN_THICKENING) == []


def test_what_is_found_stands_beside_the_truth_in_the_same_pixels(tmp_path: Path) -> None:
    canvases = make_canvases(tmp_path, patients=2)
    given = examples(canvases, Category.MASS)
    model = make_detector(tower(), frozen=True, config=CONFIG)
    found = detect(model, canvases, given, config=CONFIG)
    assert len(found) == 8
    box = given[4].boxes[0]
    expected = np.array([box.top, box.left * 64 / 48, box.bottom, box.right * 64 / 48])
    np.testing.assert_allclose(found[4].truths, expected[None], rtol=1e-6)
    assert len(found[0].truths) == 0
    boxes = np.vstack([one.boxes for one in found])
    assert boxes.min() >= 0
    assert boxes.max() <= 64
    assert (boxes[:, 2:] >= boxes[:, :2]).all()


@pytest.mark.slow
def test_a_bright_square_is_found(tmp_path: Path) -> None:
    """Heads on a frozen ImageNet tower learn to box what they are shown."""
    canvases = make_canvases(tmp_path, patients=6, size=(96, 96))
    config = CONFIG.model_copy(
        update={"epochs": 9, "size_px": 96, "batch": 4, "augment": False, "warmup": 0.05}
    )
    given = tower()
    load_imagenet(given)
    sick = [one for one in examples(canvases, Category.MASS) if one.boxes]
    model = train_detector(given, canvases, sick, frozen=True, config=config, seed=1, say=silent)
    matched = match(detect(model, canvases, sick, config=config), iou=0.3)
    assert ap_statistic(matched)(np.ones((1, len(sick))))[0] > 0.3
