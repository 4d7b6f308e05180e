"""Which objects are mammograms, and what their attributes mean."""

from typing import Any

import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from model_store.dicom_attributes import TAGS, ImageHeader, read_header
from model_store.dicom_input import Laterality, Photometric, View, read_mammogram
from model_store.refusals import RefusalCode, Refused, WarningCode
from tests.dicom_factory import code_item, dicom_bytes, mammogram_dataset


def header(syntax: str = uid.ExplicitVRLittleEndian, **overrides: Any) -> ImageHeader:
    return read_header(mammogram_dataset(**overrides), syntax)


def refusal(**overrides: Any) -> RefusalCode:
    with pytest.raises(Refused) as refused:
        header(**overrides)
    return refused.value.code


def secondary_capture(**overrides: Any) -> dict[str, Any]:
    """A film scan as CBIS-DDSM has it."""
    absent = ("ViewPosition", "ViewCodeSequence", "ImageLaterality", "PresentationIntentType")
    film = {
        "SOPClassUID": uid.SecondaryCaptureImageStorage,
        "rows": 1600,
        "columns": 1000,
        "Laterality": "R",
        "PatientOrientation": "MLO",
    }
    return film | dict.fromkeys(absent) | overrides


def test_a_for_presentation_mammogram_is_read_without_a_warning() -> None:
    read = header(laterality="R", view="MLO")
    assert (read.laterality, read.view, read.warnings) == (Laterality.RIGHT, View.MLO, ())
    assert (read.photometric, read.padding) == (Photometric.MONOCHROME2, None)


def test_an_empty_number_of_frames_is_one_frame() -> None:
    assert header(NumberOfFrames="").view is View.CC


def test_no_identifying_element_is_ever_parsed() -> None:
    identifying = [0x00100010, 0x00100020, 0x00100030, 0x00080050, 0x00080090, 0x00080020]
    assert not TAGS & set(identifying)


@pytest.mark.parametrize(
    ("sop_class", "modality", "code"),
    [
        (uid.CTImageStorage, "CT", RefusalCode.NOT_A_MAMMOGRAM),
        (uid.UltrasoundImageStorage, "US", RefusalCode.NOT_A_MAMMOGRAM),
        (uid.GrayscaleSoftcopyPresentationStateStorage, "PR", RefusalCode.NOT_A_MAMMOGRAM),
        (uid.SecondaryCaptureImageStorage, "OT", RefusalCode.NOT_A_MAMMOGRAM),
        (uid.SecondaryCaptureImageStorage, "MG", RefusalCode.UNSUPPORTED_SOP_CLASS),  # small
        (uid.CTImageStorage, "MG", RefusalCode.UNSUPPORTED_SOP_CLASS),
        (
            uid.DigitalXRayImageStorageForPresentation,
            "DX",
            RefusalCode.UNSUPPORTED_SOP_CLASS,
        ),
        (
            uid.DigitalMammographyXRayImageStorageForProcessing,
            "MG",
            RefusalCode.FOR_PROCESSING,
        ),
        (uid.BreastTomosynthesisImageStorage, "MG", RefusalCode.TOMOSYNTHESIS),
        (
            uid.BreastProjectionXRayImageStorageForPresentation,
            "MG",
            RefusalCode.TOMO_PROJECTION,
        ),
        (
            uid.BreastProjectionXRayImageStorageForProcessing,
            "MG",
            RefusalCode.TOMO_PROJECTION,
        ),
    ],
)
def test_another_class_is_refused(sop_class: str, modality: str, code: RefusalCode) -> None:
    assert refusal(SOPClassUID=sop_class, Modality=modality) is code


def test_an_image_for_processing_under_the_presentation_class_is_refused() -> None:
    assert refusal(PresentationIntentType="FOR PROCESSING") is RefusalCode.FOR_PROCESSING


def test_a_film_scan_takes_its_view_from_the_orientation() -> None:
    read = header(**secondary_capture(ConversionType="DF"))
    assert (read.laterality, read.view) == (Laterality.RIGHT, View.MLO)
    assert read.warnings == (WarningCode.SECONDARY_CAPTURE, WarningCode.DIGITISED_FILM)


@pytest.mark.parametrize(
    ("overrides", "code"),
    [
        ({"rows": 1400}, RefusalCode.UNSUPPORTED_SOP_CLASS),
        ({"NumberOfFrames": 2}, RefusalCode.MULTI_FRAME),
        ({"SamplesPerPixel": 3}, RefusalCode.UNSUPPORTED_PHOTOMETRIC),
        ({"SeriesDescription": "L CC Tomosynthesis"}, RefusalCode.TOMOSYNTHESIS),
        ({"StudyDescription": "Screening DBT"}, RefusalCode.TOMOSYNTHESIS),
        ({"SeriesDescription": "ROI mask images"}, RefusalCode.NOT_A_MAMMOGRAM),
        ({"SeriesDescription": "cropped images"}, RefusalCode.NOT_A_MAMMOGRAM),
        ({"ImageType": ["DERIVED", "PRIMARY", "TOMO"]}, RefusalCode.TOMOSYNTHESIS),
    ],
)
def test_a_secondary_capture_that_is_no_film_scan_is_refused(
    overrides: dict[str, Any], code: RefusalCode
) -> None:
    assert refusal(**secondary_capture(**overrides)) is code


def test_a_secondary_capture_in_which_hologic_packed_tomosynthesis_is_refused() -> None:
    ds = mammogram_dataset(**secondary_capture())
    codec = ds.private_block(0x7E01, "HOLOGIC, Inc.", create=True)
    codec.add_new(0x12, "OB", bytes(64))
    with pytest.raises(Refused) as refused:
        read_mammogram(dicom_bytes(ds))
    assert refused.value.code is RefusalCode.TOMOSYNTHESIS


def test_a_raw_image_of_another_body_part_is_no_mammogram() -> None:
    chest = {"Modality": "DX", "BodyPartExamined": "CHEST"}
    sop_class = uid.DigitalXRayImageStorageForProcessing
    raw = refusal(SOPClassUID=sop_class, PresentationIntentType="FOR PROCESSING", **chest)
    assert raw is RefusalCode.NOT_A_MAMMOGRAM


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        (["DERIVED", "PRIMARY", "STEREO", "LEFT"], RefusalCode.BIOPSY),
        (["ORIGINAL", "PRIMARY", "TOMO_SCOUT"], RefusalCode.BIOPSY),
        (["ORIGINAL", "PRIMARY", "TOMO_PROJ"], RefusalCode.TOMO_PROJECTION),
        (["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "NONE"], RefusalCode.TOMOSYNTHESIS),
        (["DERIVED", "PRIMARY", "POST_CONTRAST", "SUBTRACTION"], RefusalCode.CONTRAST_ENHANCED),
        (
            ["ORIGINAL", "PRIMARY", "POST_CONTRAST", "", "HIGH_ENERGY"],
            RefusalCode.CONTRAST_ENHANCED,
        ),
    ],
)
def test_image_type_refuses(terms: list[str], code: RefusalCode) -> None:
    assert refusal(ImageType=terms) is code


def test_a_low_energy_image_is_an_ordinary_mammogram() -> None:
    assert header(ImageType=["ORIGINAL", "PRIMARY", "POST_CONTRAST", "", "LOW_ENERGY"]).view


@pytest.mark.parametrize(
    "overrides",
    [
        {"ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"]},
        {"SeriesDescription": "L CC C-View"},
        {"SeriesDescription": "R MLO S-VIEW"},
        {"SeriesDescription": "V-Preview"},
        {"SeriesDescription": "L CC CView"},
        {"SeriesDescription": "R CC Intelligent 2D"},
        {"ManufacturerModelName": "FDR-3000AWS"},
    ],
)
def test_a_synthetic_image_is_read_with_a_warning(overrides: dict[str, Any]) -> None:
    assert header(**overrides).warnings == (WarningCode.SYNTHETIC_2D,)


def test_a_low_energy_image_of_a_fuji_unit_is_not_called_synthetic() -> None:
    terms = ["DERIVED", "PRIMARY", "POST_CONTRAST", "", "LOW_ENERGY"]
    assert header(ManufacturerModelName="FDR-3000AWS", ImageType=terms).warnings == ()


@pytest.mark.parametrize(
    ("overrides", "warning"),
    [
        ({"BreastImplantPresent": "YES"}, WarningCode.IMPLANT_PRESENT),
        ({"PartialView": "YES"}, WarningCode.PARTIAL_VIEW),
        ({"BurnedInAnnotation": "YES"}, WarningCode.BURNED_IN_ANNOTATION),
        ({"LossyImageCompression": "01"}, WarningCode.LOSSY_SOURCE),
        ({"PresentationLUTShape": "INVERSE"}, WarningCode.PRESENTATION_LUT_CONFLICT),
        ({"WindowWidth": 0}, WarningCode.WINDOW_IGNORED),
        ({"PixelRepresentation": 1}, WarningCode.UNUSUAL_PIXEL_FORMAT),
        ({"RescaleSlope": -1}, WarningCode.UNUSUAL_PIXEL_FORMAT),
        ({"Laterality": "R"}, WarningCode.LATERALITY_CONFLICT),
        ({"ViewPosition": "MLO"}, WarningCode.VIEW_CONFLICT),
        ({"ImageLaterality": "B"}, WarningCode.LATERALITY_UNKNOWN),
        ({"ViewPosition": "", "ViewCodeSequence": None}, WarningCode.VIEW_UNKNOWN),
    ],
)
def test_a_circumstance_is_a_warning(overrides: dict[str, Any], warning: WarningCode) -> None:
    assert header(**overrides).warnings == (warning,)


def test_a_lossy_transfer_syntax_is_a_warning_whatever_the_header_says() -> None:
    assert header(uid.JPEGExtended12Bit).warnings == (WarningCode.LOSSY_SOURCE,)


def test_laterality_of_the_image_comes_before_that_of_the_series() -> None:
    assert header(ImageLaterality="R", Laterality="L").laterality is Laterality.RIGHT
    assert header(ImageLaterality=None, Laterality="R").laterality is Laterality.RIGHT


def test_laterality_may_come_from_the_code_of_the_breast() -> None:
    region = Sequence([code_item("80248007", "Left breast")])
    read = header(ImageLaterality=None, AnatomicRegionSequence=region)
    assert (read.laterality, read.warnings) == (Laterality.LEFT, ())


@pytest.mark.parametrize(
    ("code", "scheme", "view"),
    [
        ("399162004", "SCT", View.CC),
        ("R-10242", "SRT", View.CC),
        ("399368009", "SCT", View.MLO),
        ("R-10226", "SRT", View.MLO),
        ("399192008", "SCT", View.XCCL),
    ],
)
def test_the_view_code_alone_says_the_view(code: str, scheme: str, view: View) -> None:
    sequence = Sequence([code_item(code, "a view", scheme=scheme)])
    assert header(ViewPosition=None, ViewCodeSequence=sequence).view is view


@pytest.mark.parametrize("code", ["399163009", "399055006", "399110001", "R-102D7"])
@pytest.mark.parametrize("top_level", [True, False])
def test_a_crop_of_the_breast_is_refused(code: str, top_level: bool) -> None:
    ds = mammogram_dataset()
    holder: Dataset = ds if top_level else ds.ViewCodeSequence[0]
    holder.ViewModifierCodeSequence = Sequence([code_item(code, "a crop")])
    with pytest.raises(Refused) as refused:
        read_header(ds, uid.ExplicitVRLittleEndian)
    assert refused.value.code is RefusalCode.NON_STANDARD_VIEW


def test_a_specimen_is_refused() -> None:
    specimen = Sequence([code_item("127457009", "Tissue specimen from breast")])
    assert refusal(ViewCodeSequence=specimen) is RefusalCode.BIOPSY


@pytest.mark.parametrize(
    ("overrides", "code"),
    [
        ({"BitsStored": 4, "HighBit": 3}, RefusalCode.UNSUPPORTED_PIXEL_FORMAT),
        ({"BitsAllocated": 32}, RefusalCode.UNSUPPORTED_PIXEL_FORMAT),
        ({"HighBit": 5}, RefusalCode.UNSUPPORTED_PIXEL_FORMAT),
        ({"rows": 12}, RefusalCode.UNSUPPORTED_PIXEL_FORMAT),
        ({"Rows": None}, RefusalCode.NO_PIXELS),
        ({"NumberOfFrames": 0}, RefusalCode.MULTI_FRAME),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, RefusalCode.UNSUPPORTED_PHOTOMETRIC),
    ],
)
def test_an_unreadable_pixel_format_is_refused(
    overrides: dict[str, Any], code: RefusalCode
) -> None:
    assert refusal(**overrides) is code


def test_spacing_is_that_of_the_detector_over_the_magnification() -> None:
    read = header(ImagerPixelSpacing=[0.1, 0.2], EstimatedRadiographicMagnificationFactor=2)
    assert read.spacing_mm == pytest.approx((0.05, 0.1))


def test_spacing_is_never_invented() -> None:
    assert header(ImagerPixelSpacing=None).spacing_mm is None
    assert header(ImagerPixelSpacing=None, PixelSpacing=[0.1, 0.1]).spacing_mm is None
    assert header(ImagerPixelSpacing=[0, 0]).spacing_mm is None


def test_a_damaged_uid_is_no_uid() -> None:
    ds = mammogram_dataset()
    file = dicom_bytes(ds)
    damaged = file.replace(
        ds.StudyInstanceUID.encode(), b"../" * 4 + ds.StudyInstanceUID.encode()[12:]
    )
    read = read_mammogram(damaged)
    assert (read.study_instance_uid, read.sop_instance_uid) == ("", ds.SOPInstanceUID)
