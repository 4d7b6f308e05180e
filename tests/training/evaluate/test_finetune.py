"""Fine-tuning a real tower on canvases of a few thousand pixels."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from model_store.arrays import U8
from tests.training.evaluate.canvases import make_canvases
from training.data.canvas_set import CanvasRecord, CanvasSet
from training.data.records import Box, Split
from training.evaluate.config import FinetuneConfig
from training.evaluate.finetune import Classifier, best_epoch, class_weights, finetune, predict
from training.evaluate.learning import batches, optimiser, resized, resized_box
from training.evaluate.metrics import auc_statistic
from training.evaluate.tasks import make_task
from training.models.image_encoder import ImageEncoder

CONFIG = FinetuneConfig(
    epochs=3,
    batch=8,
    learning_rate=3e-4,
    head_learning_rate=3e-3,
    height_px=64,
    width_px=48,
    augment=False,
)


class Watched(CanvasSet):
    """Notes the split of every canvas that is read, in order."""

    read_splits: list[Split] = []  # noqa: RUF012 - one for the whole test

    def canvas(self, record: CanvasRecord) -> U8:
        assert record.image.split is not None
        self.read_splits.append(record.image.split)
        return super().canvas(record)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def tower() -> ImageEncoder:
    torch.manual_seed(0)
    return ImageEncoder("lite0", embedding_size=16, pooling="mean")


def silent(_: str) -> None:
    return


def test_the_test_split_is_looked_at_once_after_the_last_epoch(tmp_path: Path) -> None:
    made = make_canvases(tmp_path, patients=8)
    Watched.read_splits.clear()
    canvases = Watched(made.folder, made.records)
    task = make_task(canvases, "mass")
    found = finetune(tower(), canvases, task, config=CONFIG, seed=1, say=silent)
    tests = len(task.parts[Split.TEST])
    assert Watched.read_splits.count(Split.TEST) == tests
    assert Watched.read_splits[-tests:] == [Split.TEST] * tests
    assert Watched.read_splits.count(Split.VALIDATION) == 3 * len(task.parts[Split.VALIDATION])
    assert len(found.validation) == 3
    assert found.epoch == int(np.argmax(found.validation))


def test_an_epoch_chosen_on_the_test_split_lifts_a_figure_where_there_is_nothing_to_learn() -> None:
    """What the reference does, on scores of pure chance: 30 epochs, 40 positive of 400."""
    rng = np.random.default_rng(0)
    theirs, ours = [], []
    for _ in range(40):
        truth = rng.permutation(np.repeat([True, False], [40, 360]))
        tests, validation = (
            [auc_statistic(truth, rng.normal(size=400))(np.ones((1, 400)))[0] for _ in range(30)]
            for _ in range(2)
        )
        theirs.append(max(tests))
        ours.append(tests[best_epoch(validation)])
    assert np.mean(theirs) > 0.57
    assert np.mean(ours) == pytest.approx(0.5, abs=0.02)


def test_the_first_of_equally_good_epochs_is_taken() -> None:
    assert best_epoch([0.5, 0.8, 0.8, 0.7]) == 1


def test_a_bright_square_is_learned_and_the_tower_given_is_left_as_it_was(tmp_path: Path) -> None:
    canvases = make_canvases(tmp_path, patients=16)
    task = make_task(canvases, "mass")
    given = tower()
    before = {name: value.clone() for name, value in given.state_dict().items()}
    said: list[str] = []
    config = CONFIG.model_copy(update={"epochs": 3})
    found = finetune(given, canvases, task, config=config, seed=1, say=said.append)
    assert task.score(task.parts[Split.TEST], found.scores) > 0.85
    assert all(torch.equal(before[name], value) for name, value in given.state_dict().items())
    assert len(said) == 3
    assert said[0].startswith("fine-tune mass, 32 images, epoch 1/3: loss ")


def test_the_same_seed_learns_the_same_and_density_has_four_logits(tmp_path: Path) -> None:
    canvases = make_canvases(tmp_path, patients=16)
    task = make_task(canvases, "density")
    config = CONFIG.model_copy(update={"epochs": 1, "augment": True})
    first, second = (
        finetune(tower(), canvases, task, config=config, seed=3, say=silent) for _ in range(2)
    )
    assert first.scores.shape == (16, 4)
    np.testing.assert_allclose(first.scores, second.scores, atol=1e-5)


def test_predictions_stand_in_the_order_of_the_part(tmp_path: Path) -> None:
    canvases = make_canvases(tmp_path, patients=8)
    model = Classifier(tower(), 2).eval()
    part = make_task(canvases, "mass").parts[Split.TRAIN]
    scores = predict(model, canvases, part, config=CONFIG)
    row = part.rows[5]
    image = torch.from_numpy(np.array(canvases.canvas(canvases.records[row])))[None]
    with torch.inference_mode():
        assert scores[5] == pytest.approx(model(image).item(), abs=1e-4)


def test_class_weights_by_hand() -> None:
    assert class_weights(np.array([0, 0, 0, 1]), 2).tolist() == [3.0]
    four = class_weights(np.array([0, 0, 0, 1]), 4)
    expected = torch.tensor([4 / (2 * 3), 4 / (2 * 1), 0, 0])
    torch.testing.assert_close(four, expected)


def test_the_rate_warms_up_and_falls_to_nothing() -> None:
    layer = torch.nn.Linear(2, 2)
    head = torch.nn.Linear(2, 1)
    config = CONFIG.model_copy(update={"warmup": 0.2})
    adam, schedule = optimiser(layer, head.parameters(), config, steps=10)
    rates = []
    for _ in range(10):
        rates.append([group["lr"] for group in adam.param_groups])
        adam.step()
        schedule.step()
    assert rates[0] == pytest.approx([1.5e-4, 1.5e-3])
    assert rates[1] == pytest.approx([3e-4, 3e-3])
    assert rates[6][0] == pytest.approx(3e-4 * 0.5 * (1 + math.cos(math.pi * 0.5)))
    assert rates[9][0] < 0.05 * rates[1][0]


def test_every_image_is_in_one_batch() -> None:
    found = batches(10, 4, rng=np.random.default_rng(0))
    assert [len(batch) for batch in found] == [4, 4, 2]
    assert sorted(np.concatenate(found).tolist()) == list(range(10))


def test_canvases_shrink_by_area_and_their_boxes_with_them() -> None:
    canvas = np.zeros((4, 6), np.uint8)
    canvas[:2, :3] = 200
    small = resized(canvas, height=2, width=2)
    assert small.tolist() == [[200, 0], [0, 0]]
    assert resized_box(Box(0, 0, 2, 3), canvas, height=2, width=2) == Box(0, 0, 1, 1)
    assert resized_box(Box(-2, 3, 2, 12), canvas, height=2, width=2) == Box(0, 1, 1, 2)
    assert resized_box(Box(5, 0, 8, 3), canvas, height=2, width=2) is None


def test_a_positive_image_weighs_as_much_as_all_the_negatives_it_stands_against() -> None:
    logits = torch.zeros(4, 1)
    weights: Tensor = class_weights(np.array([0, 0, 0, 1]), 2)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(
        logits[:, 0], torch.tensor([0.0, 0, 0, 1]), pos_weight=weights, reduction="none"
    )
    assert loss[3].item() == pytest.approx(loss[:3].sum().item())
