"""The attribute rules: which objects are mammograms this project reads, and what they say.

In: the few header elements of a guarded file. Out: an `ImageHeader` with warnings, or a refusal.
Never puts a value of the header into a message. Knows nothing of pixels.
"""

import math
import re
from dataclasses import dataclass

from pydicom import uid
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from model_store.dicom_anatomy import (
    chest_wall_is_left,
    find_laterality,
    find_spacing_mm,
    find_view,
)
from model_store.dicom_guard import uid_name
from model_store.dicom_terms import (
    ALWAYS_LOSSY,
    BIOPSY_TERMS,
    DIGITAL_CLASSES,
    HOLOGIC_CODEC,
    SECONDARY_CAPTURE_PX,
    Laterality,
    Photometric,
    View,
)
from model_store.dicom_values import integer, numbers, text, texts
from model_store.modality_lut import ModalityLut, read_modality_lut
from model_store.refusals import RefusalCode, Refused, WarningCode

TOMOSYNTHESIS_TEXTS = (
    "SeriesDescription", "StudyDescription", "ProtocolName", "ImageComments",
    "DerivationDescription", "AcquisitionDeviceProcessingDescription",
)  # fmt: skip
KEYWORDS = (
    *TOMOSYNTHESIS_TEXTS,
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "Modality", "BodyPartExamined",
    "PresentationIntentType", "ImageType", "ConversionType", "ManufacturerModelName",
    "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "PresentationLUTShape",
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "ModalityLUTSequence", "RescaleSlope", "WindowCenter", "WindowWidth",
    "PixelPaddingValue", "PixelPaddingRangeLimit", "LossyImageCompression",
    "ImageLaterality", "Laterality", "AnatomicRegionSequence", "PatientOrientation",
    "ViewPosition", "ViewCodeSequence", "ViewModifierCodeSequence",
    "BreastImplantPresent", "PartialView", "BurnedInAnnotation",
    "ImagerPixelSpacing", "PixelSpacing", "PixelSpacingCalibrationType",
    "EstimatedRadiographicMagnificationFactor",
)  # fmt: skip
TAGS = frozenset(tag for tag in map(tag_for_keyword, KEYWORDS) if tag) | {HOLOGIC_CODEC}
"""The only elements that are ever parsed: no name, no date; of private ones a group's creator."""

SAYS_TOMOSYNTHESIS = re.compile(r"TOMO|\bDBT\b")
SAYS_SYNTHETIC = re.compile(
    r"\b[CS][- ]?VIEW\b|\bV[- ]?PREVIEW\b|\b(INTELLIGENT|INSIGHT|SYNTHETIC)[- ]?2D\b"
)
SAYS_NO_IMAGE = re.compile(r"\bMASKS?\b|\bCROP(PED)?\b")  # CBIS-DDSM's lesions beside its views
MIN_SIDE_PX = 16
"""The recipe takes a border of 5 pixels off each side."""
UID_TEXT = re.compile(r"[0-9.]{1,64}")


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How stored values are written."""

    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What the header says about one readable mammogram."""

    format: PixelFormat
    photometric: Photometric
    padding: tuple[int, int] | None
    lut: ModalityLut | None
    laterality: Laterality | None
    view: View | None
    chest_wall_is_left: bool | None
    """On which edge of the image the chest wall should lie; None: the header does not say."""
    spacing_mm: tuple[float, float] | None
    sop_instance_uid: str
    study_instance_uid: str
    warnings: tuple[WarningCode, ...]


def read_header(ds: Dataset, transfer_syntax: str) -> ImageHeader:
    """Apply every rule to the elements `TAGS` of one file. Raises Refused."""
    warnings: list[WarningCode] = []
    _check_object(ds, warnings)
    _check_image_type(ds, warnings)
    pixel_format = _pixel_format(ds, warnings)
    view = find_view(ds, warnings)
    laterality = find_laterality(ds, view, warnings)
    _note_circumstances(ds, transfer_syntax, warnings)
    return ImageHeader(
        format=pixel_format,
        photometric=_photometric(ds, warnings),
        padding=_padding(ds, pixel_format),
        lut=_modality_lut(ds, pixel_format, warnings),
        laterality=laterality,
        view=view,
        chest_wall_is_left=chest_wall_is_left(ds, laterality),
        spacing_mm=find_spacing_mm(ds),
        sop_instance_uid=_uid(ds, "SOPInstanceUID"),
        study_instance_uid=_uid(ds, "StudyInstanceUID"),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _check_object(ds: Dataset, warnings: list[WarningCode]) -> None:
    """SOP class, presentation intent, frames and samples."""
    sop_class = text(ds, "SOPClassUID")
    refused = {
        uid.DigitalMammographyXRayImageStorageForProcessing: RefusalCode.FOR_PROCESSING,
        uid.BreastTomosynthesisImageStorage: RefusalCode.TOMOSYNTHESIS,
        uid.BreastProjectionXRayImageStorageForPresentation: RefusalCode.TOMO_PROJECTION,
        uid.BreastProjectionXRayImageStorageForProcessing: RefusalCode.TOMO_PROJECTION,
    }.get(uid.UID(sop_class))
    if refused:
        raise Refused(
            refused, f"SOP class is {uid_name(sop_class)}; send the For Presentation 2D image"
        )
    is_capture = sop_class == uid.SecondaryCaptureImageStorage and text(ds, "Modality") == "MG"
    if sop_class != uid.DigitalMammographyXRayImageStorageForPresentation and not is_capture:
        breast = text(ds, "Modality") == "MG" or (
            sop_class in DIGITAL_CLASSES and text(ds, "BodyPartExamined") == "BREAST"
        )
        code = RefusalCode.UNSUPPORTED_SOP_CLASS if breast else RefusalCode.NOT_A_MAMMOGRAM
        raise Refused(code, f"SOP class is {uid_name(sop_class)}, not a 2D mammogram")
    if text(ds, "PresentationIntentType") == "FOR PROCESSING":
        raise Refused(RefusalCode.FOR_PROCESSING, "raw image; send the For Presentation image")
    _check_frames(ds)
    if is_capture:
        _check_secondary_capture(ds)
        warnings.append(WarningCode.SECONDARY_CAPTURE)


def _check_frames(ds: Dataset) -> None:
    if text(ds, "NumberOfFrames") and integer(ds, "NumberOfFrames") != 1:
        raise Refused(RefusalCode.MULTI_FRAME, "Number of Frames is not 1; send 2D images")
    if integer(ds, "SamplesPerPixel") != 1:
        raise Refused(
            RefusalCode.UNSUPPORTED_PHOTOMETRIC, "Samples per Pixel is not 1; send the grey image"
        )


def _check_secondary_capture(ds: Dataset) -> None:
    """Digitised film travels as Secondary Capture; so do vendors' private tomosynthesis objects."""
    said = [t for name in TOMOSYNTHESIS_TEXTS for t in texts(ds, name)]
    if HOLOGIC_CODEC in ds or any(map(SAYS_TOMOSYNTHESIS.search, said)):
        raise Refused(RefusalCode.TOMOSYNTHESIS, "a Secondary Capture made from tomosynthesis")
    if any(map(SAYS_NO_IMAGE.search, texts(ds, "SeriesDescription"))):
        raise Refused(RefusalCode.NOT_A_MAMMOGRAM, "a Secondary Capture of a mask or a lesion")
    if max(integer(ds, "Rows") or 0, integer(ds, "Columns") or 0) < SECONDARY_CAPTURE_PX:
        raise Refused(
            RefusalCode.UNSUPPORTED_SOP_CLASS,
            f"a Secondary Capture with fewer than {SECONDARY_CAPTURE_PX} pixels on its long side",
        )


def _check_image_type(ds: Dataset, warnings: list[WarningCode]) -> None:
    """Image Type (0008,0008): how the image came about."""
    terms = frozenset(texts(ds, "ImageType"))
    if terms & BIOPSY_TERMS:
        raise Refused(RefusalCode.BIOPSY, "Image Type says biopsy, scout or specimen")
    if "TOMO_PROJ" in terms:
        raise Refused(RefusalCode.TOMO_PROJECTION, "Image Type says tomosynthesis projection")
    contrast = terms & {"PRE_CONTRAST", "POST_CONTRAST"} and "LOW_ENERGY" not in terms
    if contrast or terms & {"SUBTRACTION", "HIGH_ENERGY"}:
        raise Refused(
            RefusalCode.CONTRAST_ENHANCED, "Image Type says contrast; send the low-energy image"
        )
    fuji = "FDR-3000AWS" in text(ds, "ManufacturerModelName") and {"DERIVED", "PRIMARY"} <= terms
    fuji = fuji and "POST_CONTRAST" not in terms
    described = any(SAYS_SYNTHETIC.search(t) for t in texts(ds, "SeriesDescription"))
    if "GENERATED_2D" in terms or described or fuji:
        warnings.append(WarningCode.SYNTHETIC_2D)
    elif any(SAYS_TOMOSYNTHESIS.search(term) for term in terms):
        raise Refused(RefusalCode.TOMOSYNTHESIS, "Image Type says tomosynthesis")


def _pixel_format(ds: Dataset, warnings: list[WarningCode]) -> PixelFormat:
    names = ("Rows", "Columns", "BitsAllocated", "BitsStored")
    rows, columns, allocated, stored = (integer(ds, name) or 0 for name in names)
    if not rows or not columns or not allocated:
        raise Refused(RefusalCode.NO_PIXELS, "Rows, Columns or Bits Allocated is absent")
    high_bit, signed = integer(ds, "HighBit"), integer(ds, "PixelRepresentation") or 0
    high_bit = stored - 1 if high_bit is None else high_bit
    sound = 6 <= stored <= allocated and stored - 1 <= high_bit < allocated and signed in (0, 1)
    if allocated not in (8, 16) or not sound:
        raise Refused(
            RefusalCode.UNSUPPORTED_PIXEL_FORMAT,
            "expected integers of 6 to 16 bits stored in 8 or 16",
        )
    if min(rows, columns) < MIN_SIDE_PX:
        raise Refused(
            RefusalCode.UNSUPPORTED_PIXEL_FORMAT, f"a side has fewer than {MIN_SIDE_PX} pixels"
        )
    if signed or high_bit != stored - 1:
        warnings.append(WarningCode.UNUSUAL_PIXEL_FORMAT)
    return PixelFormat(rows, columns, allocated, stored, high_bit, bool(signed))


def _photometric(ds: Dataset, warnings: list[WarningCode]) -> Photometric:
    written = text(ds, "PhotometricInterpretation")
    if written not in tuple(Photometric):
        raise Refused(
            RefusalCode.UNSUPPORTED_PHOTOMETRIC,
            "Photometric Interpretation is neither MONOCHROME1 nor MONOCHROME2",
        )
    inverse = written == Photometric.MONOCHROME1
    shape = text(ds, "PresentationLUTShape")
    if shape in ("INVERSE", "IDENTITY") and (shape == "INVERSE") != inverse:
        warnings.append(WarningCode.PRESENTATION_LUT_CONFLICT)  # photometric wins
    slope_applies = "ModalityLUTSequence" not in ds  # PS3.3 C.11.1: one of the two
    if slope_applies and any(slope < 0 for slope in numbers(ds, "RescaleSlope")[:1]):
        inverse = not inverse
        warnings.append(WarningCode.UNUSUAL_PIXEL_FORMAT)
    return Photometric.MONOCHROME1 if inverse else Photometric.MONOCHROME2


def _padding(ds: Dataset, pixel_format: PixelFormat) -> tuple[int, int] | None:
    """Inclusive range of stored values, PS3.3 C.7.5.1.1.2; in either order of its two ends."""
    first = integer(ds, "PixelPaddingValue")
    if first is None:
        return None
    last = integer(ds, "PixelPaddingRangeLimit")
    full = 1 << pixel_format.bits_allocated
    lowest = -(full >> 1) if pixel_format.signed else 0
    ends = [  # some write the bit pattern with the other sign
        (end - lowest) % full + lowest for end in (first, first if last is None else last)
    ]
    return min(ends), max(ends)


def _modality_lut(
    ds: Dataset, pixel_format: PixelFormat, warnings: list[WarningCode]
) -> ModalityLut | None:
    lut = read_modality_lut(ds, signed=pixel_format.signed)
    if lut is None:
        return None
    if "PixelPaddingValue" in ds:
        raise Refused(RefusalCode.UNSUPPORTED_PIXEL_FORMAT, "a Modality LUT beside a padding value")
    warnings.append(WarningCode.UNUSUAL_PIXEL_FORMAT)
    return lut


def _note_circumstances(ds: Dataset, syntax: str, warnings: list[WarningCode]) -> None:
    """What a reader of the scores should know about how the image was made."""
    noted = {
        WarningCode.IMPLANT_PRESENT: text(ds, "BreastImplantPresent") == "YES",
        WarningCode.PARTIAL_VIEW: text(ds, "PartialView") == "YES",
        WarningCode.BURNED_IN_ANNOTATION: text(ds, "BurnedInAnnotation") == "YES",
        WarningCode.DIGITISED_FILM: text(ds, "ConversionType") == "DF",
        WarningCode.LOSSY_SOURCE: syntax in ALWAYS_LOSSY
        or text(ds, "LossyImageCompression") == "01",
        WarningCode.WINDOW_IGNORED: not _window_is_usable(ds),
    }
    warnings += [code for code, present in noted.items() if present]


def _window_is_usable(ds: Dataset) -> bool:
    """No recipe needs a window yet; one that is no number is worth saying."""
    centers, widths = numbers(ds, "WindowCenter"), numbers(ds, "WindowWidth")
    return all(map(math.isfinite, centers)) and all(0 < width < math.inf for width in widths)


def _uid(ds: Dataset, keyword: str) -> str:
    """A UID, or "" where it is absent or is none."""
    value = text(ds, keyword)
    return value if UID_TEXT.fullmatch(value) else ""
