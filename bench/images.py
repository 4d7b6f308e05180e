"""Distinct uncompressed mammograms, so that no cache can answer for the model."""

import io

import numpy as np
from pydicom.uid import generate_uid

from tests.dicom_factory import dicom_bytes, mammogram_dataset

ROWS, COLUMNS = 2294, 1914
"""The frame of a common full-field unit (24 x 30 cm at 0.1 mm is larger, 18 x 23 smaller)."""


def distinct(count: int, *, rows: int = ROWS, columns: int = COLUMNS) -> list[bytes]:
    """`count` DICOM files of Explicit VR Little Endian whose pixels all differ."""
    rng = np.random.default_rng(7)
    dataset = mammogram_dataset(rows=rows, columns=columns)
    pixels = np.frombuffer(dataset.PixelData, np.uint16).reshape(rows, columns)
    breast = pixels[rows // 2] > pixels[rows // 2].max() // 4
    files = []
    for _ in range(count):
        changed = pixels.copy()
        noise = rng.integers(-40, 40, (rows // 4, columns))
        middle = slice(rows // 2 - rows // 8, rows // 2 - rows // 8 + rows // 4)
        block = changed[middle].astype(np.int32) + np.where(breast, noise, 0)
        changed[middle] = np.clip(block, 0, 4095).astype(np.uint16)
        dataset.PixelData = changed.tobytes()
        dataset.SOPInstanceUID = generate_uid()
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        files.append(dicom_bytes(dataset))
    return files


def form(files: dict[str, bytes]) -> tuple[bytes, str]:
    """multipart/form-data of `files` parts: (body, content type)."""
    boundary = "mammoserve-bench-boundary"
    body = io.BytesIO()
    for name, content in files.items():
        head = f'Content-Disposition: form-data; name="files"; filename="{name}"'
        body.write(f"--{boundary}\r\n{head}\r\nContent-Type: application/dicom\r\n\r\n".encode())
        body.write(content)
        body.write(b"\r\n")
    body.write(f"--{boundary}--\r\n".encode())
    return body.getvalue(), f"multipart/form-data; boundary={boundary}"
