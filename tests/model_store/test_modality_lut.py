"""A Modality LUT is applied as pydicom applies it, or the image is refused."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut
from pydicom.sequence import Sequence

from model_store.dicom_input import Photometric, read_mammogram
from model_store.refusals import RefusalCode, Refused, WarningCode
from tests.dicom_factory import dicom_bytes, mammogram_dataset, set_pixels, stored_pixels

CURVE = (np.linspace(0, 1, 3000) ** 0.5 * 60000).astype(np.uint16)


def with_lut(
    table: NDArray[np.generic], *, first: int = 100, bits: int = 16, vr: str = "US", **image: Any
) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(table) % 65536, first, bits]
    words = table.astype("<u2")
    item.add_new("LUTData", vr, words.tobytes() if vr == "OW" else [int(w) for w in words])
    return mammogram_dataset(ModalityLUTSequence=Sequence([item]), **image)


@pytest.mark.parametrize("vr", ["US", "OW"])
@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian])
def test_it_is_applied_as_pydicom_applies_it(syntax: str, vr: str) -> None:
    ds = with_lut(CURVE, vr=vr)
    mammogram = read_mammogram(dicom_bytes(ds, syntax))
    assert np.array_equal(mammogram.pixels, apply_modality_lut(stored_pixels(ds), ds))
    assert mammogram.warnings == (WarningCode.UNUSUAL_PIXEL_FORMAT,)


def test_big_endian_words_are_read_as_such() -> None:
    ds = with_lut(CURVE)
    pixels = read_mammogram(dicom_bytes(ds, uid.ExplicitVRBigEndian)).pixels
    assert np.array_equal(pixels, apply_modality_lut(stored_pixels(ds), ds))


def test_no_entries_mean_65536() -> None:
    table = np.arange(65536)[::-1]
    ds = with_lut(table, first=0, vr="OW")
    assert np.array_equal(read_mammogram(dicom_bytes(ds)).pixels, 65535 - stored_pixels(ds))


def test_entries_of_8_bits_may_be_bytes() -> None:
    ds = with_lut(np.zeros(256, np.uint16), bits=8, first=0, vr="OW")
    table = np.arange(256, dtype=np.uint8)[::-1]
    ds.ModalityLUTSequence[0].LUTData = table.tobytes()
    pixels = np.tile(np.arange(256, dtype=np.uint16), (64, 1))
    read = read_mammogram(dicom_bytes(set_pixels(ds, pixels)))
    assert np.array_equal(read.pixels, 255 - pixels)


def test_a_signed_image_starts_its_table_below_zero() -> None:
    ds = with_lut(np.arange(4096), first=0, PixelRepresentation=1)
    item = ds.ModalityLUTSequence[0]
    del item.LUTDescriptor
    item.add_new("LUTDescriptor", "SS", [4096, -2048, 16])
    values = stored_pixels(ds).astype(np.int16) - 2048
    read = read_mammogram(dicom_bytes(set_pixels(ds, values & 0x0FFF)))
    assert np.array_equal(read.pixels, values + 2048)


def test_a_rescale_slope_beside_it_does_not_count() -> None:
    mammogram = read_mammogram(dicom_bytes(with_lut(CURVE, RescaleSlope=-1)))
    assert mammogram.photometric is Photometric.MONOCHROME2


def descriptor_of_two() -> Dataset:
    ds = with_lut(CURVE)
    ds.ModalityLUTSequence[0].LUTDescriptor = [3000, 0]
    return ds


def shorter_than_it_says() -> Dataset:
    ds = with_lut(CURVE)
    ds.ModalityLUTSequence[0].LUTDescriptor = [4000, 0, 16]
    return ds


def of_words() -> Dataset:
    ds = with_lut(CURVE)
    del ds.ModalityLUTSequence[0].LUTData
    ds.ModalityLUTSequence[0].add_new("LUTData", "LO", "CANARY")
    return ds


def empty() -> Dataset:
    ds = with_lut(CURVE)
    ds.ModalityLUTSequence = Sequence([Dataset()])
    return ds


def beside_padding() -> Dataset:
    return with_lut(CURVE, PixelPaddingValue=0)


@pytest.mark.parametrize(
    "build", [descriptor_of_two, shorter_than_it_says, of_words, empty, beside_padding]
)
def test_one_that_cannot_be_applied_is_refused(build: Any) -> None:
    with pytest.raises(Refused, match=r"(a|the) Modality LUT") as refused:
        read_mammogram(dicom_bytes(build()))
    assert refused.value.code is RefusalCode.UNSUPPORTED_PIXEL_FORMAT
    assert "CANARY" not in refused.value.detail


def test_a_table_that_makes_everything_equal_is_blank() -> None:
    with pytest.raises(Refused) as refused:
        read_mammogram(dicom_bytes(with_lut(np.full(10, 7), first=0)))
    assert refused.value.code is RefusalCode.BLANK_IMAGE
