"""Canvases of training are those of the service, and their boxes lie on the lesions."""

from pathlib import Path

import numpy as np
import pytest

from model_store.dicom_input import read_mammogram
from model_store.manifest import Recipe
from model_store.render import render
from training.data.canvases import (
    CanvasSet,
    Series,
    collect_canvases,
    make_views,
    shown_share,
)
from training.data.dataset import CropDataset, collate
from training.data.phantom import PhantomRules, make_study, study_generator
from training.data.phantom_dicom import write_dicom

SERIES = Series(11, PhantomRules(1.0, 1.0), Recipe(height_px=1520, width_px=912))


@pytest.fixture(scope="module")
def canvases(tmp_path_factory: pytest.TempPathFactory) -> CanvasSet:
    folder = tmp_path_factory.mktemp("canvases")
    return CanvasSet(folder, tuple(make_views(SERIES, 0, folder=folder)))


def test_the_canvas_of_training_is_the_canvas_of_the_service(canvases: CanvasSet) -> None:
    """Acceptance 4: array_equal for the same DICOM, by the service's own two calls."""
    study = make_study(study_generator(SERIES.seed, 0), SERIES.rules)
    for view, record in zip(study.views, canvases.views, strict=True):
        served = render(read_mammogram(write_dicom(view, series=11, number=0)), SERIES.recipe)
        np.testing.assert_array_equal(canvases.canvas(record), served.canvas)


def test_boxes_on_the_canvas_lead_back_to_the_stored_pixels(canvases: CanvasSet) -> None:
    study = make_study(study_generator(SERIES.seed, 0), SERIES.rules)
    for view, record in zip(study.views, canvases.views, strict=True):
        read = read_mammogram(write_dicom(view, series=11, number=0))
        placement = render(read, SERIES.recipe).placement
        assert record.mass_box is not None
        assert view.mass_box is not None
        back = placement.to_stored(np.reshape(record.mass_box, (2, 2))).ravel()
        box = view.mass_box
        np.testing.assert_allclose(back, [box.top, box.left, box.bottom, box.right], atol=1e-6)


def test_extremes_in_the_record_are_those_of_the_canvas(canvases: CanvasSet) -> None:
    for record in canvases.views:
        canvas = canvases.canvas(record)
        assert (record.low, record.high) == (canvas.min(), canvas.max())


def test_a_crop_that_should_show_a_lesion_shows_it(canvases: CanvasSet) -> None:
    crops = CropDataset(canvases, size_px=288, length=60, seed=[1])
    items = [crops[index] for index in range(60)]
    assert {int(item.facts[0]) for item in items} == {0, 1}
    assert {int(item.facts[1]) for item in items} == {0, 1}
    assert all(item.image.shape == (288, 288) for item in items)


def test_a_crop_is_a_function_of_seed_and_index(canvases: CanvasSet) -> None:
    first, again = (CropDataset(canvases, size_px=288, length=9, seed=[2, 3])[4] for _ in range(2))
    other = CropDataset(canvases, size_px=288, length=9, seed=[2, 4])[4]
    np.testing.assert_array_equal(first.image, again.image)
    assert [c.text for c in first.captions] == [c.text for c in again.captions]
    assert not np.array_equal(first.image, other.image)


def test_a_batch_holds_all_captions_of_all_images(canvases: CanvasSet) -> None:
    crops = CropDataset(canvases, size_px=288, length=4, seed=[1])
    batch = collate([crops[index] for index in range(4)])
    assert batch.images.shape == (4, 288, 288)
    assert batch.claims.shape == (12, 7)
    assert len(batch.texts) == 12


def test_the_share_of_a_box_in_a_window_is_that_of_its_area() -> None:
    assert shown_share((0, 0, 10, 10), (5, 5, 20, 20)) == pytest.approx(0.25)
    assert shown_share((0, 0, 10, 10), (10, 10, 20, 20)) == 0


def test_a_series_is_made_once_and_read_afterwards(tmp_path: Path) -> None:
    said: list[str] = []
    series = Series(12, PhantomRules(), SERIES.recipe)
    made = collect_canvases(series, 1, root=tmp_path, processes=1, say=said.append)
    stamp = made.folder.joinpath(made.views[0].file).stat().st_mtime_ns
    again = collect_canvases(series, 1, root=tmp_path, processes=1, say=said.append)
    assert again.views == made.views
    assert made.folder.joinpath(made.views[0].file).stat().st_mtime_ns == stamp
    assert said == ["phantoms of seed 12: 4/4 images"] * 2
