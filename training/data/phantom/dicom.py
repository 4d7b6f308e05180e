"""A phantom view as a DICOM file: Digital Mammography X-Ray Image Storage - For Presentation.

The header holds nothing of what was drawn: neither lesion, nor box, nor caption. Identifiers are
made from the study's place in its series, so the same phantom has the same bytes on every machine.
"""

import hashlib
from io import BytesIO

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from training.data.phantom.field import BITS_STORED, SPACING_MM, Projection, Side
from training.data.phantom.study import GENERATOR, PhantomView

MG_FOR_PRESENTATION = UID("1.2.840.10008.5.1.4.1.1.1.2")
VIEW_CODES = {  # PS3.16 CID 4014, SNOMED RT
    Projection.CC: ("R-10242", "cranio-caudal"),
    Projection.MLO: ("R-10226", "medio-lateral oblique"),
}
# (0020,0020): direction of the rows, of the columns; MLO columns run towards the feet.
ORIENTATION = {
    (Side.LEFT, Projection.CC): ["A", "R"],
    (Side.RIGHT, Projection.CC): ["P", "L"],
    (Side.LEFT, Projection.MLO): ["A", "FR"],
    (Side.RIGHT, Projection.MLO): ["P", "FL"],
}
WINDOWS = ((2150, 1900, "NORMAL"), (2250, 1500, "HARDER"), (2050, 2500, "SOFTER"))


def uid(*parts: object) -> UID:
    """A UID under 2.25 that depends on `parts` alone (PS3.5 B.2)."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big') >> 1}")


def write_dicom(view: PhantomView, *, series: int, number: int) -> bytes:
    """The view as DICOM bytes, Explicit VR Little Endian. (series, number) name the study."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MG_FOR_PRESENTATION
    meta.MediaStorageSOPInstanceUID = uid(series, number, view.side, view.projection)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    _patient_and_study(dataset, series, number)
    _equipment(dataset)
    _exposure(dataset, view.thickness_mm)
    _image(dataset, view)
    _view(dataset, view)
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _patient_and_study(dataset: Dataset, series: int, number: int) -> None:
    dataset.PatientName = "PHANTOM^SYNTHETIC"
    dataset.PatientID = f"PHANTOM-{series}-{number}"
    dataset.PatientBirthDate = ""
    dataset.PatientSex = "F"
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "SYNTHETIC IMAGE"
    dataset.StudyInstanceUID = uid(series, number)
    dataset.StudyID = ""
    dataset.StudyDate = "20000101"
    dataset.StudyTime = "000000"
    dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = ""


def _equipment(dataset: Dataset) -> None:
    dataset.Modality = "MG"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.Manufacturer = "mammoserve"
    dataset.ManufacturerModelName = "phantom"
    dataset.DeviceSerialNumber = "0"
    dataset.SoftwareVersions = str(GENERATOR)
    dataset.InstitutionName = ""
    dataset.DetectorType = "DIRECT"
    dataset.DetectorDescription = "simulated"
    dataset.ImagerPixelSpacing = [SPACING_MM, SPACING_MM]
    dataset.DetectorActiveShape = "RECTANGLE"
    dataset.FieldOfViewShape = "RECTANGLE"
    dataset.PositionerType = "MAMMOGRAPHIC"
    dataset.AnodeTargetMaterial = "TUNGSTEN"
    dataset.FilterMaterial = "RHODIUM"
    dataset.FilterType = "FLAT"
    dataset.FocalSpots = 0.3
    dataset.Grid = ["FOCUSED", "PARALLEL"]
    dataset.DistanceSourceToDetector = 660
    dataset.DistanceSourceToPatient = 640
    dataset.EstimatedRadiographicMagnificationFactor = 1
    dataset.ExposureControlMode = "AUTOMATIC"
    dataset.OrganExposed = "BREAST"
    dataset.BodyPartExamined = "BREAST"
    dataset.BreastImplantPresent = "NO"
    dataset.AcquisitionContextSequence = Sequence([])
    dataset.AnatomicRegionSequence = Sequence([_code("T-04000", "SRT", "Breast")])


def _exposure(dataset: Dataset, thickness_mm: float) -> None:
    """What automatic exposure would have taken for a breast as thick as this."""
    dataset.BodyPartThickness = round(thickness_mm)
    dataset.CompressionForce = 80 + round(thickness_mm) % 40
    dataset.KVP = 26 + min(max(round((thickness_mm - 30) / 8), 0), 6)
    milliampere_seconds = round(40 * 1.03 ** (thickness_mm - 30))
    dataset.Exposure = milliampere_seconds
    dataset.ExposureInuAs = 1000 * milliampere_seconds
    dataset.XRayTubeCurrent = 100
    dataset.ExposureTime = 10 * milliampere_seconds


def _image(dataset: Dataset, view: PhantomView) -> None:
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.SeriesInstanceUID = uid(dataset.StudyInstanceUID, view.side, view.projection, "series")
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = 1
    dataset.SeriesDescription = f"{view.side.value} {view.projection.value}"
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.AcquisitionDate = dataset.SeriesDate = dataset.ContentDate = "20000101"
    dataset.AcquisitionTime = dataset.SeriesTime = dataset.ContentTime = "000000"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = view.pixels.shape
    dataset.BitsAllocated = 16
    dataset.BitsStored = BITS_STORED
    dataset.HighBit = BITS_STORED - 1
    dataset.PixelRepresentation = 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
    dataset.PixelIntensityRelationship = "LOG"
    dataset.PixelIntensityRelationshipSign = -1
    dataset.PresentationLUTShape = "IDENTITY"
    dataset.LossyImageCompression = "00"
    dataset.BurnedInAnnotation = "NO"
    dataset.QualityControlImage = "NO"
    dataset.WindowCenter = [centre for centre, _, _ in WINDOWS]
    dataset.WindowWidth = [width for _, width, _ in WINDOWS]
    dataset.WindowCenterWidthExplanation = [name for _, _, name in WINDOWS]
    dataset.VOILUTFunction = "SIGMOID"
    dataset.PixelData = view.pixels.astype("<u2").tobytes()


def _view(dataset: Dataset, view: PhantomView) -> None:
    dataset.ImageLaterality = view.side.value
    dataset.ViewPosition = view.projection.value
    dataset.PatientOrientation = ORIENTATION[view.side, view.projection]
    code, meaning = VIEW_CODES[view.projection]
    item = _code(code, "SRT", meaning)
    item.ViewModifierCodeSequence = Sequence([])
    dataset.ViewCodeSequence = Sequence([item])


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
