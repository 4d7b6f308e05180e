"""Names for the array types that travel between modules."""

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
"""A canvas or a batch of canvases: (H, W) or (N, H, W), 0 to 255."""
F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
Stored = NDArray[np.unsignedinteger] | NDArray[np.signedinteger]
"""Stored pixel values as decoded from DICOM: (H, W), 8 or 16 bit."""
