"""A zip gives its files, or one coded refusal; nothing outside the request's folder is touched."""

import contextlib
import io
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from service.archives import ArchiveCode, Budget, extract, is_zip
from service.errors import BadArchive, TooLarge
from service.upload_files import UploadedFile

BUDGET = (5, 40 << 20, 30 << 20)


def zipped(
    *entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


def on_disk(folder: Path, content: bytes) -> tuple[UploadedFile, Callable[[], Path]]:
    path = folder / "0"
    path.write_bytes(content)
    counter = iter(range(1, 1000))
    return UploadedFile("study.zip", path, len(content)), lambda: folder / str(next(counter))


def extracted(folder: Path, content: bytes) -> list[UploadedFile]:
    archive, new_path = on_disk(folder, content)
    return extract(archive, new_path, budget=Budget(*BUDGET))


def code_of(folder: Path, content: bytes) -> str | None:
    with pytest.raises((BadArchive, TooLarge)) as caught:
        extracted(folder, content)
    return caught.value.errors[0].code


def test_files_come_out_in_order_with_their_paths_for_show(tmp_path: Path) -> None:
    files = extracted(tmp_path, zipped(("a/1.dcm", b"one"), ("a/", b""), ("a/2.dcm", b"two")))
    assert [(file.name, file.path.read_bytes()) for file in files] == [
        ("a/1.dcm", b"one"),
        ("a/2.dcm", b"two"),
    ]
    assert [file.path for file in files] == [tmp_path / "1", tmp_path / "2"]


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/x", "..\\x", "C:\\x", "a/\\..\\x", "\\x"]
)
def test_a_name_that_climbs_out_spoils_the_archive(tmp_path: Path, name: str) -> None:
    work = tmp_path / "work"
    work.mkdir()
    content = zipped(("fine", b"x"), (name, b"evil"))
    assert code_of(work, content) == ArchiveCode.UNSAFE_NAME
    assert [path.name for path in tmp_path.rglob("*")] == ["work", "0"]


def test_a_name_with_nul_spoils_the_archive(tmp_path: Path) -> None:
    content = zipped(("aXb", b"x")).replace(b"aXb", b"a\0b")
    assert code_of(tmp_path, content) == ArchiveCode.UNSAFE_NAME


def test_a_symbolic_link_spoils_the_archive(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert code_of(tmp_path, zipped((link, b"/etc/passwd"))) == ArchiveCode.LINK


def test_an_encrypted_entry_spoils_the_archive(tmp_path: Path) -> None:
    content = bytearray(zipped(("a", b"x")))
    directory = content.index(b"PK\x01\x02")
    content[directory + 8] |= 1
    assert code_of(tmp_path, bytes(content)) == ArchiveCode.ENCRYPTED


def test_a_zip_within_the_zip_spoils_the_archive(tmp_path: Path) -> None:
    assert code_of(tmp_path, zipped(("in", zipped(("a", b"x"))))) == ArchiveCode.NESTED


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_method_that_may_take_any_memory_spoils_the_archive(tmp_path: Path, method: int) -> None:
    assert code_of(tmp_path, zipped(("a", b"x"), method=method)) == ArchiveCode.METHOD


def test_more_entries_than_files_allowed_are_too_many(tmp_path: Path) -> None:
    content = zipped(*[(str(i), b"") for i in range(6)])
    assert code_of(tmp_path, content) == ArchiveCode.TOO_MANY_FILES


def test_a_directory_of_a_million_entries_is_not_read(tmp_path: Path) -> None:
    one = zipped(("a", b""))
    directory = one[one.index(b"PK\x01\x02") : one.index(b"PK\x05\x06")]
    count = 300_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, len(directory) * count, 0, 0)
    assert code_of(tmp_path, directory * count + end) == ArchiveCode.MALFORMED


def test_a_bomb_stops_at_its_ratio(tmp_path: Path) -> None:
    content = zipped(("bomb", b"\0" * (29 << 20)))
    assert len(content) < 100_000
    assert code_of(tmp_path, content) == ArchiveCode.RATIO
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 20 << 20


def test_an_entry_over_the_file_limit_is_too_large(tmp_path: Path) -> None:
    content = zipped(("a", b"\0" * (31 << 20)), method=zipfile.ZIP_STORED)
    assert code_of(tmp_path, content) == ArchiveCode.TOO_LARGE


def test_entries_that_together_pass_the_limit_are_too_large(tmp_path: Path) -> None:
    parts = [(str(i), b"\0" * (15 << 20)) for i in range(3)]
    assert code_of(tmp_path, zipped(*parts, method=zipfile.ZIP_STORED)) == ArchiveCode.TOO_LARGE


def test_a_size_that_lies_is_not_believed(tmp_path: Path) -> None:
    content = bytearray(zipped(("a", b"x" * 1000)))
    directory = content.index(b"PK\x01\x02")
    content[directory + 24 : directory + 28] = struct.pack("<L", 10)
    assert code_of(tmp_path, bytes(content)) == ArchiveCode.MALFORMED


@pytest.mark.parametrize("keep", [30, 60, -10, -1])
def test_a_cut_zip_is_malformed(tmp_path: Path, keep: int) -> None:
    assert code_of(tmp_path, zipped(("a", b"x" * 100))[:keep]) == ArchiveCode.MALFORMED


def test_a_zip_of_nothing_is_empty(tmp_path: Path) -> None:
    assert code_of(tmp_path, zipped(("folder/", b""))) == ArchiveCode.EMPTY


def test_any_flipped_byte_gives_files_or_a_code(tmp_path: Path) -> None:
    good = zipped(("a.dcm", b"hello" * 20), ("b.dcm", b"world" * 20))
    for position in range(len(good)):
        folder = tmp_path / str(position)
        folder.mkdir()
        bad = bytearray(good)
        bad[position] ^= 0xFF
        with contextlib.suppress(BadArchive, TooLarge):
            extracted(folder, bytes(bad))


def test_a_zip_is_known_by_its_bytes_and_dicom_that_begins_like_one_is_dicom(
    tmp_path: Path,
) -> None:
    plain, polyglot = tmp_path / "zip", tmp_path / "dicom"
    plain.write_bytes(zipped(("a", b"x")))
    polyglot.write_bytes(b"PK\x03\x04".ljust(128, b"\0") + b"DICM")
    assert is_zip(plain)
    assert not is_zip(polyglot)
