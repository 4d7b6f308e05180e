from pathlib import Path

import numpy as np
import pytest

from tests.training.canvas_factory import make_set
from training.data.canvas_set import CanvasSet
from training.data.facts import truth
from training.data.records import Box, Category
from training.data.whole import BreastDataset, breast_pairs, collate_breasts


@pytest.fixture
def canvases(tmp_path: Path) -> CanvasSet:
    return make_set(tmp_path, studies=3, boxes={Category.MASS: Box(40, 30, 60, 50)})


def features_of(canvases: CanvasSet) -> np.ndarray:
    rows = np.arange(len(canvases), dtype=np.float16)[:, None, None, None]
    return np.broadcast_to(rows, (len(canvases), 4, 3, 2))


def test_a_pair_is_cc_and_mlo_of_one_breast(canvases: CanvasSet) -> None:
    pairs = breast_pairs(canvases.records)
    assert len(pairs) == 6
    for one, two in pairs:
        first, second = canvases.records[one].image, canvases.records[two].image
        assert (first.study, first.laterality) == (second.study, second.laterality)
        assert (first.view, second.view) == ("CC", "MLO")


def test_a_breast_with_one_view_is_left_out(canvases: CanvasSet) -> None:
    assert len(breast_pairs(canvases.records[1:])) == 5


def test_an_epoch_shows_every_breast_once_with_sentences_that_are_true(
    canvases: CanvasSet,
) -> None:
    breasts = BreastDataset(canvases.records, features_of(canvases), length=6, captions=4, seed=[1])
    batch = collate_breasts([breasts[index] for index in range(6)])
    seen = batch.images[:, 0, 0, 0].tolist()
    assert sorted(seen) == list(range(12))
    assert [row + 1 for row in seen[:6]] == seen[6:]  # MLO follows CC in the set
    assert batch.claims.shape[:3] == (2, 4, 6)
    assert len(batch.texts) == 48
    for view in range(2):
        for row in batch.claims[view]:
            assert truth(batch.facts[view], row).diagonal().all()
