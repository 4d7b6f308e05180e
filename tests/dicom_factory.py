"""Valid mammograms made in code: one image or a four-view study, in any transfer syntax.

Seeded: the same arguments give the same bytes. Bad input of every kind is in tests/bad_dicom.py.
"""

from copy import deepcopy
from io import BytesIO
from typing import Any

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

MG_PRESENTATION = uid.DigitalMammographyXRayImageStorageForPresentation
VIEW_CODES = {  # CID 4014, SNOMED CT
    "CC": ("399162004", "cranio-caudal"),
    "MLO": ("399368009", "medio-lateral oblique"),
    "ML": ("399260004", "medio-lateral"),
    "LM": ("399352003", "latero-medial"),
}
FOUR_VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))

ENCODERS: dict[str, Any] = {
    uid.JPEGBaseline8Bit: lambda a, _: imagecodecs.jpeg8_encode(a, level=95),
    uid.JPEGExtended12Bit: lambda a, _: imagecodecs.jpeg8_encode(a, level=95, bitspersample=12),
    uid.JPEGLossless: lambda a, bits: imagecodecs.jpeg8_encode(
        a, lossless=True, predictor=6, bitspersample=bits
    ),
    uid.JPEGLosslessSV1: lambda a, bits: imagecodecs.jpeg8_encode(
        a, lossless=True, predictor=1, bitspersample=bits
    ),
    uid.JPEGLSLossless: lambda a, _: imagecodecs.jpegls_encode(a),
    uid.JPEGLSNearLossless: lambda a, _: imagecodecs.jpegls_encode(a, level=2),
    uid.JPEG2000Lossless: lambda a, bits: imagecodecs.jpeg2k_encode(
        a, codecformat="j2k", reversible=True, bitspersample=bits
    ),
    uid.JPEG2000: lambda a, bits: imagecodecs.jpeg2k_encode(
        a, level=60, codecformat="j2k", reversible=False, bitspersample=bits
    ),
    uid.HTJ2KLossless: lambda a, _: imagecodecs.htj2k_encode(a, reversible=True),
    uid.HTJ2KLosslessRPCL: lambda a, _: imagecodecs.htj2k_encode(a, reversible=True),
    uid.HTJ2K: lambda a, _: imagecodecs.htj2k_encode(a, level=1e-4, reversible=False),
}
"""How the pixels of a factory dataset are compressed: (array, bits stored) -> codestream."""


def breast_pixels(
    rows: int, columns: int, *, laterality: str = "L", bits: int = 12, seed: int = 0
) -> NDArray[np.uint16]:
    """(rows, columns) MONOCHROME2: air 0, a half ellipse of tissue with texture on one side."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    if laterality == "R":
        x = columns - 1 - x
    radius = (x / (0.8 * columns)) ** 2 + ((y - rows / 2) / (0.45 * rows)) ** 2
    coarse = rng.normal(size=(max(rows // 32, 2), max(columns // 32, 2))).astype(np.float32)
    texture = cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC)
    grain = rng.normal(size=(rows, columns)).astype(np.float32)
    tissue = 0.35 + 0.35 * (1 - radius) + 0.06 * texture + 0.01 * grain
    scaled = np.where(radius < 1, np.clip(tissue, 0.2, 0.98), 0) * (2**bits - 1)
    pixels: NDArray[np.uint16] = scaled.astype(np.uint16)
    return pixels


def mammogram_dataset(
    *,
    rows: int = 512,
    columns: int = 416,
    laterality: str = "L",
    view: str = "CC",
    photometric: str = "MONOCHROME2",
    bits: int = 12,
    seed: int = 0,
    **overrides: Any,
) -> Dataset:
    """A Digital Mammography For Presentation object, uncompressed.

    `overrides` are DICOM keywords; None removes the element.
    """
    ds = _identity(seed)
    _acquisition(ds, laterality, view)
    pixels = breast_pixels(rows, columns, laterality=laterality, bits=bits, seed=seed)
    if photometric == "MONOCHROME1":
        pixels = (2**bits - 1 - pixels).astype(np.uint16)
    _image(ds, photometric, bits)
    set_pixels(ds, pixels if bits > 8 else pixels.astype(np.uint8))
    for keyword, value in overrides.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    ds.file_meta.MediaStorageSOPClassUID = ds.get("SOPClassUID", MG_PRESENTATION)
    return ds


def _identity(seed: int) -> Dataset:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = MG_PRESENTATION
    ds.SOPInstanceUID = uid.generate_uid(entropy_srcs=["instance", str(seed)])
    ds.StudyInstanceUID = uid.generate_uid(entropy_srcs=["study", str(seed)])
    ds.SeriesInstanceUID = uid.generate_uid(entropy_srcs=["series", str(seed)])
    ds.PatientName, ds.PatientID = "Phantom^Factory", "TEST-0001"
    ds.PatientBirthDate, ds.PatientSex = "19700101", "F"
    ds.StudyDate, ds.StudyTime, ds.StudyID = "20260102", "030405", "1"
    ds.AccessionNumber, ds.ReferringPhysicianName = "ACC1", ""
    ds.Modality, ds.Manufacturer = "MG", "Synthetic"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = MG_PRESENTATION
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    return ds


def code_item(value: str, meaning: str, *, scheme: str = "SCT") -> Dataset:
    """One item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _acquisition(ds: Dataset, laterality: str, view: str) -> None:
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.BodyPartExamined = ds.OrganExposed = "BREAST"
    ds.ImageLaterality, ds.ViewPosition = laterality, view
    foot = "" if view == "CC" else "F"
    column = "L" if laterality == "R" else "R"  # CC rows end at the inner side, MLO at the feet
    ds.PatientOrientation = ["A" if laterality == "L" else "P", foot + column]
    if view in VIEW_CODES:
        ds.ViewCodeSequence = Sequence([code_item(*VIEW_CODES[view])])
        ds.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence()
    ds.BreastImplantPresent = ds.PartialView = ds.BurnedInAnnotation = "NO"
    ds.LossyImageCompression = "00"
    ds.ImagerPixelSpacing = [0.07, 0.07]
    ds.FieldOfViewHorizontalFlip = "NO"


def _image(ds: Dataset, photometric: str, bits: int) -> None:
    inverse = photometric == "MONOCHROME1"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, photometric
    ds.PresentationLUTShape = "INVERSE" if inverse else "IDENTITY"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = (16 if bits > 8 else 8), bits, bits - 1
    ds.PixelRepresentation = 0
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.WindowCenter, ds.WindowWidth = 2 ** (bits - 1), 2**bits
    ds.VOILUTFunction = "LINEAR"


def set_pixels(ds: Dataset, pixels: NDArray[Any]) -> Dataset:
    """Put (rows, columns) little endian pixels into the dataset, uncompressed."""
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated = pixels.dtype.itemsize * 8
    raw = pixels.tobytes()
    ds.PixelData = raw + b"\0" * (len(raw) % 2)
    ds["PixelData"].VR = "OW" if ds.BitsAllocated > 8 else "OB"
    return ds


def stored_pixels(ds: Dataset) -> NDArray[Any]:
    """The (rows, columns) stored values of an uncompressed factory dataset."""
    kind = np.dtype(f"<{'i' if ds.PixelRepresentation else 'u'}{ds.BitsAllocated // 8}")
    return np.frombuffer(ds.PixelData, kind, ds.Rows * ds.Columns).reshape(ds.Rows, ds.Columns)


def dicom_bytes(ds: Dataset, transfer_syntax: str = uid.ExplicitVRLittleEndian) -> bytes:
    """The DICOM file of an uncompressed factory dataset, re-encoded; `ds` is left as it is."""
    out = deepcopy(ds)
    syntax = uid.UID(transfer_syntax)
    if syntax == uid.RLELossless:
        out.compress(syntax, encoding_plugin="pydicom", generate_instance_uid=False)
    elif syntax.is_encapsulated:
        encapsulated(out, ENCODERS[syntax](stored_pixels(ds), ds.BitsStored))
    elif syntax == uid.ExplicitVRBigEndian and "PixelData" in ds and ds.BitsAllocated > 8:
        out.PixelData = stored_pixels(ds).byteswap().tobytes()
        out["PixelData"].VR = "OW"
    out.file_meta.TransferSyntaxUID = syntax
    buffer = BytesIO()
    out.save_as(
        buffer,
        implicit_vr=syntax.is_implicit_VR,
        little_endian=syntax.is_little_endian,
        enforce_file_format=True,
    )
    return buffer.getvalue()


def encapsulated(ds: Dataset, codestream: bytes) -> Dataset:
    """Put one compressed frame into the dataset."""
    ds.PixelData = encapsulate([codestream])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    return ds


def four_view_study(
    *, seed: int = 0, transfer_syntax: str = uid.ExplicitVRLittleEndian, **keywords: Any
) -> dict[str, bytes]:
    """{"rcc.dcm": ..., "lcc.dcm": ..., "rmlo.dcm": ..., "lmlo.dcm": ...}: one study, four views."""
    study = uid.generate_uid(entropy_srcs=["four views", str(seed)])
    files = {}
    for index, (laterality, view) in enumerate(FOUR_VIEWS):
        ds = mammogram_dataset(laterality=laterality, view=view, seed=4 * seed + index, **keywords)
        ds.StudyInstanceUID = study
        files[f"{laterality}{view}.dcm".lower()] = dicom_bytes(ds, transfer_syntax)
    return files
