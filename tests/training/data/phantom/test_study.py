"""Studies: the same for the same seed, whatever Python's hash; findings where their boxes say."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from training.data.phantom.field import COLUMNS, MAXIMUM, ROWS, Projection, Side
from training.data.phantom.lesions import DRAWN
from training.data.phantom.rules import PhantomRules
from training.data.phantom.study import (
    PhantomStudy,
    draw_view,
    make_study,
    records_of,
    study_generator,
)
from training.data.records import Category, Density

EVERYTHING = PhantomRules(
    lesion_share=dict.fromkeys(DRAWN, 1.0), density_share={Density.B: 0.5, Density.C: 0.5}
)
HEALTHY = PhantomRules(lesion_share={})
DIGEST = """
import hashlib
from training.data.phantom.study import make_study, records_of, study_generator
study = make_study(study_generator(1, 2))
digest = hashlib.sha256(b"".join(view.pixels.tobytes() for view in study.views))
digest.update(repr([(r.findings, r.report, r.birads, sorted(r.annotated), r.labels)
                    for r in records_of(study, series=1, number=2)]).encode())
print(digest.hexdigest())
"""


@pytest.fixture(scope="module")
def ill() -> PhantomStudy:
    return make_study(study_generator(7, 0), EVERYTHING)


@pytest.fixture(scope="module")
def healthy() -> PhantomStudy:
    return make_study(study_generator(7, 1), HEALTHY)


def test_a_study_is_the_same_whatever_python_s_hash_seed() -> None:
    digests = set()
    for seed in ("0", "4242"):
        done = subprocess.run(
            [sys.executable, "-c", DIGEST],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout)
    assert len(digests) == 1


def test_another_number_is_another_study(ill: PhantomStudy, healthy: PhantomStudy) -> None:
    assert not np.array_equal(ill.views[0].pixels, healthy.views[0].pixels)
    first, other = (study_generator(1, number).random(8) for number in (2, 3))
    assert not np.array_equal(first, other)


def test_a_study_has_the_four_standard_views_in_twelve_bits(healthy: PhantomStudy) -> None:
    seen = {(view.side, view.projection) for view in healthy.views}
    assert seen == {(side, projection) for side in Side for projection in Projection}
    for view in healthy.views:
        assert view.pixels.shape == (ROWS, COLUMNS)
        assert view.pixels.dtype == np.uint16
        assert view.pixels.max() == MAXIMUM  # the marker: the same maximum for ill and healthy
        assert 0.2 < (view.pixels == 0).mean() < 0.85  # air is exactly 0


def test_the_chest_wall_is_left_in_left_breasts_and_right_in_right_ones(
    healthy: PhantomStudy,
) -> None:
    for view in healthy.views:
        edge = view.pixels[ROWS // 2, :10], view.pixels[ROWS // 2, -10:]
        chest, air = edge if view.side is Side.LEFT else edge[::-1]
        assert (chest > 0).all()
        assert (air == 0).all()


def test_boxes_lie_in_the_frame_and_hold_breast(ill: PhantomStudy) -> None:
    for view in ill.views:
        assert len(view.boxes) >= 6
        for category, box in view.boxes.items():
            assert 0 <= box.top < box.bottom <= ROWS, category
            assert 0 <= box.left < box.right <= COLUMNS, category
            pixels = view.pixels[int(box.top) : int(box.bottom), int(box.left) : int(box.right)]
            assert (pixels > 0).mean() > 0.3, category


def test_boxes_of_right_breasts_are_mirrored_with_their_pixels(ill: PhantomStudy) -> None:
    """A mass's box differs from the same view's without it, in the mirrored breast too."""
    breast = ill.breast(Side.RIGHT)
    drawn = [
        draw_view(study_generator(8, 0), breast, projection=Projection.CC, contrast=contrast)
        for contrast in (1.0, 0.0)
    ]
    changed = np.abs(drawn[0].pixels.astype(int) - drawn[1].pixels) > 150
    box = drawn[0].boxes[Category.MASS]
    hit = changed[int(box.top) : int(box.bottom), int(box.left) : int(box.right)]
    mirrored = changed[:, ::-1][int(box.top) : int(box.bottom), int(box.left) : int(box.right)]
    assert hit.mean() > 0.2
    assert mirrored.mean() < 0.05


def test_healthy_studies_have_no_boxes_and_say_so(healthy: PhantomStudy) -> None:
    for record in records_of(healthy, series=7, number=1):
        assert record.findings == ()
        assert record.birads == 1
        assert record.labels == {"malignancy": False}


def test_records_know_every_category_that_the_rules_draw(ill: PhantomStudy) -> None:
    records = records_of(ill, series=7, number=0)
    for view, record in zip(ill.views, records, strict=True):
        assert (record.laterality, record.view) == (view.side.value, view.projection.value)
        assert record.patient == record.study == "phantom-7-0"
        assert record.density in (Density.B, Density.C)
        assert record.annotated == frozenset(DRAWN)
        assert {c for f in record.findings for c in f.categories} == set(view.boxes)
        assert record.labels["malignancy"] is True
        assert record.report is not None
        assert record.report.findings


def test_reports_of_views_are_their_own_and_always_the_same(ill: PhantomStudy) -> None:
    first, again = (records_of(ill, series=7, number=0) for _ in range(2))
    assert [record.report for record in first] == [record.report for record in again]
    assert len({hashlib.sha256(repr(r.report).encode()).digest() for r in first}) > 1
