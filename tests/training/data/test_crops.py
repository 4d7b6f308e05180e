from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import center_of_mass, label

from tests.training.canvas_factory import HEIGHT, WIDTH, make_set
from training.data.canvas_set import CanvasSet
from training.data.crops import AIM, ANYWHERE, CropDataset, collate, shown_in, shown_share
from training.data.facts import PRESENCE, PRESENT, Attribute, truth
from training.data.records import Box, Category

MASS = Box(40, 30, 60, 50)
CLUSTER = Box(90, 60, 100, 70)


@pytest.fixture
def canvases(tmp_path: Path) -> CanvasSet:
    boxes = {Category.MASS: MASS, Category.CALCIFICATION: CLUSTER}
    return make_set(tmp_path, studies=4, boxes=boxes)


def test_a_crop_says_a_mass_only_where_it_shows_one(canvases: CanvasSet) -> None:
    crops = CropDataset(canvases, size_px=32, length=60, seed=[1])
    said = {0: 0, 1: 0}
    for index in range(len(crops)):
        item = crops[index]
        present = int(item.facts[PRESENCE[Category.MASS]])
        bright = int((item.image == 220).sum())
        if present:
            assert bright >= 0.6 * MASS.area
        else:
            assert bright <= CLUSTER.area + 0.05 * MASS.area
        said[present] += 1
    assert min(said.values()) >= 10


def test_a_category_is_aimed_at_as_often_as_said(canvases: CanvasSet) -> None:
    crops = CropDataset(canvases, size_px=32, length=400, seed=[2])
    facts = np.stack([crops[index].facts for index in range(len(crops))])
    mass, calcification = (
        float((facts[:, PRESENCE[category]] == PRESENT).mean())
        for category in (Category.MASS, Category.CALCIFICATION)
    )
    aimed = (1 - ANYWHERE) / (AIM[Category.MASS] + AIM[Category.CALCIFICATION])
    assert mass == pytest.approx(aimed * AIM[Category.MASS], abs=0.1)
    assert calcification == pytest.approx(aimed * AIM[Category.CALCIFICATION], abs=0.1)


def test_every_crop_is_told_whether_it_shows_each_main_finding(canvases: CanvasSet) -> None:
    crops = CropDataset(canvases, size_px=32, length=20, seed=[6])
    for index in range(len(crops)):
        item = crops[index]
        for column in (Attribute.MASS, Attribute.CALCIFICATION):
            assert any(caption.claims[column] == item.facts[column] for caption in item.captions)


def test_crops_are_turned_and_mirrored(canvases: CanvasSet) -> None:
    crops = CropDataset(canvases, size_px=96, length=60, seed=[7])  # holds mass and cluster whole
    steps = set()
    for index in range(len(crops)):
        found = label(crops[index].image == 220)[0]
        if found.max() == 2:
            mass, cluster = center_of_mass(np.ones_like(found), found, (1, 2))
            if (found == 1).sum() < (found == 2).sum():
                mass, cluster = cluster, mass
            steps.add(tuple(np.round(np.subtract(cluster, mass)).astype(int)))
    assert steps >= {(45, 25), (45, -25), (-45, 25), (25, 45), (-25, 45)}


def test_item_and_epoch_decide_a_crop_and_nothing_else(canvases: CanvasSet) -> None:
    first = CropDataset(canvases, size_px=32, length=9, seed=[3, 0])
    again = CropDataset(canvases, size_px=32, length=9, seed=[3, 0])
    other = CropDataset(canvases, size_px=32, length=9, seed=[3, 1])
    _ = first[0]
    assert np.array_equal(first[5].image, again[5].image)
    assert [c.text for c in first[5].captions] == [c.text for c in again[5].captions]
    assert any(not np.array_equal(first[i].image, other[i].image) for i in range(9))


def test_every_caption_of_a_batch_is_true_of_its_own_image(canvases: CanvasSet) -> None:
    crops = CropDataset(canvases, size_px=48, length=8, seed=[4])
    items = [crops[index] for index in range(8)]
    batch = collate(items)
    true = truth(batch.facts, batch.claims)
    owner = np.repeat(np.arange(8), [len(item.captions) for item in items])
    assert true[owner, np.arange(len(owner))].all()
    assert batch.images.shape == (8, 48, 48)
    assert batch.low.shape == (8, 1, 1)


def test_a_window_that_cuts_a_finding_is_neither_shown_nor_hidden() -> None:
    boxes = {Category.MASS: [MASS]}
    assert shown_in(boxes, Box(0, 0, HEIGHT, WIDTH)) == [Category.MASS]
    assert shown_in(boxes, Box(0, 0, 30, 30)) == []
    assert shown_in(boxes, Box(0, 0, 50, 40)) is None


def test_a_finding_larger_than_the_window_is_shown_where_it_fills_it() -> None:
    wide = Box(0, 0, 100, 100)
    assert shown_share(wide, Box(10, 10, 42, 42)) == 1.0
    assert shown_share(wide, Box(90, 90, 122, 122)) == pytest.approx(100 / 32**2)


def test_canvases_of_air_offer_no_crop(tmp_path: Path) -> None:
    canvases = make_set(tmp_path, studies=1, boxes={})
    for record in canvases.records:
        np.save(canvases.folder / record.file, np.zeros((HEIGHT, WIDTH), np.uint8))
    with pytest.raises(ValueError, match="no usable crop of 32 px"):
        CropDataset(canvases, size_px=32, length=1, seed=[5])[0]
