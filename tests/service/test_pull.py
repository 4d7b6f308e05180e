"""`mammoserve models pull`: from a real HTTP server that speaks as the model hub does."""

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
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub.utils import close_session
from typer.testing import CliRunner, Result

from model_store.store import ModelStore, ModelVersion
from service.cli import app
from tests.service.hub_server import COMMIT, LocalHub, Repo, local_hub
from tests.service.queue_helpers import eventually
from tests.tiny_model import make_tiny_model

CHECKPOINT = np.random.default_rng(0).bytes(24_000_000)
BROKEN_AT = 14_000_000
KEPT = 10 * 1024 * 1024
"""Of what came before a break: huggingface_hub writes in pieces of this size."""
DIGEST = hashlib.sha256(CHECKPOINT).hexdigest()
FILE = "weights/b5-model.tar"
SOURCE = f"hf:someone/Mammo-CLIP:{FILE}"
TOKEN = "hf_canaryTokenOfATest"
LFS = frozenset({"image.onnx", "text.onnx", "factor.onnx", "golden.npz"})


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("HF_", "MAMMO_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    with local_hub() as running:
        running.repos["someone/Mammo-CLIP"] = Repo(
            {FILE: CHECKPOINT, "README.md": b"# A checkpoint\n"}, lfs=frozenset({FILE})
        )
        yield running
        close_session()


@pytest.fixture
def version(tmp_path: Path, hub: LocalHub) -> ModelVersion:
    """In a store of its own, and as a repository of the hub."""
    made = make_tiny_model(tmp_path / "made", serving=False)
    names = ("manifest.json", *made.manifest.files)
    files = {name: made.file(name).read_bytes() for name in names}
    hub.repos["someone/tiny"] = Repo(files, lfs=LFS)
    return made


def pull(hub: LocalHub, source: str, *words: str, **environment: str) -> Result:
    return CliRunner().invoke(
        app,
        ["models", "pull", source, *words],
        env={"HF_ENDPOINT": hub.url, "NO_COLOR": "1", **environment},
        catch_exceptions=False,
    )


def pull_file(hub: LocalHub, folder: Path, *words: str, **environment: str) -> Result:
    return pull(hub, SOURCE, "--to", str(folder), *words, **environment)


def pull_version(hub: LocalHub, root: Path, *words: str) -> Result:
    return pull(hub, "hf:someone/tiny", "--models", str(root), *words)


def partials(folder: Path) -> list[Path]:
    return list(folder.rglob("*.partial"))


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


def test_a_gated_repository_without_a_token_says_what_to_accept_and_set(
    hub: LocalHub, tmp_path: Path
) -> None:
    hub.repos["someone/Mammo-CLIP"].token = TOKEN
    result = pull_file(hub, tmp_path)
    assert result.exit_code == 1
    assert "it is gated, and no token was given; accept its terms on the model's page" in (
        result.stderr
    )
    assert "set HF_TOKEN" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("way", ["environment", "file"])
def test_a_token_opens_a_gated_repository_and_goes_to_the_hub_alone(
    hub: LocalHub, tmp_path: Path, way: str
) -> None:
    hub.repos["someone/Mammo-CLIP"].token = TOKEN
    token_file = tmp_path / "token"
    token_file.write_text(f"{TOKEN}\n")
    result = (
        pull_file(hub, tmp_path / "to", HF_TOKEN=TOKEN)
        if way == "environment"
        else pull_file(hub, tmp_path / "to", "--token-file", str(token_file))
    )
    assert result.exit_code == 0, result.output
    assert TOKEN not in result.output
    shown = {one.server: one.headers.get("authorization") for one in hub.seen}
    assert shown == {"hub": f"Bearer {TOKEN}", "storage": None}


def test_the_account_that_is_logged_in_on_this_machine_is_not_used_unasked(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    words = [sys.executable, "-m", "service", "models", "pull", SOURCE, "--to", str(tmp_path)]
    subprocess.run(words, env={**os.environ, "HF_ENDPOINT": hub.url}, check=True)
    assert {one.headers.get("authorization") for one in hub.seen} == {None}


def test_a_token_that_is_not_let_in_is_told_without_being_shown(
    hub: LocalHub, tmp_path: Path
) -> None:
    hub.repos["someone/Mammo-CLIP"].token = "another"
    result = pull_file(hub, tmp_path, HF_TOKEN=TOKEN)
    assert result.exit_code == 1
    assert "the token's owner is not let in" in result.stderr
    assert TOKEN not in result.output


@pytest.mark.parametrize("content", [None, b"", b"two words", b"\xff\xfe"])
def test_a_token_file_that_holds_no_token_is_named_and_not_quoted(
    hub: LocalHub, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    result = pull_file(hub, tmp_path, "--token-file", str(path))
    assert result.exit_code == 1
    assert f"in {path}, got" in result.stderr
    assert "two words" not in result.output
    assert hub.seen == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("hf:someone/nothing", "expected a model repository someone/nothing at 127.0.0.1:"),
        ("hf:someone/nothing:x.tar", "if it is private, set HF_TOKEN"),
        ("hf:someone/Mammo-CLIP:x.tar", f"(it has {FILE}, README.md); name a file that is there"),
        ("hf:someone/Mammo-CLIP", "expected manifest.json in someone/Mammo-CLIP at main, got a"),
    ],
)
def test_what_is_not_there_is_told(hub: LocalHub, tmp_path: Path, source: str, words: str) -> None:
    result = pull(hub, source, "--to", str(tmp_path / "to"), "--models", str(tmp_path / "models"))
    assert result.exit_code == 1
    assert words in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_revision_that_is_not_there_is_told(hub: LocalHub, tmp_path: Path) -> None:
    result = pull_file(hub, tmp_path, "--revision", "v9")
    assert result.exit_code == 1
    assert "expected a revision 'v9' of someone/Mammo-CLIP, got none" in result.stderr


def test_a_revision_that_is_named_is_fetched(hub: LocalHub, tmp_path: Path) -> None:
    assert pull_file(hub, tmp_path, "--revision", COMMIT).exit_code == 0
    assert all(f"/resolve/{COMMIT}/" in one.path for one in hub.seen if one.server == "hub")


def test_a_hub_that_does_not_answer_is_told_at_once(hub: LocalHub, tmp_path: Path) -> None:
    with local_hub() as gone:
        pass
    result = pull(hub, SOURCE, "--to", str(tmp_path), HF_ENDPOINT=gone.url)
    assert result.exit_code == 1
    assert f"expected an answer of {gone.url.removeprefix('http://')}" in result.stderr
    assert "look at the network" in result.stderr


@pytest.mark.parametrize(
    ("status", "token", "words"),
    [
        (200, "", "got an answer without its headers; look at HF_ENDPOINT"),
        (401, "", "set HF_TOKEN"),
        (403, TOKEN, "look at the token: it is unknown there, has run out"),
        (429, "", "wait, or set HF_TOKEN, which allows more"),
        (500, "", "got status 500 of 127.0.0.1:"),
    ],
)
def test_an_answer_that_is_not_a_hubs_is_told(
    hub: LocalHub, tmp_path: Path, status: int, token: str, words: str
) -> None:
    hub.status = status
    result = pull_file(hub, tmp_path, HF_TOKEN=token)
    assert result.exit_code == 1
    assert words in result.stderr
    assert TOKEN not in result.output


def test_a_machine_that_is_set_offline_is_told_so(hub: LocalHub, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "service", "models", "pull", SOURCE, "--to", str(tmp_path)]
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "got HF_HUB_OFFLINE, which forbids it" in done.stderr
    assert hub.seen == []


def test_a_name_that_no_repository_can_have_is_told(hub: LocalHub, tmp_path: Path) -> None:
    result = pull(hub, "hf:some--one/x..y:z", "--to", str(tmp_path))
    assert result.exit_code == 1
    assert "expected z of some--one/x..y, got" in result.stderr


def test_a_disk_without_room_for_the_file_is_told_before_a_byte_comes(
    hub: LocalHub, tmp_path: Path
) -> None:
    hub.repos["someone/Mammo-CLIP"].claimed_size = 10**18
    result = pull_file(hub, tmp_path)
    assert result.exit_code == 1
    assert f"expected room for {10**18} bytes of {FILE}" in result.stderr
    assert hub.ranges(FILE) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux' /dev/full")
def test_a_disk_that_runs_full_meanwhile_is_told(hub: LocalHub, tmp_path: Path) -> None:
    hub.breaks[FILE] = [("reset", BROKEN_AT)]
    pull_file(hub, tmp_path)
    (partial,) = partials(tmp_path)
    partial.unlink()
    partial.symlink_to("/dev/full")
    result = pull_file(hub, tmp_path)
    assert result.exit_code == 1
    assert "got a full disk (No space left on device); free some" in result.stderr


@pytest.mark.parametrize(
    "source", ["mammo-clip", "hf:", "hf:a/b:", "hf:a/b/c", "hf:a/b:../x", "hf:a/b:/x", "hf:../b"]
)
def test_a_source_that_is_none_is_a_wrong_usage(hub: LocalHub, source: str) -> None:
    result = pull(hub, source)
    assert result.exit_code == 2
    assert hub.seen == []


def test_a_model_version_is_fetched_checked_and_published(
    hub: LocalHub, version: ModelVersion, tmp_path: Path
) -> None:
    root = tmp_path / "models"
    result = pull_version(hub, root)
    assert result.exit_code == 0, result.output
    published = ModelStore(root).find("tiny", "1")
    assert published.digest == version.digest
    ModelStore(root).verify(published)
    assert f"published tiny/1, from someone/tiny at {COMMIT}" in result.stdout
    assert "licence No-Serving-1: Hosting is prohibited." in result.stdout
    assert "MAMMO_ACCEPT_LICENCE=tiny" in result.stdout
    assert [path.name for path in root.iterdir()] == ["tiny"]
    heads = [one for one in hub.seen if one.server == "hub"]
    assert all(f"/resolve/{COMMIT}/" in one.path for one in heads[1:])


def test_a_version_that_breaks_off_publishes_nothing_and_goes_on(
    hub: LocalHub, version: ModelVersion, tmp_path: Path
) -> None:
    root, size = tmp_path / "models", version.file("text.onnx").stat().st_size
    hub.breaks["text.onnx"] = [("reset", size // 2)]
    assert pull_version(hub, root).exit_code == 1
    assert ModelStore(root).names() == []
    assert pull_version(hub, root).exit_code == 0
    ModelStore(root).verify(ModelStore(root).find("tiny"))
    assert [path.name for path in root.iterdir()] == ["tiny"]
    assert hub.ranges("image.onnx") == [None]


@pytest.mark.parametrize("name", ["image.onnx", "MODEL_CARD.md"])
def test_a_version_with_a_changed_file_is_not_published(
    hub: LocalHub, version: ModelVersion, tmp_path: Path, name: str
) -> None:
    files = hub.repos["someone/tiny"].files
    files[name] = files[name][::-1]
    result = pull_version(hub, tmp_path / "models")
    assert result.exit_code == 1
    assert f"{name}: expected sha256 {version.manifest.files[name]}" in result.stderr
    assert ModelStore(tmp_path / "models").names() == []


def test_a_version_that_is_there_is_not_fetched_again_and_never_replaced(
    hub: LocalHub, version: ModelVersion, tmp_path: Path
) -> None:
    root = tmp_path / "models"
    assert pull_version(hub, root).exit_code == 0
    before = len(hub.seen)
    again = pull_version(hub, root)
    assert again.exit_code == 0
    assert "tiny/1 is in the store already, the same" in again.stdout
    assert not any("onnx" in one.path for one in hub.seen[before:])
    other = make_tiny_model(tmp_path / "other", seed=1)
    hub.repos["someone/tiny"].files["manifest.json"] = other.file("manifest.json").read_bytes()
    result = pull_version(hub, root)
    assert result.exit_code == 1
    assert "tiny/1 is published already and never changes" in result.stderr
    assert ModelStore(root).find("tiny").digest == version.digest


def test_a_manifest_that_is_none_is_told(hub: LocalHub, tmp_path: Path) -> None:
    hub.repos["someone/tiny"] = Repo({"manifest.json": b"{}"})
    result = pull_version(hub, tmp_path / "models")
    assert result.exit_code == 1
    assert "manifest.json: expected a valid manifest" in result.stderr


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
