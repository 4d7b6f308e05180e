"""`mammoserve models pull hf:REPO:FILE`, from a real server that speaks as the model hub does."""

import fcntl
import hashlib
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.service.hub_server import COMMIT, LocalHub
from tests.service.pull_helpers import (
    BROKEN_AT,
    CHECKPOINT,
    FILE,
    KEPT,
    SOURCE,
    clean_environment,
    hub,
    partials,
    pull,
    pull_file,
)
from tests.service.queue_helpers import eventually

__all__ = ["clean_environment", "hub"]

DIGEST = hashlib.sha256(CHECKPOINT).hexdigest()


def test_a_file_comes_with_its_path_its_checksum_and_the_next_command(
    hub: LocalHub, tmp_path: Path
) -> None:
    result = pull_file(hub, tmp_path / "to")
    assert result.exit_code == 0, result.output
    path = tmp_path / "to" / "b5-model.tar"
    assert path.read_bytes() == CHECKPOINT
    assert result.stdout.splitlines() == [
        str(path),
        f"sha256 {DIGEST} (as the hub says)",
        f"of someone/Mammo-CLIP at {COMMIT}",
        f"next: mammoserve-train import {path} --name mammo-clip --tokenizer FOLDER",
    ]
    assert list((tmp_path / "to").iterdir()) == [path]


def test_the_folder_is_checkpoints_unless_another_is_named(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert pull(hub, SOURCE).exit_code == 0
    assert (tmp_path / "checkpoints" / "b5-model.tar").read_bytes() == CHECKPOINT


def test_a_small_file_without_a_checksum_of_the_hub_is_told_as_such(
    hub: LocalHub, tmp_path: Path
) -> None:
    result = pull(hub, "hf:someone/Mammo-CLIP:README.md", "--to", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert (tmp_path / "README.md").read_bytes() == b"# A checkpoint\n"
    assert "the hub says none for this file" in result.stdout


def test_a_connection_that_ends_in_the_middle_is_continued_within_the_command(
    hub: LocalHub, tmp_path: Path
) -> None:
    hub.breaks[FILE] = [("end", BROKEN_AT)]
    result = pull_file(hub, tmp_path)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "b5-model.tar").read_bytes() == CHECKPOINT
    assert hub.ranges(FILE) == [None, f"bytes={KEPT}-"]


def test_a_command_that_failed_is_continued_by_the_next_one(hub: LocalHub, tmp_path: Path) -> None:
    hub.breaks[FILE] = [("reset", BROKEN_AT)]
    result = pull_file(hub, tmp_path)
    assert result.exit_code == 1
    assert "expected an answer of 127.0.0.1:" in result.stderr
    assert "the same command goes on from there" in result.stderr
    (partial,) = partials(tmp_path)
    assert partial.stat().st_size == KEPT
    assert list(tmp_path.iterdir()) == [partial]
    assert pull_file(hub, tmp_path).exit_code == 0
    assert hub.ranges(FILE) == [None, f"bytes={KEPT}-"]
    assert (tmp_path / "b5-model.tar").read_bytes() == CHECKPOINT
    assert partials(tmp_path) == []


def test_a_command_that_was_killed_is_continued_by_the_next_one(
    hub: LocalHub, tmp_path: Path
) -> None:
    hub.breaks[FILE] = [("stall", BROKEN_AT)]
    words = [sys.executable, "-m", "service", "models", "pull", SOURCE, "--to", str(tmp_path)]
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_DOWNLOAD_TIMEOUT": "100"}
    with subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL) as running:
        assert hub.sent.wait(60)
        eventually(
            lambda: [path.stat().st_size for path in partials(tmp_path)] == [KEPT], within_s=30
        )
        running.send_signal(signal.SIGKILL)
    assert pull_file(hub, tmp_path).exit_code == 0
    assert hub.ranges(FILE) == [None, f"bytes={KEPT}-"]
    assert (tmp_path / "b5-model.tar").read_bytes() == CHECKPOINT


def test_a_partial_file_that_is_not_its_beginning_ends_in_a_wrong_checksum_once(
    hub: LocalHub, tmp_path: Path
) -> None:
    hub.breaks[FILE] = [("reset", BROKEN_AT)]
    pull_file(hub, tmp_path)
    (partial,) = partials(tmp_path)
    partial.write_bytes(bytes(partial.stat().st_size))
    result = pull_file(hub, tmp_path)
    assert result.exit_code == 1
    assert f"expected sha256 {DIGEST}, got " in result.stderr
    assert list(tmp_path.iterdir()) == []
    assert pull_file(hub, tmp_path).exit_code == 0


def test_a_wrong_checksum_leaves_nothing_behind(hub: LocalHub, tmp_path: Path) -> None:
    hub.repos["someone/Mammo-CLIP"].claimed_sha256 = "0" * 64
    result = pull_file(hub, tmp_path)
    assert result.exit_code == 1
    assert f"expected sha256 {'0' * 64}, got {DIGEST}; the damaged file is deleted" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_another_revision_is_not_continued_with_what_the_first_left(
    hub: LocalHub, tmp_path: Path
) -> None:
    hub.breaks[FILE] = [("reset", BROKEN_AT)]
    pull_file(hub, tmp_path)
    other = CHECKPOINT[::-1]
    hub.repos["someone/Mammo-CLIP"].files[FILE] = other
    assert pull_file(hub, tmp_path).exit_code == 0
    assert hub.ranges(FILE) == [None, None]
    assert (tmp_path / "b5-model.tar").read_bytes() == other


def test_a_file_that_is_there_is_not_fetched_again(hub: LocalHub, tmp_path: Path) -> None:
    assert pull_file(hub, tmp_path).exit_code == 0
    assert pull_file(hub, tmp_path).exit_code == 0
    assert hub.ranges(FILE) == [None]


def test_another_file_of_that_name_is_never_replaced(hub: LocalHub, tmp_path: Path) -> None:
    mine = tmp_path / "b5-model.tar"
    mine.write_bytes(b"mine")
    result = pull_file(hub, tmp_path)
    assert result.exit_code == 1
    assert "move it away or name another folder" in result.stderr
    assert mine.read_bytes() == b"mine"
    (tmp_path / "README.md").write_bytes(b"mine")
    assert pull(hub, "hf:someone/Mammo-CLIP:README.md", "--to", str(tmp_path)).exit_code == 1
    assert (tmp_path / "README.md").read_bytes() == b"mine"


def test_two_commands_at_once_do_not_mix_their_bytes(hub: LocalHub, tmp_path: Path) -> None:
    hub.breaks[FILE] = [("stall", BROKEN_AT)]
    words = [sys.executable, "-m", "service", "models", "pull", SOURCE, "--to", str(tmp_path)]
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_DOWNLOAD_TIMEOUT": "100"}
    with subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL) as running:
        assert hub.sent.wait(60)
        result = pull_file(hub, tmp_path)
        assert result.exit_code == 1
        assert "another command fetches" in result.stderr
        hub.resume.set()
        assert running.wait(60) == 0
    assert (tmp_path / "b5-model.tar").read_bytes() == CHECKPOINT


def test_a_revision_that_is_named_is_fetched(hub: LocalHub, tmp_path: Path) -> None:
    assert pull_file(hub, tmp_path, "--revision", COMMIT).exit_code == 0
    assert all(f"/resolve/{COMMIT}/" in one.path for one in hub.seen if one.server == "hub")


def test_a_terminal_sees_how_far_it_is(hub: LocalHub, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    words = [sys.executable, "-m", "service", "models", "pull", SOURCE, "--to", str(tmp_path)]
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "TERM": "xterm"}
    subprocess.run(words, env=environment, stderr=theirs, stdout=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert re.search(r"b5-model\.tar: +\d+%", shown), shown


def test_the_command_line_alone_loads_no_hub() -> None:
    code = "import service.cli, sys; sys.exit('huggingface_hub' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
