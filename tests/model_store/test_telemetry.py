"""The model runtime calls nobody and keeps no device id."""

import os
import subprocess
import sys
from pathlib import Path


def test_loading_the_runtime_leaves_no_trace_of_telemetry(tmp_path: Path) -> None:
    """ONNX Runtime 1.31 writes `.ses` and a device id as soon as its telemetry is on."""
    environment = {
        **{name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"},
        "TMPDIR": str(tmp_path),
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path),
    }
    command = [sys.executable, "-c", "import model_store.runtime"]
    subprocess.run(command, env=environment, check=True)
    assert list(tmp_path.rglob("*")) == []
