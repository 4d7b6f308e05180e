"""DICOM's closed sets that matter for a mammogram: enums, and the codes that mean them.

Data only; knows no rule.
"""

from enum import StrEnum, unique

from pydicom import uid


@unique
class Laterality(StrEnum):
    """Which breast (0020,0062)."""

    LEFT = "L"
    RIGHT = "R"


@unique
class View(StrEnum):
    """How the breast was projected: the defined terms of View Position (0018,5101)."""

    CC = "CC"
    MLO = "MLO"
    ML = "ML"
    LM = "LM"
    LMO = "LMO"
    XCCL = "XCCL"
    XCCM = "XCCM"
    FB = "FB"
    SIO = "SIO"
    ISO = "ISO"
    AT = "AT"


@unique
class Photometric(StrEnum):
    """How stored values become brightness; negative rescale slopes are already resolved."""

    MONOCHROME1 = "MONOCHROME1"
    MONOCHROME2 = "MONOCHROME2"


VIEW_CODES = {  # CID 4014: SNOMED CT, and the SNOMED RT codes of older objects
    "399162004": View.CC, "R-10242": View.CC,
    "399368009": View.MLO, "R-10226": View.MLO,
    "399260004": View.ML, "R-10224": View.ML,
    "399352003": View.LM, "R-10228": View.LM,
    "399099002": View.LMO, "R-10230": View.LMO,
    "399192008": View.XCCL, "R-1024A": View.XCCL,
    "399101009": View.XCCM, "R-1024B": View.XCCM,
    "399196006": View.FB, "R-10244": View.FB,
    "399188001": View.SIO, "R-102D0": View.SIO,
    "441555000": View.ISO, "R-40AAA": View.ISO,
}  # fmt: skip
SPECIMEN_CODES = frozenset({"127457009", "G-8310"})  # CID 4014
CROPPING_MODIFIERS = frozenset(  # CID 4015: magnification, spot compression, tangential
    {"399163009", "R-102D6", "399055006", "R-102D7", "399110001", "R-102C2"}
)
IMPLANT_DISPLACED = frozenset({"399209000", "R-102D5"})  # CID 4015
BREAST_CODES = {
    "80248007": Laterality.LEFT, "T-04030": Laterality.LEFT,
    "73056007": Laterality.RIGHT, "T-04020": Laterality.RIGHT,
}  # fmt: skip
BIOPSY_TERMS = frozenset(  # Image Type value 3, PS3.3 C.8.11.7.1.4, and vendors' words
    {
        "BIOPSY",
        "STEREO",
        "STEREO_SCOUT",
        "SCOUT",
        "TOMO_SCOUT",
        "PREFIRE",
        "POSTFIRE",
        "PREBIOPSY",
        "POSTBIOPSY",
        "PREMARKER",
        "POSTMARKER",
        "SPECIMEN",
    }
)
DIGITAL_CLASSES = frozenset(  # might show a breast; this project does not read them
    {
        uid.ComputedRadiographyImageStorage,
        uid.DigitalXRayImageStorageForPresentation,
        uid.DigitalXRayImageStorageForProcessing,
    }
)
ALWAYS_LOSSY = frozenset({uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLSNearLossless})
MAY_BE_LOSSY = ALWAYS_LOSSY | {uid.JPEG2000, uid.HTJ2K}
HOLOGIC_CODEC = 0x7E010010
"""Creator of the private group in which Hologic's own Secondary Captures carry tomosynthesis."""
SECONDARY_CAPTURE_PX = 1500
"""Long side of a digitised film; a smaller capture is a screenshot."""
