"""Bodies reach the disk byte for byte, under caps, and leave nothing behind."""

import asyncio
import os
import resource
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import (
    MalformedRequest,
    ServiceError,
    TooBusy,
    TooLarge,
    UnsupportedMediaType,
    UploadStalled,
)
from service.upload_files import Upload, UploadLimits
from service.uploads import UploadArea

LIMITS = UploadLimits(request_bytes=1 << 20, file_bytes=600_000, files=5, idle_s=0.3)
BOUNDARY = "b0undary"
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def area(tmp_path: Path) -> Iterator[UploadArea]:
    made = UploadArea(tmp_path / "uploads", LIMITS, max_concurrent=2)
    made.open()
    yield made
    made.close()
    assert list((tmp_path / "uploads").iterdir()) == []


async def pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]
        await asyncio.sleep(0)


def left_on_disk(area: UploadArea) -> list[Path]:
    return [path for path in area._root.rglob("*") if path.suffix != ".lock"][1:]


async def received(
    area: UploadArea, body: bytes, content_type: str, *, size: int = 65_536, **headers: str
) -> tuple[Upload, list[bytes]]:
    all_headers = {"content-type": content_type, **headers}
    async with area.receive(all_headers, pieces(body, size)) as upload:
        return upload, [file.path.read_bytes() for file in upload.files]


def form(*files: tuple[str, bytes], **fields: str) -> tuple[bytes, str]:
    request = httpx.Request(
        "POST",
        "http://x",
        files=[("files", (name, content)) for name, content in files],
        data=fields,
    )
    return request.read(), request.headers["content-type"]


def related(*parts: bytes, kind: str = "application/dicom") -> bytes:
    body = b"".join(
        b"--%s\r\nContent-Type: %s\r\n\r\n%s\r\n" % (BOUNDARY.encode(), kind.encode(), part)
        for part in parts
    )
    return body + f"--{BOUNDARY}--".encode()


RELATED = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'


async def test_a_form_arrives_with_its_files_and_fields_in_order(area: UploadArea) -> None:
    body, kind = form(("a.dcm", b"AA"), ("ß.dcm", b""), model="demo", prompts='["mäss"]')
    upload, contents = await received(area, body, kind)
    assert contents == [b"AA", b""]
    assert [file.name for file in upload.files] == ["a.dcm", "ß.dcm"]
    assert [file.size for file in upload.files] == [2, 0]
    assert dict(upload.fields) == {"model": "demo", "prompts": '["mäss"]'}


async def test_a_dicom_body_is_one_file(area: UploadArea) -> None:
    _, contents = await received(area, b"x" * 100_000, "application/dicom")
    assert contents == [b"x" * 100_000]


async def test_related_parts_are_one_file_each(area: UploadArea) -> None:
    upload, contents = await received(area, related(b"one", b"two"), RELATED)
    assert contents == [b"one", b"two"]
    assert [file.name for file in upload.files] == ["part 1", "part 2"]


@settings(max_examples=60, deadline=None)
@given(
    contents=st.lists(
        st.one_of(
            st.binary(max_size=300).filter(lambda content: not content.startswith(b"PK")),
            st.sampled_from([b"\r\n--b0undar", b"\r\n", b"--b0undary--", b"\r\n--b0undaryx\r\n\r"]),
        ),
        min_size=1,
        max_size=5,
    ),
    size=st.integers(1, 97),
)
def test_bytes_survive_any_cut_into_chunks(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes], size: int
) -> None:
    area = UploadArea(tmp_path_factory.mktemp("area"), LIMITS, max_concurrent=2)
    area.open()
    _, got = asyncio.run(received(area, related(*contents), RELATED, size=size))
    area.close()
    assert got == contents


async def test_more_than_one_write_buffer_arrives_whole(area: UploadArea, tmp_path: Path) -> None:
    content = os.urandom(5_000_000)
    wide = UploadLimits(request_bytes=1 << 24, file_bytes=1 << 24, files=5, idle_s=5)
    large = UploadArea(tmp_path / "large", wide, max_concurrent=1)
    large.open()
    body, kind = form(("a", content), ("b", content[::-1]))
    _, contents = await received(large, body, kind)
    large.close()
    assert contents == [content, content[::-1]]


async def refused(
    area: UploadArea, expected: type[ServiceError], body: bytes, kind: str, **headers: str
) -> ServiceError:
    with pytest.raises(expected) as caught:
        await received(area, body, kind, **headers)
    assert left_on_disk(area) == []
    return caught.value


async def test_a_body_over_the_limit_is_too_large(area: UploadArea) -> None:
    body, kind = form(*[(f"{i}", b"x" * 500_000) for i in range(3)])
    await refused(area, TooLarge, body, kind)


async def test_a_body_that_announces_too_much_is_refused_before_it_comes(area: UploadArea) -> None:
    await refused(area, TooLarge, b"", "application/dicom", **{"content-length": "4294967296"})


async def test_a_file_over_the_limit_is_too_large(area: UploadArea) -> None:
    error = await refused(area, TooLarge, b"x" * 700_000, "application/dicom")
    assert "600000" in error.detail


async def test_more_files_than_allowed_are_too_large(area: UploadArea) -> None:
    await refused(area, TooLarge, related(*[b"x"] * 6), RELATED)


async def test_a_field_over_the_limit_is_too_large(area: UploadArea) -> None:
    body, kind = form(("a", b""), prompts="x" * 70_000)
    await refused(area, TooLarge, body, kind)


async def test_endless_fields_are_refused(area: UploadArea) -> None:
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n'
    body = f"{part * 129}--{BOUNDARY}--".encode()
    await refused(area, TooLarge, body, f"multipart/form-data; boundary={BOUNDARY}")


async def test_endless_part_headers_are_refused(area: UploadArea) -> None:
    body = f"--{BOUNDARY}\r\nX-A: {'a' * 10_000}".encode()
    await refused(area, MalformedRequest, body, RELATED)


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/json", "application/octet-stream", "multipart/mixed"]
)
async def test_another_content_type_is_unsupported(area: UploadArea, kind: str) -> None:
    await refused(area, UnsupportedMediaType, b"x", kind)


async def test_a_coded_body_is_unsupported(area: UploadArea) -> None:
    await refused(
        area, UnsupportedMediaType, b"x", "application/dicom", **{"content-encoding": "gzip"}
    )


async def test_a_coded_part_is_unsupported(area: UploadArea) -> None:
    body = (
        f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n"
        f"Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--{BOUNDARY}--"
    )
    await refused(area, UnsupportedMediaType, body.encode(), RELATED)


async def test_related_parts_of_another_kind_are_unsupported(area: UploadArea) -> None:
    await refused(area, UnsupportedMediaType, related(b"x", kind="image/png"), RELATED)


async def test_related_of_another_type_is_unsupported(area: UploadArea) -> None:
    kind = RELATED.replace("application/dicom", "application/dicom+json")
    await refused(area, UnsupportedMediaType, related(b"x"), kind)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (related(b"x"), "multipart/related; type=application/dicom"),
        (related(b"x"), "multipart/form-data"),
        (related(b"x"), f"{RELATED}x"),
        (related(b"x")[:-2], RELATED),
        (related(b"x" * 1000)[:500], RELATED),
        (b"", RELATED),
        (b"--b0undary\r\nno colon here\r\n\r\nx\r\n--b0undary--", RELATED),
        (b"--b0undary\r\n\r\nx\r\n--b0undary--", f"multipart/form-data; boundary={BOUNDARY}"),
        (related(b"x"), f"multipart/related; boundary={'b' * 300}"),
        (related(b"x"), "multipart/related; boundary=\xff"),
    ],
)
async def test_broken_framing_is_malformed(area: UploadArea, body: bytes, kind: str) -> None:
    await refused(area, MalformedRequest, body, kind)


async def test_a_body_that_stops_coming_is_given_up(area: UploadArea) -> None:
    async def stuck() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(60)

    with pytest.raises(UploadStalled):
        async with area.receive({"content-type": "application/dicom"}, stuck()):
            pass
    assert left_on_disk(area) == []


async def test_a_caller_that_leaves_takes_its_files_along(area: UploadArea) -> None:
    class Gone(Exception):
        pass

    async def leaves() -> AsyncIterator[bytes]:
        yield b"x" * 500_000
        raise Gone

    with pytest.raises(Gone):
        async with area.receive({"content-type": "application/dicom"}, leaves()):
            pass
    assert left_on_disk(area) == []


async def test_a_cancelled_request_takes_its_files_along(area: UploadArea) -> None:
    arrived = asyncio.Event()

    async def waits() -> None:
        async with area.receive({"content-type": "application/dicom"}, pieces(b"x", 1)):
            arrived.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(waits())
    await arrived.wait()
    assert left_on_disk(area) != []
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left_on_disk(area) == []


async def test_more_uploads_at_once_than_allowed_are_told_to_come_back(area: UploadArea) -> None:
    kind = {"content-type": "application/dicom"}
    async with area.receive(kind, pieces(b"x", 1)), area.receive(kind, pieces(b"x", 1)):
        with pytest.raises(TooBusy):
            async with area.receive(kind, pieces(b"x", 1)):
                pass
    async with area.receive(kind, pieces(b"x", 1)):
        pass


async def test_files_are_for_the_owner_only(area: UploadArea) -> None:
    async with area.receive({"content-type": "application/dicom"}, pieces(b"x", 1)) as upload:
        path = upload.files[0].path
        assert path.stat().st_mode & 0o077 == 0
        assert path.parent.stat().st_mode & 0o077 == 0


def test_leftovers_of_a_dead_process_go_and_those_of_a_living_stay(tmp_path: Path) -> None:
    dead = tmp_path / "0123456789abcdef"
    (tmp_path / "0123456789abcdef.lock").touch()
    (dead / "request").mkdir(parents=True)
    (dead / "request" / "1").write_bytes(b"pixels")
    neighbour = UploadArea(tmp_path, LIMITS, max_concurrent=1)
    neighbour.open()
    assert not dead.exists()
    mine = UploadArea(tmp_path, LIMITS, max_concurrent=1)
    mine.open()
    assert neighbour._folder.is_dir()
    mine.close()
    neighbour.close()
    assert list(tmp_path.iterdir()) == []


def test_folders_that_are_not_ours_are_let_be(tmp_path: Path) -> None:
    mine = [tmp_path / "holiday", tmp_path / "fedcba9876543210", tmp_path / "photos"]
    for folder in mine:
        folder.mkdir()
    (tmp_path / "photos.lock").touch()
    area = UploadArea(tmp_path, LIMITS, max_concurrent=1)
    area.open()
    area.close()
    assert all(folder.is_dir() for folder in mine)


async def test_small_files_that_wait_to_be_written_hold_no_handles(area: UploadArea) -> None:
    body, kind = form(*[(f"{i}.dcm", b"x") for i in range(5)])
    handles: list[int] = []

    async def half_way() -> AsyncIterator[bytes]:
        handles.append(psutil.Process().num_fds())
        yield body[:-10]
        handles.append(psutil.Process().num_fds())
        yield body[-10:]

    async with area.receive({"content-type": kind}, half_way()) as upload:
        assert [file.path.read_bytes() for file in upload.files] == [b"x"] * 5
    assert handles[1] == handles[0]


async def test_no_handle_left_is_busy_and_no_fault(area: UploadArea) -> None:
    body, kind = form(("a.dcm", b"x"))
    await asyncio.to_thread(len, "")  # the thread's own handles are there already
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(TooBusy):
            await received(area, body, kind)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
