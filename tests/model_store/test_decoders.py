"""The imagecodecs plugin agrees with pydicom's other decoders, and lies are caught early."""

import io
import struct

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread, uid
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder

from model_store.decoders import PLUGIN, SYNTAXES, FrameSize, decode_frame, register
from model_store.dicom_input import read_mammogram
from model_store.refusals import RefusalCode, Refused
from tests.dicom_factory import ENCODERS, dicom_bytes, mammogram_dataset, stored_pixels

OTHERS = [  # (lossless transfer syntax, another permitted decoder of pydicom)
    (uid.RLELossless, "pydicom"),
    (uid.RLELossless, "pylibjpeg"),
    (uid.JPEGLSLossless, "pyjpegls"),
    (uid.JPEG2000Lossless, "pylibjpeg"),
    (uid.HTJ2KLossless, "pylibjpeg"),
    (uid.HTJ2KLosslessRPCL, "pylibjpeg"),
]
LOSSLESS = [
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.RLELossless,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEG2000Lossless,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
]
LOSSY = [  # (transfer syntax, bits, largest error of the factory's encoder settings)
    (uid.JPEGBaseline8Bit, 8, 12),
    (uid.JPEGExtended12Bit, 12, 60),
    (uid.JPEGLSNearLossless, 12, 2),
    (uid.JPEG2000, 12, 60),
    (uid.HTJ2K, 12, 30),
]


@pytest.fixture(autouse=True, scope="module")
def plugin() -> None:
    register()


def by_pydicom(file: bytes, decoder: str) -> NDArray[np.integer]:
    ds = dcmread(io.BytesIO(file))
    pixels, _ = get_decoder(ds.file_meta.TransferSyntaxUID).as_array(ds, decoding_plugin=decoder)
    return pixels


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize(("syntax", "other"), OTHERS, ids=lambda value: str(value))
def test_the_plugin_agrees_with_another_decoder(syntax: str, other: str, bits: int) -> None:
    file = dicom_bytes(mammogram_dataset(bits=bits), syntax)
    ours = by_pydicom(file, PLUGIN)
    assert np.array_equal(ours, by_pydicom(file, other))
    assert np.array_equal(ours, read_mammogram(file).pixels)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("syntax", LOSSLESS)
def test_a_lossless_syntax_gives_back_the_original_pixels(syntax: str, bits: int) -> None:
    ds = mammogram_dataset(rows=151, columns=97, bits=bits)
    assert np.array_equal(read_mammogram(dicom_bytes(ds, syntax)).pixels, stored_pixels(ds))


@pytest.mark.parametrize("syntax", [uid.JPEGLossless, uid.JPEGLosslessSV1])
def test_lossless_jpeg_agrees_with_a_second_implementation(syntax: str) -> None:
    file = dicom_bytes(mammogram_dataset(), syntax)
    (stream,) = generate_frames(dcmread(io.BytesIO(file)).PixelData, number_of_frames=1)
    assert np.array_equal(by_pydicom(file, PLUGIN), imagecodecs.jpegsof3_decode(stream))


@pytest.mark.parametrize("syntax", [uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K])
def test_high_throughput_jpeg_2000_agrees_with_openjph(syntax: str) -> None:
    file = dicom_bytes(mammogram_dataset(), syntax)
    (stream,) = generate_frames(dcmread(io.BytesIO(file)).PixelData, number_of_frames=1)
    difference = by_pydicom(file, PLUGIN).astype(int) - imagecodecs.htj2k_decode(stream)
    assert np.abs(difference).max() <= (1 if syntax == uid.HTJ2K else 0)


@pytest.mark.parametrize(("syntax", "bits", "most"), LOSSY)
def test_a_lossy_syntax_decodes_within_its_encoders_error(
    syntax: str, bits: int, most: int
) -> None:
    ds = mammogram_dataset(bits=bits)
    pixels = read_mammogram(dicom_bytes(ds, syntax)).pixels
    assert np.abs(pixels.astype(int) - stored_pixels(ds)).max() <= most


def codestream(syntax: str) -> tuple[bytes, FrameSize]:
    ds = mammogram_dataset(rows=96, columns=64, bits=8 if syntax == uid.JPEGBaseline8Bit else 12)
    file = dcmread(io.BytesIO(dicom_bytes(ds, syntax)))
    (stream,) = generate_frames(file.PixelData, number_of_frames=1)
    return stream, FrameSize(96, 64, ds.BitsAllocated)


@pytest.mark.parametrize("syntax", sorted(SYNTAXES))
@pytest.mark.parametrize("part", [0.0, 0.01, 0.1, 0.5, 0.9])
def test_half_a_stream_is_never_half_an_image(syntax: str, part: float) -> None:
    stream, size = codestream(syntax)
    with pytest.raises(Refused) as refused:
        decode_frame(stream[: int(len(stream) * part)], syntax, size)
    assert refused.value.code in (RefusalCode.UNDECODABLE, RefusalCode.PIXELS_MISMATCH)


@pytest.mark.parametrize("syntax", sorted(SYNTAXES))
@pytest.mark.parametrize("lie", [FrameSize(95, 64, 16), FrameSize(96, 128, 16)])
def test_a_stream_of_another_size_is_refused(syntax: str, lie: FrameSize) -> None:
    stream, size = codestream(syntax)
    lie = FrameSize(lie.rows, lie.columns, size.bits_allocated)
    with pytest.raises(Refused) as refused:
        decode_frame(stream, syntax, lie)
    rle_overflow = syntax == uid.RLELossless and refused.value.code is RefusalCode.UNDECODABLE
    assert refused.value.code is RefusalCode.PIXELS_MISMATCH or rle_overflow


@pytest.mark.parametrize("syntax", sorted(SYNTAXES - {uid.JPEGBaseline8Bit}))
def test_a_stream_of_more_bits_than_allocated_is_refused(syntax: str) -> None:
    stream, _ = codestream(syntax)
    with pytest.raises(Refused) as refused:
        decode_frame(stream, syntax, FrameSize(96, 64, 8))
    assert refused.value.code is RefusalCode.PIXELS_MISMATCH


def test_a_stream_of_three_components_is_refused() -> None:
    colour = np.zeros((96, 64, 3), np.uint8)
    stream = bytes(imagecodecs.jpeg2k_encode(colour, codecformat="j2k"))
    with pytest.raises(Refused) as refused:
        decode_frame(stream, uid.JPEG2000Lossless, FrameSize(96, 64, 8))
    assert refused.value.code is RefusalCode.PIXELS_MISMATCH


def test_a_stream_of_another_jpeg_process_is_refused() -> None:
    stream, size = codestream(uid.JPEGLosslessSV1)
    with pytest.raises(Refused) as refused:
        decode_frame(stream, uid.JPEGExtended12Bit, size)
    assert refused.value.code is RefusalCode.UNDECODABLE


def test_every_syntax_of_the_factory_is_supported() -> None:
    assert {uid.RLELossless, *ENCODERS} == SYNTAXES


def test_a_jp2_file_is_read_by_the_codestream_whose_header_was_checked() -> None:
    """A JP2 file with a decoy of the right size in a free box before its large codestream."""
    pixels = stored_pixels(mammogram_dataset())
    j2k = {"reversible": True, "bitspersample": 12}
    decoy = imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", **j2k)[:100]
    whole = imagecodecs.jpeg2k_encode(np.zeros((2000, 2000), np.uint16), codecformat="jp2", **j2k)
    free = struct.pack(">I4s", 8 + len(decoy), b"free") + decoy
    size = FrameSize(*pixels.shape, bits_allocated=16)
    with pytest.raises(Refused) as refused:
        decode_frame(whole[:12] + free + whole[12:], uid.JPEG2000Lossless, size)
    assert refused.value.code is RefusalCode.UNDECODABLE
    honest = imagecodecs.jpeg2k_encode(pixels, codecformat="jp2", **j2k)
    assert np.array_equal(decode_frame(honest, uid.JPEG2000Lossless, size), pixels)
