"""What a pretraining run is made of: its pairs, its truth, its average, its learning rate."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.training.pretrain_factory import SHAPE, silent, small_run
from training.config import DataSource
from training.data.facts import Attribute, Facts, no_claims
from training.data.pairs import PairBatch
from training.data.passes import PairFetch
from training.ema import Ema, averaged
from training.pretrain import pair_truth, plan_of
from training.run import Plan
from training.schedule import learning_rate_factor
from training.sources import open_pairs

MASS, SIDE = Attribute(0), Attribute.SIDE


def batch(facts: Facts, claims1: Facts, claims2: Facts) -> PairBatch:
    images = torch.zeros(len(facts), 2, 2, dtype=torch.uint8)
    texts = [""] * len(facts)
    return PairBatch(images, images, texts, texts, facts, claims1, claims2)


def claim(**stated: int) -> Facts:
    made = no_claims()
    for name, value in stated.items():
        made[Attribute[name]] = value
    return made


def test_a_templated_text_is_true_of_every_breast_that_it_fits() -> None:
    left, right = (np.zeros(len(Attribute), np.int8) for _ in range(2))
    right[SIDE] = 1
    facts = np.stack([left, right, left])
    of_left, of_all = claim(SIDE=0), claim(DENSITY=0)
    report = no_claims()  # a radiologist's own
    tables = pair_truth(
        batch(facts, np.stack([of_left, of_all, report]), np.stack([of_left, report, report])),
        torch.device("cpu"),
    )
    expected = [[1, 1, 0], [0, 1, 0], [1, 1, 1]]  # rows are breasts
    assert tables.image1_text1.int().tolist() == expected
    assert torch.equal(tables.image1_text1, tables.image2_text1)
    assert tables.image1_text2.int().tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 1]]
    assert tables.texts is not None
    assert torch.equal(tables.texts, torch.eye(3, dtype=torch.bool))


def test_processes_and_passes_see_different_pairs_and_an_epoch_sees_them_all() -> None:
    class Numbers:
        def __len__(self) -> int:
            return 12

    seen = []

    class Recorder(Numbers):
        def __getitem__(self, index: int) -> int:
            seen.append(index)
            raise StopIteration

    for rank in range(2):
        fetch = PairFetch(Recorder(), 1, rank, 2)  # type: ignore[arg-type]
        for number in range(6):
            with pytest.raises(StopIteration):
                fetch(number)
    assert seen == [0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]


def test_a_run_reads_the_training_split_and_plans_whole_steps(tmp_path: Path) -> None:
    config = small_run(tmp_path, batch=2, accumulate=2)
    pairs = open_pairs(config, root=tmp_path / "canvases", say=silent)
    assert len(pairs) == 10  # five studies, two breasts
    assert pairs[0].images[0].shape == SHAPE
    assert plan_of(config, pairs, world=1) == Plan(
        epochs=2, steps=2, accumulate=2, save_every=200, say_every=20, seed=4
    )
    with pytest.raises(ValueError, match="10 pairs do not fill one step of 16"):
        plan_of(config, pairs, world=4)


def test_two_sets_are_mixed_by_weight_and_else_by_size(tmp_path: Path) -> None:
    first = small_run(tmp_path)
    table = first.data[0].table
    one, two = (DataSource(kind="canvases", name=name, table=table) for name in ("one", "two"))
    said: list[str] = []
    mixed = small_run(tmp_path, data=(one, two), pairs=8)
    assert len(open_pairs(mixed, root=tmp_path, say=said.append)) == 8
    assert said == ["one: 10 breasts to train on", "two: 10 breasts to train on"]


def test_the_learning_rate_rises_and_then_falls_to_nothing() -> None:
    factor = learning_rate_factor(4, warmup_steps=2)
    assert [factor(step) for step in (0, 1, 2)] == [0.5, 1.0, 1.0]
    assert factor(3) == pytest.approx(0.5)
    assert factor(4) == pytest.approx(0.0)


class Stand:
    """Where a Trainer stands, for a callback that asks nothing else."""

    global_step = 0


def test_the_average_follows_what_learns_and_forgets_its_start() -> None:
    layer, stand, average = nn.Linear(1, 1), Stand(), Ema(0.5)
    layer.bias.requires_grad_(False)
    assert averaged(layer).keys() == {"weight"}
    values = [8.0, 4.0, 2.0]
    for step, value in enumerate(values, start=1):
        layer.weight.data.fill_(value)
        stand.global_step = step
        average.on_train_batch_end(stand, layer)  # type: ignore[arg-type]
        average.on_train_batch_end(stand, layer)  # type: ignore[arg-type]  # another pass
    second = 8 + (4 - 8) * (1 - 3 / 12)
    third = second + (2 - second) * (1 - 4 / 13)
    again = Ema(0.5)
    again.load_state_dict(average.state_dict())
    again.copy_to(layer)
    assert layer.weight.item() == pytest.approx(third)
    with pytest.raises(ValueError, match="between 0 and 1"):
        Ema(1.0)
