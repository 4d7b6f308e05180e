"""The fast renderer equals the plain one in every byte, whatever the image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model_store import render as render_module
from model_store.dicom_input import Mammogram, Photometric
from model_store.manifest import Recipe
from model_store.refusals import RefusalCode, Refused, WarningCode
from model_store.render import look_up, render
from tests.dicom_factory import breast_pixels
from tests.plain_render import plain_canvas

RECIPE = Recipe(height_px=64, width_px=48)


def mammogram(
    pixels: NDArray[np.integer], *, inverted: bool = False, padding: tuple[int, int] | None = None
) -> Mammogram:
    return Mammogram(
        pixels=pixels,
        photometric=Photometric.MONOCHROME1 if inverted else Photometric.MONOCHROME2,
        bits_stored=pixels.dtype.itemsize * 8,
        padding=padding,
        laterality=None,
        view=None,
        spacing_mm=None,
        sop_instance_uid="",
        study_instance_uid="",
        warnings=(),
    )


def plain(pixels: NDArray[np.integer], *, inverted: bool = False) -> NDArray[np.uint8]:
    return plain_canvas(
        pixels, inverted=inverted, height_px=RECIPE.height_px, width_px=RECIPE.width_px
    )


@st.composite
def blocky_images(draw: st.DrawFn) -> NDArray[np.integer]:
    """Small images full of flat stripes, so that runs touch borders, tie, and vanish."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width = draw(st.integers(16, 60)), draw(st.integers(16, 60))
    kind = np.dtype(draw(st.sampled_from(["u1", "u2", "i2"])))
    top = int(min(np.iinfo(kind).max, draw(st.sampled_from([50, 127, 255, 4095, 65535]))))
    pixels = rng.integers(0, top + 1, (height, width))
    stripes = rng.random(width) < draw(st.floats(0, 1))
    bands = rng.random(height) < draw(st.floats(0, 1))
    pixels[:, stripes] = 0 if draw(st.booleans()) else top // 8
    pixels[bands] = 0 if draw(st.booleans()) else top // 8
    lowest = np.iinfo(kind).min // 2 if kind.kind == "i" else 0
    return (pixels + lowest).astype(kind)


@settings(max_examples=400, deadline=None)
@given(pixels=blocky_images(), inverted=st.booleans())
def test_any_image_renders_as_the_plain_way_does(
    pixels: NDArray[np.integer], inverted: bool
) -> None:
    inside = pixels[5:-5, 5:-5]
    if inside.min() == inside.max():
        with pytest.raises(Refused) as refused:
            render(mammogram(pixels, inverted=inverted), RECIPE)
        assert refused.value.code is RefusalCode.BLANK_IMAGE
        return
    canvas = render(mammogram(pixels, inverted=inverted), RECIPE).canvas
    assert np.array_equal(canvas, plain(pixels, inverted=inverted))


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("laterality", ["L", "R"])
def test_a_breast_renders_as_the_plain_way_does(laterality: str, inverted: bool) -> None:
    pixels = breast_pixels(700, 500, laterality=laterality, seed=3)
    if inverted:
        pixels = 4095 - pixels
    rendered = render(mammogram(pixels, inverted=inverted), RECIPE)
    assert np.array_equal(rendered.canvas, plain(pixels, inverted=inverted))
    assert rendered.warnings == ()


def test_the_table_is_looked_up_alike_with_and_without_opencv_5(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pixels = breast_pixels(100, 80)
    table = np.random.default_rng(0).integers(0, 256, 65536, dtype=np.uint8)
    fast = look_up(table, pixels[5:-5, 5:-5])
    monkeypatch.setattr(render_module, "LUT_TAKES_16_BIT", False)
    assert np.array_equal(look_up(table, pixels[5:-5, 5:-5]), fast)


def test_runs_of_equal_length_are_all_kept() -> None:
    pixels = np.zeros((40, 40), np.uint16)
    rng = np.random.default_rng(0)
    for start in (10, 20):  # two stripes of 6 columns
        pixels[5:35, start : start + 6] = rng.integers(2000, 4000, (30, 6))
    rendered = render(mammogram(pixels), RECIPE)
    assert rendered.placement.columns == ((10, 16), (20, 26))
    assert np.array_equal(rendered.canvas, plain(pixels))


def test_an_image_without_a_breast_is_kept_whole_and_says_so() -> None:
    pixels = np.zeros((40, 40), np.uint16)
    pixels[6, 6] = 4000  # one bright dot in a corner: outside the middle rows
    rendered = render(mammogram(pixels), RECIPE)
    assert rendered.warnings == (WarningCode.NO_BREAST_FOUND,)
    assert rendered.placement.columns == ((5, 35),)


def test_bright_padding_becomes_background() -> None:
    good = breast_pixels(200, 160)
    padded = good.copy()
    padded[:, 150:] = 65535
    canvas = render(mammogram(padded, padding=(65535, 65535)), RECIPE).canvas
    assert np.array_equal(canvas, render(mammogram(good), RECIPE).canvas)


def test_dark_padding_of_an_inverted_image_becomes_background() -> None:
    good = 4095 - breast_pixels(200, 160)
    padded = good.copy()
    padded[:, 150:] = 0
    canvas = render(mammogram(padded, inverted=True, padding=(0, 0)), RECIPE).canvas
    assert np.array_equal(canvas, render(mammogram(good, inverted=True), RECIPE).canvas)


def test_padding_that_is_air_already_changes_nothing() -> None:
    pixels = breast_pixels(200, 160)
    canvas = render(mammogram(pixels, padding=(0, 30)), RECIPE).canvas
    assert np.array_equal(canvas, plain(pixels))


@pytest.mark.parametrize(("inverted", "far"), [(True, 65535), (False, -32768)])
def test_padding_far_below_the_image_does_not_take_its_greys(inverted: bool, far: int) -> None:
    kind = np.uint16 if inverted else np.int16
    good = breast_pixels(200, 160).astype(kind)
    good = (4095 - good).astype(kind) if inverted else good
    padded = good.copy()
    padded[:, 150:] = far
    canvas = render(mammogram(padded, inverted=inverted, padding=(far, far)), RECIPE).canvas
    assert np.array_equal(canvas, render(mammogram(good, inverted=inverted), RECIPE).canvas)


def test_an_image_of_padding_alone_is_refused() -> None:
    with pytest.raises(Refused, match="padding") as refused:
        render(mammogram(breast_pixels(64, 48), padding=(0, 4095)), RECIPE)
    assert refused.value.code is RefusalCode.BLANK_IMAGE
