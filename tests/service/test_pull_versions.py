"""`mammoserve models pull hf:REPO`: a model version from a hub, whole or not at all."""

import json
from pathlib import Path

import pytest

from model_store.store import ModelStore, ModelVersion
from tests.service.hub_server import COMMIT, LocalHub, Repo
from tests.service.pull_helpers import clean_environment, hub, pull_version
from tests.tiny_model import make_tiny_model

__all__ = ["clean_environment", "hub"]

LFS = frozenset({"image.onnx", "text.onnx", "factor.onnx", "golden.npz"})


@pytest.fixture
def version(tmp_path: Path, hub: LocalHub) -> ModelVersion:
    """In a store of its own, and as a repository of the hub."""
    made = make_tiny_model(tmp_path / "made", serving=False)
    names = ("manifest.json", *made.manifest.files)
    files = {name: made.file(name).read_bytes() for name in names}
    hub.repos["someone/tiny"] = Repo(files, lfs=LFS)
    return made


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


@pytest.mark.parametrize("field", ["name", "terms"])
def test_a_licence_that_would_steer_the_terminal_is_refused_in_one_plain_line(
    hub: LocalHub, version: ModelVersion, tmp_path: Path, field: str
) -> None:
    change_manifest(
        hub, version, licence={"name": "X", "terms": "Y", field: "\x1b]0;own\x07 \u202e"}
    )
    result = pull_version(hub, tmp_path / "models")
    assert result.exit_code == 1
    assert f"expected one line of plain text, got '\\x1b' in it at licence.{field}" in result.stderr
    assert "\x1b" not in result.output
    assert ModelStore(tmp_path / "models").names() == []


@pytest.mark.parametrize("name", ["a\0b", "a\nb\x1b[31m", "", "a" * 300])
def test_a_manifest_with_an_impossible_file_is_refused_in_one_plain_line(
    hub: LocalHub, version: ModelVersion, tmp_path: Path, name: str
) -> None:
    change_manifest(hub, version, files={**version.manifest.files, name: "0" * 64})
    result = pull_version(hub, tmp_path / "models")
    assert result.exit_code == 1
    assert "is not the plain name of a file beside the manifest" in result.stderr
    assert result.stderr.count("\n") == 1
    assert "\x1b" not in result.stderr


def test_names_that_a_repository_lists_are_shown_and_not_obeyed(
    hub: LocalHub, tmp_path: Path
) -> None:
    hub.repos["someone/tiny"] = Repo({"\x1b]0;own\x07\nb": b""})
    result = pull_version(hub, tmp_path / "models")
    assert result.exit_code == 1
    assert r"(it has \x1b]0;own\x07\nb); name a file" in result.stderr
    assert "\x1b" not in result.stderr


def change_manifest(hub: LocalHub, version: ModelVersion, **changes: object) -> None:
    content = version.manifest.model_dump(mode="json") | changes
    hub.repos["someone/tiny"].files["manifest.json"] = json.dumps(content).encode()
