"""`mammoserve models pull` from a hub that says one size and sends another."""

from pathlib import Path

import pytest

from model_store.manifest import MANIFEST
from service import hub as service_hub
from service.cli_pull import MAX_MANIFEST_BYTES
from tests.service.hub_server import LocalHub, Repo
from tests.service.pull_helpers import (
    BROKEN_AT,
    CHECKPOINT,
    FILE,
    KEPT,
    clean_environment,
    hub,
    partials,
    pull,
    pull_file,
    pull_version,
)

__all__ = ["clean_environment", "hub"]


def left(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_file_that_is_longer_than_its_hub_said_is_stopped_and_deleted(
    hub: LocalHub, tmp_path: Path
) -> None:
    hub.repos["someone/Mammo-CLIP"].claimed_size = 5
    result = pull_file(hub, tmp_path)
    assert result.exit_code == 1
    assert f"{FILE}: expected at most 5 bytes, got more; the download is stopped" in result.stderr
    assert left(tmp_path) == []


def test_a_file_that_grows_beyond_its_size_when_it_is_continued_is_stopped_and_deleted(
    hub: LocalHub, tmp_path: Path
) -> None:
    hub.repos["someone/Mammo-CLIP"].claimed_size = KEPT + 1
    hub.breaks[FILE] = [("reset", BROKEN_AT)]
    pull_file(hub, tmp_path)
    assert [path.stat().st_size for path in partials(tmp_path)] == [KEPT]
    result = pull_file(hub, tmp_path)
    assert hub.ranges(FILE) == [None, f"bytes={KEPT}-"]
    assert f"expected at most {KEPT + 1} bytes, got more" in result.stderr
    assert left(tmp_path) == []


def test_a_manifest_that_is_longer_than_its_hub_said_is_stopped_and_deleted(
    hub: LocalHub, tmp_path: Path
) -> None:
    content = b" " * (MAX_MANIFEST_BYTES + 1)
    claimed = {MANIFEST: {"Content-Length": "2"}}
    hub.repos["someone/tiny"] = Repo({MANIFEST: content}, heads=claimed)
    result = pull_version(hub, tmp_path)
    assert result.exit_code == 1
    assert f"{MANIFEST}: expected at most 2 bytes, got more" in result.stderr
    assert left(tmp_path) == []


def test_a_file_of_unknown_size_ends_at_the_cap(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = Repo({"a.tar": b"12345"}, heads={"a.tar": {"X-Linked-Size": "unsaid"}})
    hub.repos["someone/tiny"] = repo
    monkeypatch.setattr(service_hub, "UNSAID_BYTES", 4)
    result = pull(hub, "hf:someone/tiny:a.tar", "--to", str(tmp_path))
    assert "a.tar: expected at most 4 bytes, got more" in result.stderr
    assert left(tmp_path) == []
    monkeypatch.setattr(service_hub, "UNSAID_BYTES", 5)
    assert pull(hub, "hf:someone/tiny:a.tar", "--to", str(tmp_path)).exit_code == 0
    assert (tmp_path / "a.tar").read_bytes() == b"12345"


def test_a_negative_size_is_refused_before_a_byte_comes(hub: LocalHub, tmp_path: Path) -> None:
    hub.repos["someone/Mammo-CLIP"].claimed_size = -5
    result = pull_file(hub, tmp_path)
    assert result.exit_code == 1
    assert f"expected a size of {FILE} of someone/Mammo-CLIP that is 0 or more, got -5" in (
        result.stderr
    )
    assert hub.ranges(FILE) == []


def test_a_partial_file_that_is_longer_than_its_file_is_begun_anew(
    hub: LocalHub, tmp_path: Path
) -> None:
    hub.breaks[FILE] = [("reset", BROKEN_AT)]
    pull_file(hub, tmp_path)
    (partial,) = partials(tmp_path)
    partial.write_bytes(bytes(len(CHECKPOINT) + 1))
    assert pull_file(hub, tmp_path).exit_code == 0
    assert (tmp_path / Path(FILE).name).read_bytes() == CHECKPOINT
