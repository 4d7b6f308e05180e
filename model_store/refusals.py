"""Why an image is not analysed, and what is worth a warning: two closed lists.

Every code is documented in docs/refusals.md (a test holds them together). A detail text never
quotes a value of the dataset that a person could have typed: names, dates and UIDs stay inside.
"""

from enum import StrEnum, unique


@unique
class RefusalCode(StrEnum):
    """Stable codes of images that were not analysed."""

    # not usable as bytes
    EMPTY = "empty"
    NOT_DICOM = "not_dicom"
    SUSPICIOUS_PREAMBLE = "suspicious_preamble"
    TOO_LARGE = "too_large"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"
    UNSUPPORTED_TRANSFER_SYNTAX = "unsupported_transfer_syntax"
    INFLATED_TOO_LARGE = "inflated_too_large"
    NESTED_TOO_DEEP = "nested_too_deep"
    TOO_MANY_ELEMENTS = "too_many_elements"
    # usable as DICOM, but not an image this service reads
    NOT_A_MAMMOGRAM = "not_a_mammogram"
    NOT_A_CANVAS = "not_a_canvas"
    UNSUPPORTED_SOP_CLASS = "unsupported_sop_class"
    FOR_PROCESSING = "for_processing"
    TOMOSYNTHESIS = "tomosynthesis"
    TOMO_PROJECTION = "tomo_projection"
    CONTRAST_ENHANCED = "contrast_enhanced"
    BIOPSY = "biopsy"
    NON_STANDARD_VIEW = "non_standard_view"
    MULTI_FRAME = "multi_frame"
    UNSUPPORTED_PHOTOMETRIC = "unsupported_photometric"
    UNSUPPORTED_PIXEL_FORMAT = "unsupported_pixel_format"
    # pixels
    NO_PIXELS = "no_pixels"
    PIXELS_MISMATCH = "pixels_mismatch"
    UNDECODABLE = "undecodable"
    BLANK_IMAGE = "blank_image"
    # what happened to it in the service
    DECODE_CRASHED = "decode_crashed"
    DECODE_TIMEOUT = "decode_timeout"
    INFERENCE_FAILED = "inference_failed"
    QUARANTINED = "quarantined"


@unique
class WarningCode(StrEnum):
    """Stable codes of things a reader of the scores should know."""

    SECONDARY_CAPTURE = "secondary_capture"
    SYNTHETIC_2D = "synthetic_2d"
    LATERALITY_UNKNOWN = "laterality_unknown"
    LATERALITY_CONFLICT = "laterality_conflict"
    VIEW_UNKNOWN = "view_unknown"
    VIEW_CONFLICT = "view_conflict"
    IMPLANT_PRESENT = "implant_present"
    PARTIAL_VIEW = "partial_view"
    BURNED_IN_ANNOTATION = "burned_in_annotation"
    DIGITISED_FILM = "digitised_film"
    LOSSY_SOURCE = "lossy_source"
    PRESENTATION_LUT_CONFLICT = "presentation_lut_conflict"
    UNUSUAL_PIXEL_FORMAT = "unusual_pixel_format"
    WINDOW_IGNORED = "window_ignored"
    NO_BREAST_FOUND = "no_breast_found"
    PREPARED_CANVAS = "prepared_canvas"


class Refused(Exception):
    """One image is not analysed: `code` for machines, `detail` (no patient data) for people."""

    def __init__(self, code: RefusalCode, detail: str) -> None:
        super().__init__(f"{code.value}: {detail}")
        self.code = code
        self.detail = detail

    def __reduce__(self) -> tuple[type["Refused"], tuple[RefusalCode, str]]:
        """Crosses from a decode child to its parent by pickle."""
        return Refused, (self.code, self.detail)
