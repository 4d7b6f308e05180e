"""Nothing of a patient's header leaves the process: not in logs, metrics, queue, files, errors."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest
import redis
from pydicom.datadict import dictionary_VM, keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import UID

from tests import bad_dicom
from tests.dicom_factory import dicom_bytes, mammogram_dataset
from tests.service.live import files
from tests.tiny_model import make_tiny_model

CANARY = "CANARYSTRING"
TEXT_VRS = {"PN": 64, "LO": 64, "SH": 16, "LT": 1000, "ST": 1000, "UT": 1000, "CS": 16, "AE": 16}
DATES = {"DA": "19010203", "TM": "010203.0405", "DT": "19010203010203", "AS": "098Y"}
UID_CANARY = "1.2.826.0.1.3680043.8.498.77770007777"
NUMBERS = {"DS": "7777.0007", "IS": "77770007"}
MARKS = (CANARY, "77770007777", "7777.0007", "19010203")
NEEDED = {
    "SOPClassUID",
    "Modality",
    "PhotometricInterpretation",
    "ImageLaterality",
    "ViewPosition",
    "PresentationIntentType",
    "ImageType",
    "SpecificCharacterSet",
    "PresentationLUTShape",
    "LossyImageCompression",
    "VOILUTFunction",
    "RescaleType",
    "RescaleSlope",
    "RescaleIntercept",
    "BreastImplantPresent",
    "PartialView",
    "BurnedInAnnotation",
    "FieldOfViewHorizontalFlip",
}


def canary(vr: str, number: int) -> str | None:
    if vr in TEXT_VRS:
        return f"{CANARY}{number:04d}"[: TEXT_VRS[vr]]
    if vr == "UI":
        return f"{UID_CANARY}.{number}"
    return DATES.get(vr) or NUMBERS.get(vr)


def elements() -> Iterator[tuple[str, str]]:
    """Keyword and VR of every single-valued standard element of an image that can hold text."""
    from pydicom._dicom_dict import DicomDictionary

    for tag, (vr, *_, keyword) in DicomDictionary.items():
        group = tag >> 16
        wanted = group in (0x0008, 0x0010, 0x0018, 0x0020, 0x0032, 0x0038, 0x0040, 0x0054, 0x4008)
        if wanted and keyword and keyword not in NEEDED and dictionary_VM(tag).startswith("1"):
            yield keyword, vr


def marked(seed: int, **overrides: object) -> Dataset:
    """A mammogram with a canary in every text element that does not decide whether it is read."""
    dataset = mammogram_dataset(rows=256, columns=208, seed=seed)
    for number, (keyword, vr) in enumerate(elements()):
        value = canary(vr, number)
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.SOPInstanceUID = UID(f"{UID_CANARY}.{seed}")
    dataset.StudyInstanceUID = UID(f"{UID_CANARY}.1")
    block = dataset.private_block(0x0011, CANARY, create=True)
    block.add_new(1, "LO", f"{CANARY}PRIVATE")
    for keyword, value in overrides.items():
        setattr(dataset, keyword, value)
    return dataset


def studies() -> list[list[bytes]]:
    """Good ones, and ones that fail at every step."""
    good = [dicom_bytes(marked(seed)) for seed in range(4)]
    cut = good[0][: len(good[0]) // 2]
    return [
        good,
        [good[0], cut],
        [cut],
        [dicom_bytes(marked(1, PhotometricInterpretation=f"{CANARY}X"[:16]))],
        [dicom_bytes(marked(2, Modality="CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.2"))],
        [dicom_bytes(marked(3, ViewPosition=CANARY, ImageLaterality=CANARY))],
        [dicom_bytes(marked(4, RescaleSlope="7777.0007", WindowCenter="7777.0007"))],
        [good[0].replace(b"DICM", b"MCID", 1)],
        [CANARY.encode() * 100],
        [bad_dicom.zip_with_names(f"{CANARY}/../../x")],
    ]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A real `mammoserve serve` that logs everything it can into a file."""
    folder = tmp_path_factory.mktemp("canary")
    make_tiny_model(folder / "models")
    environment = {
        "MAMMO_PORT": "0",
        "MAMMO_DATA": str(folder / "data"),
        "MAMMO_MODELS": str(folder / "models"),
        "MAMMO_LOG_LEVEL": "debug",
        "MAMMO_DECODE_PROCESSES": "1",
        "MAMMO_WORKER_THREADS": "1",
        "TMPDIR": str(folder / "tmp"),
        "PATH": "/usr/bin:/bin",
        "PYTHONWARNINGS": "always",
    }
    (folder / "tmp").mkdir()
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-m", "service", "serve"]
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=log, cwd=Path.cwd()
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline().decode()
            found = re.fullmatch(r"mammoserve ready on (http://127\.0\.0\.1:\d+)\n", line)
            assert found, (folder / "log").read_text()
            yield found[1], folder
        finally:
            process.terminate()
            process.wait(30)
            if process.stdout is not None:
                process.stdout.close()


def queue_dump(folder: Path) -> bytes:
    """Every key and value of the private queue, read over its socket."""
    config = (folder / "data" / "queue" / "server.conf").read_text()
    password = re.search(r"^requirepass (\S+)$", config, re.MULTILINE)
    path = re.search(r'^unixsocket "(.+)"$', config, re.MULTILINE)
    assert password is not None
    assert path is not None
    with redis.Redis(
        unix_socket_path=path[1], password=password[1].strip('"'), protocol=2
    ) as connection:
        keys = list(connection.scan_iter())
        dumps = [key + b" " + (connection.dump(key) or b"") for key in keys]
        values = [connection.get(key) for key in keys if connection.type(key) == b"string"]
    return b"\n".join([*dumps, *[value for value in values if value]])


def assert_clean(where: str, content: bytes, marks: Sequence[str] = MARKS) -> None:
    for mark in marks:
        found = content.find(mark.encode())
        assert found < 0, f"{where}: {content[max(found - 100, 0) : found + 50]!r}"


def test_a_canary_is_really_in_what_is_sent() -> None:
    content = dicom_bytes(marked(0))
    assert content.count(CANARY.encode()) > 300
    assert all(mark.encode() in content for mark in MARKS)
    assert keyword_for_tag(tag_for_keyword("PatientName") or 0) == "PatientName"


def test_no_word_of_a_report_shows_but_in_the_answer_to_its_sender(
    watched: tuple[str, Path],
) -> None:
    """While a request runs its sentences stand in the queue; none is left when it is answered."""
    url, folder = watched
    word = "REPORTCANARY"
    good, cut = dicom_bytes(mammogram_dataset(rows=256, columns=208)), b"no DICOM"
    reports = [
        (good, f"FINDINGS: There is a mass, {word}. IMPRESSION: {word}."),
        (good, f'{{"findings": "{word}"}}'),
        (good, f'{{"{word}": ""}}'),
        (good, f"{word}\x00."),
        (good, f"{word}. " * 140),
        (good, f"{word} " * 60),
        (good, word * 2000),
        (cut, f"{word}."),
    ]
    statuses = []
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        for content, report in reports:
            sent = {"files": files(content), "data": {"report": report}}
            response = client.post("/v1/ground", **sent)
            statuses.append(response.status_code)
            if response.status_code != 200:
                assert_clean("error", response.content, [word])
        refused = client.post(f"/v1/ground?report={word}", files=files(good))
        assert_clean("error", refused.content, [word])
        metrics = client.get("/metrics").content
    assert statuses == [200, 200, 422, 422, 422, 422, 422, 422]
    assert refused.status_code == 422
    assert_clean("metrics", metrics, [word])
    assert_clean("queue", queue_dump(folder), [word])
    assert_clean("log", (folder / "log").read_bytes(), [word])
    assert list((folder / "data" / "uploads").glob("*/*")) == []
    assert list((folder / "tmp").iterdir()) == []


def test_no_value_of_a_header_shows_anywhere(watched: tuple[str, Path]) -> None:
    url, folder = watched
    statuses = set()
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        for contents in studies():
            response = client.post("/classify", files=files(*contents))
            statuses.add(response.status_code)
            if response.status_code == 200:
                answer = response.json()
                for image in answer["images"]:  # the caller's own identifier goes back to it
                    image.pop("sop_instance_uid")
                assert_clean("answer", repr(answer).encode())
            else:
                assert_clean("error", response.content.replace(b"CANARYSTRING/../../x", b""))
            for route in ("/v1/embed", "/v1/heatmap"):
                assert client.post(route, files=files(*contents)).status_code in (200, 422)
        metrics = client.get("/metrics").content
    assert statuses == {200, 422}
    assert_clean("metrics", metrics)
    assert_clean("queue", queue_dump(folder))
    time.sleep(1.5)  # the append-only file is written every second
    for path in [*folder.rglob("*")]:
        if path.is_file() and "models" not in path.parts:
            assert_clean(path.name, path.read_bytes())
    assert list((folder / "data" / "uploads").glob("*/*")) == []
    assert list((folder / "tmp").iterdir()) == []
