"""Canvases of files: the service's own rendering, made once, whatever is refused left out."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from model_store.dicom_input import read_mammogram
from model_store.manifest import Recipe
from model_store.refusals import Refused
from model_store.render import render
from tests.dicom_factory import dicom_bytes, mammogram_dataset, stored_pixels
from tests.training.data.canvas_sets import image
from training.data import canvas_cache
from training.data.canvas_cache import cache_canvases, make_canvas
from training.data.canvas_set import CanvasSet
from training.data.image_files import find_file, read_image, read_png
from training.data.records import Box, Category, Finding, ImageRecord

RECIPE = Recipe(height_px=64, width_px=48)


def dicom(seed: int = 0, laterality: str = "L", **overrides: object) -> bytes:
    ds = mammogram_dataset(rows=200, columns=160, seed=seed, laterality=laterality, **overrides)
    return dicom_bytes(ds)


def png(pixels: np.ndarray) -> bytes:  # type: ignore[type-arg]
    return bytes(cv2.imencode(".png", pixels)[1])


def grey(kind: type = np.uint16) -> np.ndarray:  # type: ignore[type-arg]
    pixels = stored_pixels(mammogram_dataset(rows=200, columns=160))
    return pixels.astype(np.uint16) if kind is np.uint16 else (pixels >> 4).astype(np.uint8)


def stored(root: Path, **files: bytes) -> list[ImageRecord]:
    """A record for each file, whose name's "_" stands for a dot."""
    root.mkdir(exist_ok=True)
    records = []
    for name, source in files.items():
        path = name.replace("_", ".")
        (root / path).write_bytes(source)
        records.append(replace(image(name, "L"), path=path))
    return records


def cached(tmp_path: Path, records: list[ImageRecord], said: list[str] | None = None) -> CanvasSet:
    lines: list[str] = [] if said is None else said
    return cache_canvases(
        records,
        name="test",
        root=tmp_path / "files",
        cache=tmp_path / "cache",
        recipe=RECIPE,
        processes=1,
        say=lines.append,
    )


def test_a_dicom_files_canvas_is_the_services(tmp_path: Path) -> None:
    source = dicom()
    canvases = cached(tmp_path, stored(tmp_path / "files", a_dcm=source))
    (record,) = canvases.records
    rendered = render(read_mammogram(source), RECIPE)
    np.testing.assert_array_equal(canvases.canvas(record), rendered.canvas)
    assert record.placement == rendered.placement
    assert (record.low, record.high) == (rendered.canvas.min(), rendered.canvas.max())
    assert (record.image.rows, record.image.columns) == (200, 160)
    assert record.spacing_mm == read_mammogram(source).spacing_mm is not None


def test_a_png_of_the_same_values_gives_the_same_canvas(tmp_path: Path) -> None:
    records = stored(tmp_path / "files", a_dcm=dicom(), b_png=png(grey()))
    canvases = cached(tmp_path, records)
    one, other = map(canvases.canvas, canvases.records)
    np.testing.assert_array_equal(one, other)
    assert canvases.records[1].spacing_mm is None


def test_the_set_is_read_back_as_it_was_made(tmp_path: Path) -> None:
    finding = Finding((Category.MASS,), Box(20, 30, 60, 70))
    (record,) = stored(tmp_path / "files", a_dcm=dicom())
    canvases = cached(tmp_path, [replace(record, findings=(finding,))])
    again = CanvasSet.read(canvases.folder)
    assert again == canvases
    assert again.records[0].boxes(Category.MASS) == canvases.records[0].boxes(Category.MASS)
    np.testing.assert_array_equal(
        again.canvas(again.records[0]), canvases.canvas(canvases.records[0])
    )


def test_what_was_made_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = stored(tmp_path / "files", a_dcm=dicom(), b_dcm=dicom(), c_dcm=dicom(1))
    first = cached(tmp_path, records[:1])
    rendered: list[bytes] = []
    monkeypatch.setattr(
        canvas_cache, "read_image", lambda source: rendered.append(source) or read_image(source)
    )
    again = cached(tmp_path, records)
    assert rendered == [dicom(1)]
    assert again.records[0].file == again.records[1].file == first.records[0].file
    assert len(list((tmp_path / "cache").glob("*/*.npy"))) == 2


@pytest.mark.parametrize("note", ["", '{"canvas": ', '{"canvas": "x.npy"}', "[]"])
def test_a_canvas_or_a_note_that_was_lost_is_made_again(tmp_path: Path, note: str) -> None:
    records = stored(tmp_path / "files", a_dcm=dicom(), b_dcm=dicom(1))
    first = cached(tmp_path, records)
    pixels = np.array(first.canvas(first.records[0]))
    store = first.folder.parent
    (store / first.folder / first.records[0].file).unlink()
    (store / Path(first.records[1].file).with_suffix(".json").name).write_text(note)
    again = cached(tmp_path, records)
    assert again == first
    np.testing.assert_array_equal(again.canvas(again.records[0]), pixels)


def test_a_file_that_changed_is_rendered_anew(tmp_path: Path) -> None:
    before = cached(tmp_path, stored(tmp_path / "files", a_dcm=dicom(0)))
    after = cached(tmp_path, stored(tmp_path / "files", a_dcm=dicom(1)))
    assert before.records[0].file != after.records[0].file


def test_another_recipe_is_another_folder(tmp_path: Path) -> None:
    records = stored(tmp_path / "files", a_dcm=dicom())
    other = cache_canvases(
        records,
        name="test",
        root=tmp_path / "files",
        cache=tmp_path / "cache",
        recipe=Recipe(height_px=32, width_px=32),
        processes=1,
        say=list[str]().append,
    )
    assert cached(tmp_path, records).canvas(other.records[0]).shape == (64, 48)
    assert other.canvas(other.records[0]).shape == (32, 32)


def test_what_is_refused_or_missing_is_left_out_and_said(tmp_path: Path) -> None:
    said: list[str] = []
    records = stored(
        tmp_path / "files",
        good_dcm=dicom(),
        text_dcm=b"no image",
        raw_dcm=dicom(PresentationIntentType="FOR PROCESSING"),
        flat_png=png(np.zeros((200, 160), np.uint8)),
    )
    records.append(replace(image("gone"), path="gone.dcm"))
    records.append(replace(records[0], rows=201, columns=160))
    canvases = cached(tmp_path, records, said)
    assert [record.image.patient for record in canvases.records] == ["good_dcm"]
    assert [line for line in said if " 1 images: " in line] == [
        "test: 1 images: blank_image",
        "test: 1 images: for_processing",
        "test: 1 images: no such file",
        "test: 1 images: not_dicom",
        "test: 1 images: size differs from the table's",
    ]
    assert any("left out raw.dcm: for_processing" in line for line in said)
    assert any("201 x 160 there, 200 x 160 in the file" in line for line in said)
    assert cached(tmp_path, records) == canvases


def test_a_side_that_contradicts_the_table_is_kept_and_said(tmp_path: Path) -> None:
    said: list[str] = []
    records = stored(tmp_path / "files", a_dcm=dicom(laterality="R"))
    assert len(cached(tmp_path, records, said)) == 1
    assert "test: 1 images: kept, though the file names the other side than the table" in said


def test_a_run_cut_off_between_canvas_and_note_goes_on(tmp_path: Path) -> None:
    records = stored(tmp_path / "files", a_dcm=dicom())
    canvases = cached(tmp_path, records)
    store = canvases.folder.parent
    for written in store.glob("*.json"):
        written.unlink()
    assert cached(tmp_path, records) == canvases
    assert not list(store.rglob("*.part"))


def test_processes_make_what_one_makes(tmp_path: Path) -> None:
    records = stored(tmp_path / "files", a_dcm=dicom(), b_dcm=dicom(1))
    many = cache_canvases(
        records,
        name="test",
        root=tmp_path / "files",
        cache=tmp_path / "many",
        recipe=RECIPE,
        processes=2,
        say=list[str]().append,
    )
    one = cached(tmp_path, records)
    assert many.records == one.records
    for record in one.records:
        np.testing.assert_array_equal(many.canvas(record), one.canvas(record))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_png_is_taken_as_it_is_stored(kind: type) -> None:
    pixels = grey(kind)
    np.testing.assert_array_equal(read_png(png(pixels)).pixels, pixels)
    in_colours = np.stack([pixels] * 3, axis=2)
    np.testing.assert_array_equal(read_image(png(in_colours)).pixels, pixels)


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (b"\x89PNG\r\n\x1a\nrubbish", "malformed"),
        (png(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)), "malformed"),
        (png(np.zeros((8, 64), np.uint8)), "malformed"),
    ],
)
def test_a_png_that_is_no_mammogram_is_refused(source: bytes, code: str) -> None:
    with pytest.raises(Refused) as caught:
        read_image(source)
    assert caught.value.code == code


def test_a_file_is_found_under_another_suffix(tmp_path: Path) -> None:
    (tmp_path / "1.2.3.png").write_bytes(b"x")
    assert find_file(tmp_path, "1.2.3.dicom").name == "1.2.3.png"
    assert find_file(tmp_path, "1.2.3").name == "1.2.3.png"
    with pytest.raises(FileNotFoundError, match=r"no file .*1\.2\.4\.dicom, nor with \.dicom"):
        find_file(tmp_path, "1.2.4.dicom")


def test_a_canvas_alone_can_be_asked_for(tmp_path: Path) -> None:
    stored(tmp_path, a_dcm=dicom())
    store = tmp_path / "store"
    (store / "files").mkdir(parents=True)
    made = make_canvas("a.dcm", root=tmp_path, store=store, recipe=RECIPE)
    assert (store / made.canvas).is_file()
    assert made.laterality == "L"
