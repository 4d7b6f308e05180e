"""Places of boxes from the canvas alone, for both sides and both views."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.training.data.canvas_sets import HEIGHT, WIDTH, image, write_canvases
from training.data.canvas_set import CanvasSet
from training.data.places import outline_of, place_words, with_places
from training.data.records import Box, Category, Finding

NIPPLE_ROW, TALL, WIDE = 220, 400, 300


def breast(laterality: str = "L") -> np.ndarray:  # type: ignore[type-arg]
    """A half ellipse whose tip is 240 px from the wall, a little below the middle; a marker."""
    canvas = np.zeros((TALL, WIDE), np.uint8)
    cv2.ellipse(canvas, (0, NIPPLE_ROW), (240, 160), 0, -90, 90, color=120, thickness=-1)
    cv2.rectangle(canvas, (270, 10), (295, 30), color=255, thickness=-1)
    return canvas if laterality == "L" else np.ascontiguousarray(canvas[:, ::-1])


@pytest.mark.parametrize("laterality", ["L", "R"])
def test_the_nipple_is_found_and_the_marker_is_no_breast(laterality: str) -> None:
    outline = outline_of(breast(laterality), laterality)
    nipple, wall = (240, 0) if laterality == "L" else (WIDE - 240, WIDE)
    assert outline.nipple_row == pytest.approx(NIPPLE_ROW, abs=4)
    assert outline.nipple_column == pytest.approx(nipple, abs=4)
    assert outline.wall_column == pytest.approx(wall, abs=1)
    assert outline.depth == pytest.approx(240, abs=5)


@pytest.mark.parametrize("laterality", ["L", "R"])
@pytest.mark.parametrize(
    ("view", "row", "column", "words"),
    [
        ("CC", 120, 200, {"quadrant": "outer", "depth": "anterior"}),
        ("CC", 320, 120, {"quadrant": "inner", "depth": "middle"}),
        ("MLO", 120, 30, {"quadrant": "upper", "depth": "posterior"}),
        ("MLO", 320, 200, {"quadrant": "lower", "depth": "anterior"}),
        ("MLO", 225, 120, {"depth": "middle"}),
        ("ML", 120, 120, {"depth": "middle"}),
    ],
)
def test_a_box_is_told_by_its_half_and_its_third(
    laterality: str, view: str, row: int, column: int, words: dict[str, str]
) -> None:
    column = column if laterality == "L" else WIDE - column
    box = Box(row - 10, column - 10, row + 10, column + 10)
    assert place_words(box, outline_of(breast(laterality), laterality), view) == words


def test_a_set_gets_places_where_it_has_none(tmp_path: Path) -> None:
    box = Box(50, 20, 90, 60)  # stored pixels are ten times those of the canvas
    mass = Finding((Category.MASS,), box)
    told = Finding((Category.MASS,), box, attributes={"quadrant": "lower inner"})
    unboxed = Finding((Category.LYMPH_NODE,))
    images = [image("a", findings=(mass, told, unboxed)), image("b")]
    canvases = write_canvases(tmp_path, images)
    lit = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.ellipse(lit, (0, 24), (25, 20), 0, -90, 90, color=120, thickness=-1)
    np.save(tmp_path / canvases.records[0].file, lit)
    placed = with_places(CanvasSet(tmp_path, canvases.records))
    findings = placed.records[0].image.findings
    assert findings[0].attributes == {"quadrant": "outer", "depth": "posterior"}
    assert findings[1:] == (told, unboxed)
    assert placed.records[1] == canvases.records[1]
