"""Bad input of every kind, made in code: each function returns the bytes of one file."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.dicom_factory import (
    ENCODERS,
    code_item,
    dicom_bytes,
    encapsulated,
    mammogram_dataset,
    set_pixels,
    stored_pixels,
)

IMAGE_KEYWORDS = ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit")


def _small(**overrides: Any) -> Dataset:
    return mammogram_dataset(rows=64, columns=48, **overrides)


def split_file(whole: bytes) -> tuple[bytes, bytes]:
    """(preamble, DICM and group 2; the dataset) of a file with a group length."""
    end = 144 + struct.unpack_from("<I", whole, 140)[0]
    return whole[:end], whole[end:]


def not_dicom() -> bytes:
    """A text long enough to hold a preamble."""
    return b"This is a letter, not an image.\n" * 40


def empty() -> bytes:
    """Nothing at all."""
    return b""


def without_preamble() -> bytes:
    """A dataset that starts without the 128 bytes and DICM."""
    return split_file(dicom_bytes(_small()))[1]


def executable_preamble(magic: bytes = b"MZ") -> bytes:
    """A DICOM file that is a program too (CVE-2019-11687)."""
    return magic + dicom_bytes(_small())[len(magic) :]


def truncated(fraction: float = 0.5) -> bytes:
    """The first part of a good file."""
    whole = dicom_bytes(_small())
    return whole[: int(len(whole) * fraction)]


def truncated_compressed(fraction: float = 0.7) -> bytes:
    """The first part of a good JPEG 2000 file: its fragments are not closed."""
    whole = dicom_bytes(mammogram_dataset(), uid.JPEG2000Lossless)
    return whole[: int(len(whole) * fraction)]


def truncated_codestream(syntax: str = uid.JPEG2000Lossless) -> bytes:
    """A whole DICOM file around half a codestream."""
    return _with_codestream(syntax, lambda stream: stream[: len(stream) // 2])


def undecodable(syntax: str = uid.JPEG2000Lossless) -> bytes:
    """A whole DICOM file; its codestream has a good header and then noise."""
    noise = np.random.default_rng(0).integers(0, 256, 4096, dtype=np.uint8).tobytes()
    return _with_codestream(syntax, lambda stream: stream[:100] + noise)


def _with_codestream(syntax: str, change: Callable[[bytes], bytes]) -> bytes:
    ds = mammogram_dataset()
    stream = ENCODERS[syntax](stored_pixels(ds), ds.BitsStored)
    encapsulated(ds, change(stream))
    ds.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def lying_codestream() -> bytes:
    """A JPEG 2000 header that claims 60000 x 60000 pixels inside a small dataset."""
    size = struct.pack(">2I", 60000, 60000)

    def lie(stream: bytes) -> bytes:
        return stream[:8] + size + stream[16:24] + size + stream[32:]

    return _with_codestream(uid.JPEG2000Lossless, lie)


def lying_rows(rows: int = 65535, columns: int = 65535) -> bytes:
    """Native pixels of 64 x 48 under a dataset that claims more."""
    return dicom_bytes(_small(Rows=rows, Columns=columns))


def lying_element_length() -> bytes:
    """An OB element that claims 4 GB in a small file."""
    head, body = split_file(dicom_bytes(_small()))
    return head + struct.pack("<HH2sHI", 0x0008, 0x0001, b"OB", 0, 0xFFFFFFFE) + body


def nested_sequences(depth: int = 2000) -> bytes:
    """A sequence within a sequence within ..., of undefined length, before the image."""
    head, body = split_file(dicom_bytes(_small()))
    sequence = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    close = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    return head + (sequence + item) * depth + close * depth + body


def deflate_bomb(megabytes: int = 256) -> bytes:
    """A deflated dataset of some hundred KB that inflates to `megabytes` and more."""
    head, _ = split_file(dicom_bytes(_small(), uid.DeflatedExplicitVRLittleEndian))
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    out = [squeeze.compress(struct.pack("<HH2sHI", 0x0009, 0x1000, b"OB", 0, megabytes << 20))]
    out += [squeeze.compress(bytes(1 << 20)) for _ in range(megabytes)]
    return head + b"".join(out) + squeeze.flush()


def many_elements(count: int = 200_000) -> bytes:
    """One sequence with very many empty items."""
    head, body = split_file(dicom_bytes(_small()))
    sequence = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 8 * count)
    return head + sequence + struct.pack("<HHI", 0xFFFE, 0xE000, 0) * count + body


def unknown_transfer_syntax(syntax: str = "1.2.840.10008.1.2.4.102") -> bytes:
    """A mammogram that calls itself MPEG-4 (or any other syntax)."""
    ds = encapsulated(_small(), bytes(64))
    written = syntax.ljust(len(syntax) + len(syntax) % 2, "\0")
    ds.file_meta.TransferSyntaxUID = "1." + "2" * (len(written) - 2)  # pydicom warns of others
    buffer = io.BytesIO()
    ds.save_as(buffer, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return buffer.getvalue().replace(ds.file_meta.TransferSyntaxUID.encode(), written.encode(), 1)


def without_pixels() -> bytes:
    """A mammogram's header alone."""
    return dicom_bytes(_small(PixelData=None))


def of_class(sop_class: str, modality: str) -> bytes:
    """An image of another SOP class and modality."""
    return dicom_bytes(_small(SOPClassUID=sop_class, Modality=modality))


def ct() -> bytes:
    """A CT slice."""
    return of_class(uid.CTImageStorage, "CT")


def mr() -> bytes:
    """An MR slice."""
    return of_class(uid.MRImageStorage, "MR")


def structured_report(sop_class: str = uid.BasicTextSRStorage) -> bytes:
    """A report: no pixels, no rows."""
    ds = _small(SOPClassUID=sop_class, Modality="SR", **dict.fromkeys(IMAGE_KEYWORDS))
    return dicom_bytes(ds)


def cad_report() -> bytes:
    """A Mammography CAD SR."""
    return structured_report(uid.MammographyCADSRStorage)


def for_processing() -> bytes:
    """The raw twin of a mammogram."""
    return dicom_bytes(
        _small(
            SOPClassUID=uid.DigitalMammographyXRayImageStorageForProcessing,
            PresentationIntentType="FOR PROCESSING",
        )
    )


def tomosynthesis(frames: int = 4) -> bytes:
    """A breast tomosynthesis volume."""
    ds = _small(SOPClassUID=uid.BreastTomosynthesisImageStorage, NumberOfFrames=frames)
    ds.PixelData = ds.PixelData * frames
    return dicom_bytes(ds)


def multi_frame(frames: int = 4) -> bytes:
    """Several frames under the 2D mammography class."""
    ds = _small(NumberOfFrames=frames)
    ds.PixelData = ds.PixelData * frames
    return dicom_bytes(ds)


def colour() -> bytes:
    """An RGB image under the mammography class."""
    ds = _small(bits=8, SamplesPerPixel=3, PhotometricInterpretation="RGB")
    ds.PlanarConfiguration = 0
    ds.PixelData = ds.PixelData * 3
    return dicom_bytes(ds)


def blank() -> bytes:
    """Every pixel has the same value."""
    return dicom_bytes(set_pixels(_small(), np.full((64, 48), 7, np.uint16)))


def spot_compression() -> bytes:
    """A spot view: a crop unlike a whole breast."""
    ds = _small()
    modifier = code_item("399055006", "Spot Compression")
    ds.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence([modifier])
    return dicom_bytes(ds)


def nan_window() -> bytes:
    """A good image whose window centre is not a number."""
    whole = dicom_bytes(_small(WindowCenter=9999))
    return whole.replace(b"DS\x06\x009999.0", b"DS\x06\x00nan   ", 1)


def unknown_view() -> bytes:
    """A good image whose view is a word nobody knows."""
    return dicom_bytes(_small(ViewPosition="SIDEWAYS", ViewCodeSequence=None))


def zip_bomb(megabytes: int = 512) -> bytes:
    """A zip of some hundred KB with one entry of `megabytes` of zeros."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("bomb.dcm", "w", force_zip64=True) as entry,
    ):
        for _ in range(megabytes):
            entry.write(bytes(1 << 20))
    return buffer.getvalue()


def zip_with_names(*names: str) -> bytes:
    """A zip whose entries, one good mammogram each, carry the given names."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), dicom_bytes(_small()))
    return buffer.getvalue()


def zip_slip() -> bytes:
    """A zip that tries to leave its folder."""
    return zip_with_names("../../escaped.dcm")
