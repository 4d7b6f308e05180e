"""Hostile bytes: whatever they are, the answer is a Mammogram or a Refused, and quickly."""

import contextlib
import random
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from model_store.decoders import SYNTAXES
from model_store.dicom_guard import Limits, guard
from model_store.dicom_input import read_mammogram
from model_store.dicom_walk import PIXEL_DATA
from model_store.refusals import RefusalCode, Refused
from tests import bad_dicom
from tests.dicom_factory import ENCODERS, dicom_bytes, mammogram_dataset

UNCOMPRESSED = [
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
]


def small(syntax: str) -> bytes:
    bits = 8 if syntax == uid.JPEGBaseline8Bit else 12
    return dicom_bytes(mammogram_dataset(rows=64, columns=48, bits=bits), syntax)


FILES = {syntax: small(syntax) for syntax in [*UNCOMPRESSED, uid.RLELossless, *ENCODERS]}


def read_or_refuse(file: bytes) -> None:
    """Any other exception fails the test."""
    with contextlib.suppress(Refused):
        read_mammogram(file, limits=Limits(max_inflated_bytes=1 << 20, max_pixels=1 << 20))


@settings(max_examples=300, deadline=None)
@given(tail=st.binary(max_size=400))
def test_any_bytes_after_the_magic_are_survived(tail: bytes) -> None:
    read_or_refuse(bytes(128) + b"DICM" + tail)


@settings(max_examples=300, deadline=None)
@given(syntax=st.sampled_from(sorted(FILES)), tail=st.binary(max_size=400))
def test_any_dataset_after_a_good_meta_header_is_survived(syntax: str, tail: bytes) -> None:
    read_or_refuse(bad_dicom.split_file(FILES[syntax])[0] + tail)


@settings(max_examples=500, deadline=None)
@given(
    syntax=st.sampled_from(sorted(FILES)),
    changes=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=4)), max_size=6),
    cut=st.one_of(st.none(), st.floats(0, 1)),
)
def test_a_good_file_with_changed_bytes_is_survived(
    syntax: str, changes: list[tuple[float, bytes]], cut: float | None
) -> None:
    file = bytearray(FILES[syntax])
    for where, new in changes:
        header_bytes = min(len(file), 1800)  # mostly header: that is where structure is
        at = int(where * header_bytes)
        file[at : at + len(new)] = new
    read_or_refuse(bytes(file[: int(cut * len(file))]) if cut is not None else bytes(file))


@pytest.mark.parametrize("syntax", sorted(FILES))
def test_no_prefix_of_a_good_file_is_an_image(syntax: str) -> None:
    file = FILES[syntax]
    for length in random.Random(0).sample(range(len(file) - 8), 60):
        with pytest.raises(Refused):
            read_mammogram(file[:length])


@pytest.mark.parametrize("magic", [b"MZ", b"\x7fELF", b"PK\x03\x04", b"\xcf\xfa\xed\xfe", b"#!"])
def test_a_file_that_is_a_program_too_is_refused(magic: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read_mammogram(bad_dicom.executable_preamble(magic))
    assert refused.value.code is RefusalCode.SUSPICIOUS_PREAMBLE


def test_a_tiff_preamble_is_allowed() -> None:
    assert read_mammogram(bad_dicom.executable_preamble(b"II*\0")).view == "CC"


@pytest.mark.parametrize("depth", [17, 300, 200_000])
def test_depth_is_bounded_without_recursion(depth: int) -> None:
    with pytest.raises(Refused) as refused:
        read_mammogram(bad_dicom.nested_sequences(depth))
    assert refused.value.code is RefusalCode.NESTED_TOO_DEEP


def test_ordinary_nesting_is_read() -> None:
    assert read_mammogram(bad_dicom.nested_sequences(16)).view == "CC"


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_depth_is_bounded_in_sequences_of_defined_length(syntax: str) -> None:
    ds = mammogram_dataset(rows=64, columns=48)
    inner = Dataset()
    for _ in range(40):
        outer = Dataset()
        outer.ReferencedImageSequence = Sequence([inner])
        inner = outer
    ds.ReferencedImageSequence = Sequence([inner])
    with pytest.raises(Refused) as refused:
        read_mammogram(dicom_bytes(ds, syntax))
    assert refused.value.code is RefusalCode.NESTED_TOO_DEEP


def test_an_icon_inside_a_sequence_is_not_the_image() -> None:
    ds = mammogram_dataset(rows=64, columns=48)
    icon = Dataset()
    icon.PixelData = bytes(16)
    icon["PixelData"].VR = "OW"
    ds.IconImageSequence = Sequence([icon])
    guarded = guard(dicom_bytes(ds), syntaxes=SYNTAXES)
    assert len(guarded.native_pixels()) == 64 * 48 * 2


def test_what_follows_the_pixel_data_is_never_parsed() -> None:
    file = dicom_bytes(mammogram_dataset(rows=64, columns=48))
    assert read_mammogram(file + b"\xff" * 100).view == "CC"


def test_a_sequence_of_unknown_vr_and_length_is_walked() -> None:
    head, body = bad_dicom.split_file(dicom_bytes(mammogram_dataset(rows=64, columns=48)))
    element = struct.pack("<HH2sHI", 0x0009, 0x1001, b"UN", 0, 0xFFFFFFFF)
    item = struct.pack("<HHIHHI", 0xFFFE, 0xE000, 12, 0x0009, 0x1002, 4) + b"abcd"
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    split = body.index(struct.pack("<HH", 0x0010, 0x0010))
    file = head + body[:split] + element + item + end + body[split:]
    assert read_mammogram(file).view == "CC"


def test_only_wanted_elements_reach_the_parser() -> None:
    guarded = guard(dicom_bytes(mammogram_dataset()), syntaxes=SYNTAXES)
    header = guarded.header([0x00280010, 0x00280011])
    assert [int(tag) for tag in header.keys()] == [0x00280010, 0x00280011]  # noqa: SIM118
    assert PIXEL_DATA not in header


def test_a_deflate_bomb_costs_no_more_than_its_limit() -> None:
    bomb = bad_dicom.deflate_bomb(64)
    started = time.perf_counter()
    with pytest.raises(Refused) as refused:
        read_mammogram(bomb, limits=Limits(max_inflated_bytes=4 << 20))
    assert refused.value.code is RefusalCode.INFLATED_TOO_LARGE
    assert time.perf_counter() - started < 5
