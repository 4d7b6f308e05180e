"""Questions and answers of heat items survive the way through Redis; nothing else is believed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.factor import HeatBox
from service.queue.heat import (
    MAX_BOXES,
    MAX_SENTENCES,
    Ask,
    ImageHeat,
    SentenceHeat,
    decode_ask,
    decode_heat,
    encode_ask,
    encode_heat,
)
from service.queue.streams import heat_ref

RNG = np.random.default_rng(5)


def ask(sentences: int = 2, size: int = 4) -> Ask:
    directions = RNG.standard_normal((sentences, size)).astype(np.float32)
    return Ask(directions, ("mass", *["*"] * (sentences - 1)))


def heat(scale: float = 1.0, boxes: int = 1) -> ImageHeat:
    box = HeatBox(box=(4.0, 8.0, 12.0, 16.0), score=0.5)
    grid = (scale * RNG.random((3, 2))).astype(np.float32)
    one = SentenceHeat(grid, (5, 1), (1.0, 0.5), (0.7, 0.25), (box,) * boxes)
    cold = SentenceHeat(np.zeros((3, 2), np.float32), (), (), (), ())
    return ImageHeat(RNG.standard_normal(4).astype(np.float32), (one, cold))


def test_a_question_comes_out_as_it_went_in() -> None:
    asked = ask()
    found = decode_ask(encode_ask(asked))
    assert found.heads == asked.heads
    np.testing.assert_array_equal(found.directions, asked.directions)
    assert found.directions.dtype == np.float32


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_an_answer_comes_out_as_it_went_in_but_for_a_thousandth_of_its_grid(scale: float) -> None:
    made = heat(scale)
    found = decode_heat(encode_heat(made))
    np.testing.assert_array_equal(found.embedding, made.embedding)
    for got, sent in zip(found.maps, made.maps, strict=True):
        np.testing.assert_allclose(got.grid, sent.grid, atol=1e-3 * scale)
        assert got.grid.max() == pytest.approx(sent.grid.max())
        assert (got.channels, got.weights, got.boxes) == (sent.channels, sent.weights, sent.boxes)


def test_an_answer_is_small_whatever_the_tower() -> None:
    grid = np.ones((48, 29), np.float32)
    one = SentenceHeat(grid, (1, 2, 3), (1.0,) * 3, (0.5,) * 3, ())
    whole = ImageHeat(np.ones(512, np.float32), (one,) * MAX_SENTENCES)
    assert len(encode_heat(whole)) < 100_000


def test_more_boxes_than_anybody_reads_are_cut() -> None:
    assert len(decode_heat(encode_heat(heat(boxes=100))).maps[0].boxes) == MAX_BOXES


@pytest.mark.parametrize("sentences", [0, MAX_SENTENCES + 1])
def test_a_question_has_a_bounded_number_of_sentences(sentences: int) -> None:
    directions = np.ones((sentences, 4), np.float32)
    with pytest.raises(ValueError, match="heads"):
        encode_ask(Ask(directions, ("*",) * sentences))


@given(st.binary(max_size=60))
def test_what_is_no_message_is_a_value_error(content: bytes) -> None:
    for decode in (decode_ask, decode_heat):
        with pytest.raises(ValueError, match=r"."):
            decode(content)


@pytest.mark.parametrize("cut", [1, 8, 30])
def test_a_message_that_was_cut_is_a_value_error(cut: int) -> None:
    with pytest.raises(ValueError, match="announced"):
        decode_ask(encode_ask(ask())[:-cut])
    with pytest.raises(ValueError, match="announced"):
        decode_heat(encode_heat(heat())[:-cut])


def test_the_same_question_has_the_same_reference_and_another_has_another() -> None:
    first, second = encode_ask(ask()), encode_ask(ask())
    assert heat_ref("a" * 64, first) == heat_ref("a" * 64, first)
    assert (
        len({heat_ref("a" * 64, first), heat_ref("b" * 64, first), heat_ref("a" * 64, second)}) == 3
    )
