"""What a model is: its input from DICOM, its files, its prompts, what its numbers mean."""

import os

# ONNX Runtime 1.31 reports to its maker and keeps a device id, unless it is told before its import
# not to. A service that handles patient data calls nobody.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
