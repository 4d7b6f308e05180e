"""Bad input of every kind has its code; odd but honest input is read."""

import io
import logging
import mmap
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from pydicom import dcmread, uid
from pydicom.data import get_testdata_file

from model_store.dicom_input import Limits, Photometric, read_mammogram
from model_store.manifest import Recipe
from model_store.refusals import RefusalCode, Refused, WarningCode
from model_store.render import render
from tests import bad_dicom
from tests.dicom_factory import (
    dicom_bytes,
    encapsulated,
    mammogram_dataset,
    set_pixels,
    stored_pixels,
)

RECIPE = Recipe(height_px=64, width_px=48)
BAD: list[tuple[Callable[[], bytes], RefusalCode]] = [
    (bad_dicom.empty, RefusalCode.EMPTY),
    (bad_dicom.not_dicom, RefusalCode.NOT_DICOM),
    (bad_dicom.without_preamble, RefusalCode.NOT_DICOM),
    (bad_dicom.zip_slip, RefusalCode.NOT_DICOM),
    (bad_dicom.executable_preamble, RefusalCode.SUSPICIOUS_PREAMBLE),
    (bad_dicom.truncated, RefusalCode.TRUNCATED),
    (bad_dicom.truncated_compressed, RefusalCode.TRUNCATED),
    (bad_dicom.lying_element_length, RefusalCode.TRUNCATED),
    (bad_dicom.truncated_codestream, RefusalCode.UNDECODABLE),
    (bad_dicom.undecodable, RefusalCode.UNDECODABLE),
    (bad_dicom.unknown_transfer_syntax, RefusalCode.UNSUPPORTED_TRANSFER_SYNTAX),
    (bad_dicom.nested_sequences, RefusalCode.NESTED_TOO_DEEP),
    (bad_dicom.many_elements, RefusalCode.TOO_MANY_ELEMENTS),
    (bad_dicom.deflate_bomb, RefusalCode.INFLATED_TOO_LARGE),
    (bad_dicom.lying_rows, RefusalCode.PIXELS_MISMATCH),
    (bad_dicom.lying_codestream, RefusalCode.PIXELS_MISMATCH),
    (bad_dicom.without_pixels, RefusalCode.NO_PIXELS),
    (bad_dicom.blank, RefusalCode.BLANK_IMAGE),
    (bad_dicom.ct, RefusalCode.NOT_A_MAMMOGRAM),
    (bad_dicom.mr, RefusalCode.NOT_A_MAMMOGRAM),
    (bad_dicom.structured_report, RefusalCode.NOT_A_MAMMOGRAM),
    (bad_dicom.cad_report, RefusalCode.NOT_A_MAMMOGRAM),
    (bad_dicom.for_processing, RefusalCode.FOR_PROCESSING),
    (bad_dicom.tomosynthesis, RefusalCode.TOMOSYNTHESIS),
    (bad_dicom.multi_frame, RefusalCode.MULTI_FRAME),
    (bad_dicom.colour, RefusalCode.UNSUPPORTED_PHOTOMETRIC),
    (bad_dicom.spot_compression, RefusalCode.NON_STANDARD_VIEW),
]


def refusal(file: bytes, limits: Limits | None = None) -> RefusalCode:
    with pytest.raises(Refused) as refused:
        read_mammogram(file, limits=limits)
    return refused.value.code


@pytest.mark.parametrize(("build", "code"), BAD, ids=[build.__name__ for build, _ in BAD])
def test_bad_input_is_refused_with_its_code(build: Callable[[], bytes], code: RefusalCode) -> None:
    limits = Limits(max_inflated_bytes=32 << 20) if build is bad_dicom.deflate_bomb else None
    assert refusal(build(), limits) is code


def test_a_window_that_is_not_a_number_is_a_warning() -> None:
    assert read_mammogram(bad_dicom.nan_window()).warnings == (WarningCode.WINDOW_IGNORED,)


def test_an_unknown_view_is_a_warning() -> None:
    mammogram = read_mammogram(bad_dicom.unknown_view())
    assert (mammogram.view, mammogram.warnings) == (None, (WarningCode.VIEW_UNKNOWN,))


@pytest.mark.parametrize(
    "name",
    ["CT_small.dcm", "MR_small.dcm", "rtdose.dcm", "test-SR.dcm", "liver_1frame.dcm"],
)
def test_other_objects_of_a_study_are_not_mammograms(name: str) -> None:
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    assert refusal(Path(path).read_bytes()) is RefusalCode.NOT_A_MAMMOGRAM


def test_a_file_over_the_limit_is_refused_before_it_is_read() -> None:
    file = dicom_bytes(mammogram_dataset())
    assert refusal(file, Limits(max_file_bytes=1000)) is RefusalCode.TOO_LARGE
    assert refusal(file, Limits(max_pixels=1000)) is RefusalCode.TOO_LARGE


def test_more_rows_than_the_pixel_data_holds_are_refused() -> None:
    assert refusal(bad_dicom.lying_rows(65, 48)) is RefusalCode.PIXELS_MISMATCH


def test_pixels_are_not_copied_where_they_need_not_be(tmp_path: Path) -> None:
    path = tmp_path / "view.dcm"
    path.write_bytes(dicom_bytes(mammogram_dataset()))
    with path.open("rb") as file:
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    pixels = read_mammogram(mapping).pixels
    assert np.shares_memory(pixels, np.frombuffer(mapping, np.uint8))
    assert np.array_equal(pixels, stored_pixels(mammogram_dataset()))


def test_bits_above_the_stored_ones_are_masked() -> None:
    ds = mammogram_dataset(bits=12)
    pixels = stored_pixels(ds)
    overlay = pixels | np.where(np.arange(416) % 7 == 0, 0x8000, 0).astype(np.uint16)
    assert np.array_equal(read_mammogram(dicom_bytes(set_pixels(ds, overlay))).pixels, pixels)


def test_left_justified_bits_are_shifted_down_with_a_warning() -> None:
    ds = mammogram_dataset(bits=12)
    pixels = stored_pixels(ds)
    ds.HighBit = 15
    mammogram = read_mammogram(dicom_bytes(set_pixels(ds, pixels << 4)))
    assert np.array_equal(mammogram.pixels, pixels)
    assert mammogram.warnings == (WarningCode.UNUSUAL_PIXEL_FORMAT,)


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.RLELossless])
def test_signed_values_keep_their_sign(syntax: str) -> None:
    ds = mammogram_dataset(bits=12, PixelRepresentation=1)
    values = (stored_pixels(ds).astype(np.int16) & 0x0FFF) - 2048
    mammogram = read_mammogram(dicom_bytes(set_pixels(ds, values & 0x0FFF), syntax))
    assert mammogram.pixels.dtype == np.int16
    assert np.array_equal(mammogram.pixels, values)


def test_a_negative_rescale_slope_turns_the_image_round() -> None:
    mammogram = read_mammogram(dicom_bytes(mammogram_dataset(RescaleSlope=-1)))
    assert mammogram.photometric is Photometric.MONOCHROME1


def test_padding_is_read_in_either_order() -> None:
    ds = mammogram_dataset(PixelPaddingValue=30)
    ds.add_new("PixelPaddingRangeLimit", "US", 0)
    assert read_mammogram(dicom_bytes(ds)).padding == (0, 30)


@pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian])
def test_padding_of_signed_pixels_is_signed(syntax: str) -> None:
    ds = mammogram_dataset(bits=12, PixelRepresentation=1)
    ds.add_new("PixelPaddingValue", "SS", -2000)
    assert read_mammogram(dicom_bytes(ds, syntax)).padding == (-2000, -2000)


def test_white_that_a_lossy_codec_overshot_stays_white() -> None:
    """A 12-bit image in a 16-bit codestream, as some archives write it."""
    stripes = np.where(np.arange(416) // 40 % 2, 4095, 100).astype(np.uint16)
    pixels = np.tile(stripes, (512, 1))
    stream = imagecodecs.jpeg2k_encode(
        pixels, level=48, codecformat="j2k", reversible=False, bitspersample=16
    )
    assert imagecodecs.jpeg2k_decode(stream).max() > 4500
    ds = encapsulated(mammogram_dataset(), stream)
    ds.file_meta.TransferSyntaxUID = uid.JPEG2000
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    read = read_mammogram(buffer.getvalue()).pixels
    assert read.max() == 4095
    assert read[pixels == 4095].min() > 2048


@pytest.mark.parametrize("representation", ["SS", "US"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_in_the_spare_bits_is_as_dark_as_the_image(
    photometric: str, representation: str
) -> None:
    ds = mammogram_dataset(photometric=photometric)
    plain = render(read_mammogram(dicom_bytes(ds)), RECIPE).canvas
    pixels = stored_pixels(ds).copy()
    pixels[:, -20:] = 0xFFFF  # air, right of a left breast
    ds.add_new("PixelPaddingValue", representation, -1 if representation == "SS" else 0xFFFF)
    mammogram = read_mammogram(dicom_bytes(set_pixels(ds, pixels)))
    assert mammogram.padding == (0xFFFF, 0xFFFF)
    assert np.array_equal(render(mammogram, RECIPE).canvas, plain)


def test_nothing_but_padding_in_the_spare_bits_is_blank() -> None:
    ds = mammogram_dataset(PixelPaddingValue=0xF000)
    ds.add_new("PixelPaddingRangeLimit", "US", 0xFFFF)
    pixels = stored_pixels(ds) | np.uint16(0xF000)
    assert refusal(dicom_bytes(set_pixels(ds, pixels))) is RefusalCode.BLANK_IMAGE


def test_bright_padding_beside_the_breast_is_not_taken_for_the_breast() -> None:
    ds = mammogram_dataset(PixelPaddingValue=4095)
    pixels = stored_pixels(ds).copy()
    pixels[:, -140:] = 4095
    assert read_mammogram(dicom_bytes(set_pixels(ds, pixels))).warnings == ()


def test_big_endian_bytes_in_words_are_swapped() -> None:
    ds = mammogram_dataset(bits=8)
    pixels = stored_pixels(ds)
    ds.PixelData = pixels.view("<u2").byteswap().tobytes()
    ds["PixelData"].VR = "OW"
    file = dicom_bytes(ds, uid.ExplicitVRBigEndian)
    assert np.array_equal(dcmread(io.BytesIO(file)).pixel_array, pixels)
    assert np.array_equal(read_mammogram(file).pixels, pixels)


def test_an_image_that_takes_too_much_memory_is_too_large() -> None:
    """In a process of its own, with as much memory as it has and 16 MB more."""
    script = (
        "import resource, sys; from model_store.dicom_input import read_mammogram, Refused\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        "limit = pages * resource.getpagesize() + (16 << 20)\n"
        "file = sys.stdin.buffer.read(); resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "try: read_mammogram(file)\n"
        "except Refused as refused: print(refused.code)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], input=bad_dicom.deflate_bomb(64), capture_output=True
    )
    assert (ran.stdout, ran.stderr) == (b"too_large\n", b"")


def test_a_breast_on_the_other_edge_than_the_header_says_is_a_warning() -> None:
    ds = mammogram_dataset(laterality="L")
    mirrored = np.ascontiguousarray(stored_pixels(ds)[:, ::-1])
    mammogram = read_mammogram(dicom_bytes(set_pixels(ds, mirrored)))
    assert mammogram.warnings == (WarningCode.LATERALITY_CONFLICT,)
    assert mammogram.laterality == "L"


def test_a_refusal_crosses_processes() -> None:
    refused = pickle.loads(pickle.dumps(Refused(RefusalCode.EMPTY, "the file has no bytes")))
    assert (refused.code, refused.detail) == (RefusalCode.EMPTY, "the file has no bytes")


@pytest.mark.parametrize(
    "build",
    [
        bad_dicom.ct,
        bad_dicom.cad_report,
        bad_dicom.for_processing,
        bad_dicom.multi_frame,
        bad_dicom.colour,
        bad_dicom.lying_rows,
        bad_dicom.spot_compression,
        bad_dicom.without_pixels,
        bad_dicom.undecodable,
    ],
)
def test_no_refusal_quotes_the_header(build: Callable[[], bytes]) -> None:
    canary = "ZQXCANARY"
    ds = dcmread(io.BytesIO(build()))
    for element in ds:
        if element.VR in ("LO", "SH", "PN", "LT", "ST", "CS") and element.tag != 0x00080005:
            element.value = canary
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    with pytest.raises(Refused) as refused:
        read_mammogram(buffer.getvalue())
    assert canary not in str(refused.value)


def test_no_warning_and_no_log_line_quotes_the_header(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert refusal(bad_dicom.unknown_transfer_syntax("CANARY^JANE")) is (
        RefusalCode.UNSUPPORTED_TRANSFER_SYNTAX
    )
    ds = mammogram_dataset()
    instance = ds.SOPInstanceUID.encode()
    read_mammogram(dicom_bytes(ds).replace(instance, b"CANARY^JANE".ljust(len(instance), b"7")))
    assert caplog.records == []
    assert not logging.getLogger("pydicom").disabled
