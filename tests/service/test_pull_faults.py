"""`mammoserve models pull` where it cannot: leave, tokens, names, network, disk; in plain words."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service.hub_server import LocalHub, local_hub
from tests.service.pull_helpers import (
    BROKEN_AT,
    FILE,
    SOURCE,
    clean_environment,
    hub,
    partials,
    pull,
    pull_file,
)

__all__ = ["clean_environment", "hub"]

TOKEN = "hf_canaryTokenOfATest"


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
