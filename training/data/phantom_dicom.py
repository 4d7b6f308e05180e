"""A phantom view as a DICOM file: Digital Mammography X-Ray Image Storage - For Presentation.

The header holds nothing of what was drawn: neither lesion, nor box, nor caption. Identifiers are
made from the study's place in its series, so the same phantom has the same bytes on every machine.
"""

import hashlib
from io import BytesIO

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from training.data.phantom import (
    BITS_STORED,
    MAXIMUM,
    SPACING_MM,
    PhantomView,
    Projection,
    Side,
)

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
    dataset.ManufacturerModelName = "phantom 1"
    dataset.DetectorType = "DIRECT"
    dataset.ImagerPixelSpacing = [SPACING_MM, SPACING_MM]
    dataset.PositionerType = "MAMMOGRAPHIC"
    dataset.OrganExposed = "BREAST"
    dataset.BodyPartExamined = "BREAST"
    dataset.BreastImplantPresent = "NO"
    dataset.AcquisitionContextSequence = Sequence([])
    dataset.AnatomicRegionSequence = Sequence([_code("T-04000", "SRT", "Breast")])


def _image(dataset: Dataset, view: PhantomView) -> None:
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.SeriesInstanceUID = uid(dataset.StudyInstanceUID, view.side, view.projection, "series")
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = 1
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.ContentDate, dataset.ContentTime = "20000101", "000000"
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
    dataset.WindowCenter, dataset.WindowWidth = (MAXIMUM + 1) // 2, MAXIMUM + 1
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
