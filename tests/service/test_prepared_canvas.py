"""A PNG of the canvas's size through a whole service, and one that lies about its size."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from service.schemas import ImageResult, StudyResult
from tests.dicom_factory import dicom_bytes, mammogram_dataset
from tests.service.live import Live, live

HEIGHT, WIDTH = 64, 48  # of the tiny model


def png(height: int, width: int) -> bytes:
    pixels = np.random.default_rng(5).integers(0, 256, (height, width), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG")
    return out.getvalue()


def with_two_headers() -> bytes:
    """The canvas's size first, a much larger one then, and rows of the latter."""
    large = png(5 * HEIGHT, WIDTH)
    kind = b"IHDR" + struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 0, 0, 0, 0)
    return (
        large[:8] + struct.pack(">I", 13) + kind + struct.pack(">I", zlib.crc32(kind)) + large[8:]
    )


def scored(running: Live, name: str, content: bytes) -> ImageResult:
    answer = running.classify([("files", (name, content))])
    assert answer.status_code == 200, answer.text
    return StudyResult.model_validate_json(answer.content).images[0]


def test_a_png_with_two_headers_is_refused_and_the_next_patient_s_image_is_untouched(
    tmp_path: Path,
) -> None:
    victim = dicom_bytes(mammogram_dataset(seed=9, rows=320, columns=256))
    with live(tmp_path, decode_processes=1) as running:
        before = scored(running, "victim.dcm", victim)
        assert scored(running, "canvas.png", png(HEIGHT, WIDTH)).status == "analyzed"
        for _ in range(2):
            refused = running.classify([("files", ("evil.png", with_two_headers()))])
            assert refused.status_code == 422
            assert [error["code"] for error in refused.json()["errors"]] == ["malformed"]
            assert scored(running, "victim.dcm", victim) == before
