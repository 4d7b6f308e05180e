"""Pictures hold what they were given, and the report holds everything."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from training.data.records import Box
from training.evaluate.figures import Figure
from training.evaluate.metrics import Interval
from training.evaluate.plots import (
    Overlay,
    calibration_png,
    efficiency_lines,
    efficiency_png,
    overlays_png,
    reliability,
    roc_png,
)
from training.evaluate.report import write_report
from training.evaluate.tables import Measured, Table

LABELS = np.array([0, 0, 1, 1, 0, 1])
SCORES = np.array([0.1, 0.3, 0.6, 0.9, 0.5, 0.4])


def figure(setting: str, value: float) -> Figure:
    blank = Figure("linear-probe", "mass", setting, "AUC")
    return blank.measured(Interval(value, value - 0.1, value + 0.1, 50))


def test_a_figure_without_an_interval_is_a_point_without_bars(tmp_path: Path) -> None:
    blank = Figure("linear-probe", "mass", "LP 10%", "AUC")
    alone = blank.measured(Interval(0.7, None, None, 6))
    ((percent, value, low, high),) = efficiency_lines([alone])["mass, LP"]
    assert (percent, value) == (10, 0.7)
    assert np.isnan([low, high]).all()
    efficiency_png(tmp_path / "one.png", [alone, figure("LP 100%", 0.8)], title="mass")
    assert (tmp_path / "one.png").exists()


def colours(path: Path) -> set[tuple[int, ...]]:
    picture = cv2.imread(str(path))
    assert picture is not None
    return {tuple(pixel) for pixel in picture.reshape(-1, 3)[:, ::-1].tolist()}


def test_curves_are_drawn_in_their_own_colours(tmp_path: Path) -> None:
    path = tmp_path / "plots" / "roc.png"
    roc_png(path, {"mass": (LABELS, SCORES), "calcification": (LABELS, 1 - SCORES)}, title="ROC")
    assert {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)} <= colours(path)
    calibration_png(tmp_path / "c.png", {"mass": (LABELS, SCORES)}, title="calibration")
    assert (0x00, 0x72, 0xB2) in colours(tmp_path / "c.png")
    assert list(tmp_path.glob("*.part")) == []


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        roc_png(tmp_path / name, {"mass": (LABELS, SCORES)}, title="ROC")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_reliability_by_hand() -> None:
    mean, share = reliability([0, 1, 1, 1], [0.1, 0.3, 0.7, 0.9], bins=2)
    assert mean.tolist() == pytest.approx([0.2, 0.8])
    assert share.tolist() == pytest.approx([0.5, 1.0])


def test_data_efficiency_is_a_line_a_target_by_rising_share(tmp_path: Path) -> None:
    figures = [figure("LP 100%", 0.8), figure("LP 10%", 0.6), figure("LP 50%", 0.7)]
    blank = Figure("linear-probe", "density", "LP 10%", "accuracy").missing("one class")
    lines = efficiency_lines([*figures, blank])
    assert list(lines) == ["mass, LP"]
    assert [point[:2] for point in lines["mass, LP"]] == [(10, 0.6), (50, 0.7), (100, 0.8)]
    efficiency_png(tmp_path / "e.png", figures, title="Linear probe")
    assert (0x00, 0x72, 0xB2) in colours(tmp_path / "e.png")


def test_true_and_found_boxes_lie_where_they_should(tmp_path: Path) -> None:
    """The mean place of the green pixels is that of the box, on the picture of the canvas."""
    canvas = np.zeros((200, 100), np.uint8)
    overlays = [
        Overlay("L CC", canvas, (Box(20, 10, 60, 50),), (Box(120, 40, 180, 90),)),
        Overlay("R MLO", canvas, (), (), heat=np.eye(4, dtype=np.float32)),
    ]
    path = tmp_path / "boxes.png"
    overlays_png(path, overlays)
    picture = cv2.imread(str(path))
    assert picture is not None
    green = np.argwhere((picture[..., 1] > 140) & (picture[..., 0] < 80) & (picture[..., 2] < 80))
    orange = np.argwhere((picture[..., 2] > 230) & (picture[..., 0] < 60))
    assert len(green) > 50
    left = orange[orange[:, 1] < picture.shape[1] / 2]  # heat of the second lies right
    assert green.mean(axis=0)[0] < left.mean(axis=0)[0]
    down = np.ptp(green[:, 0]) / np.ptp(left[:, 0])
    assert down == pytest.approx(40 / 60, abs=0.05)


def test_the_report_is_one_file_without_scripts_or_other_files(tmp_path: Path) -> None:
    roc_png(tmp_path / "roc.png", {"mass": (LABELS, SCORES)}, title="ROC")
    table = Table("A <b>title</b>", ("x", "y"), (("1 < 2", "a & b"),), ("a note",))
    path = tmp_path / "report.html"
    write_report(
        path,
        model="ours/1",
        measured=Measured("phantoms", "phantoms, seed 77", phantoms=True),
        about={"seed": 10},
        beside=[table],
        own=[table],
        images={"zero shot roc": tmp_path / "roc.png"},
    )
    page = path.read_text()
    assert "A &lt;b&gt;title&lt;/b&gt;" in page
    assert "<td>1 &lt; 2</td><td>a &amp; b</td>" in page
    assert page.count("data:image/png;base64,") == 1
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "<script" not in page
    assert "default-src &#x27;none&#x27;" in page
    assert "Measured on synthetic images" in page
    assert "<dt>seed</dt><dd>10</dd>" in page
