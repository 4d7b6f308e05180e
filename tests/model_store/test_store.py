"""Finding, verifying and publishing versions, on real files."""

import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from model_store.errors import AlreadyPublished, CorruptModel, ModelNotFound
from model_store.manifest import Manifest
from model_store.store import ModelStore, ModelVersion
from tests.tiny_model import make_tiny_model

EVERY_FILE = (
    "manifest.json",
    "manifest.json.sha256",
    "image.onnx",
    "text.onnx",
    "factor.onnx",
    "tokenizer.json",
    "golden.npz",
    "MODEL_CARD.md",
)


@pytest.fixture
def version(tmp_path: Path) -> ModelVersion:
    return make_tiny_model(tmp_path / "models")


@pytest.fixture
def store(version: ModelVersion) -> ModelStore:
    return ModelStore(version.path.parent.parent)


def _change_one_byte(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def _names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def _staging(version: ModelVersion, directory: Path) -> Path:
    return shutil.copytree(version.path, directory)


def test_names_and_versions_are_sorted_as_numbers(tmp_path: Path) -> None:
    for name, number in (("b", "10"), ("b", "9"), ("a", "1")):
        make_tiny_model(tmp_path, name=name, version=number)
    store = ModelStore(tmp_path)
    assert store.names() == ["a", "b"]
    assert store.versions("b") == ["9", "10"]


def test_without_a_version_the_newest_is_found(tmp_path: Path) -> None:
    for number in ("2", "10"):
        make_tiny_model(tmp_path, version=number)
    assert ModelStore(tmp_path).find("tiny").key == "tiny/10"
    assert ModelStore(tmp_path).find("tiny", "2").key == "tiny/2"


def test_without_a_name_the_only_model_is_found(store: ModelStore, version: ModelVersion) -> None:
    assert store.find(None) == version


def test_without_a_name_several_models_are_listed_instead_of_one_guessed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_tiny_model(tmp_path, name=name)
    with pytest.raises(ModelNotFound, match="known: one, two"):
        ModelStore(tmp_path).find(None)


def test_an_unknown_name_lists_the_known(store: ModelStore) -> None:
    with pytest.raises(ModelNotFound, match="no model 'other'; known: tiny") as caught:
        store.find("other")
    assert caught.value.known == ["tiny"]


def test_an_unknown_version_lists_the_known(store: ModelStore) -> None:
    with pytest.raises(ModelNotFound, match="no model 'tiny/7'; known: tiny/1"):
        store.find("tiny", "7")


@pytest.mark.parametrize("name", ["..", "../models/tiny", "/etc", "tiny/1", "", "T", "a\0b"])
def test_a_name_never_leaves_the_root(store: ModelStore, name: str) -> None:
    with pytest.raises(ModelNotFound):
        store.find(name)


@pytest.mark.parametrize("number", ["..", "1/../1", "", "latest"])
def test_a_version_never_leaves_its_model(store: ModelStore, number: str) -> None:
    with pytest.raises(ModelNotFound):
        store.find("tiny", number)


def test_a_root_that_does_not_exist_is_an_empty_store(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "nothing")
    assert store.names() == []
    with pytest.raises(ModelNotFound, match="the store is empty"):
        store.find(None)


def test_a_published_version_verifies(store: ModelStore, version: ModelVersion) -> None:
    store.verify(version)


def test_the_seal_is_what_sha256sum_reads(version: ModelVersion) -> None:
    check = ["sha256sum", "--check", "--status", "manifest.json.sha256"]
    assert subprocess.run(check, cwd=version.path, check=False).returncode == 0


@pytest.mark.parametrize("name", EVERY_FILE)
@pytest.mark.parametrize("position", [0, -1])
def test_one_changed_byte_of_any_file_is_found(
    store: ModelStore, version: ModelVersion, name: str, position: int
) -> None:
    _change_one_byte(version.path / name, position)
    with pytest.raises(CorruptModel) as caught:
        store.verify(store.find("tiny"))
    assert caught.value.file in (name, name.removesuffix(".sha256"))
    assert caught.value.expected != caught.value.got


def test_a_value_changed_in_the_manifest_is_found(store: ModelStore, version: ModelVersion) -> None:
    path = version.path / "manifest.json"
    path.write_text(path.read_text().replace("A tiny model", "A fine model"))
    with pytest.raises(CorruptModel, match=r"manifest.json: expected sha256 \w{64}, got sha256"):
        store.verify(store.find("tiny"))


@pytest.mark.parametrize("name", EVERY_FILE[1:])
def test_a_missing_file_is_found(store: ModelStore, version: ModelVersion, name: str) -> None:
    (version.path / name).unlink()
    with pytest.raises(CorruptModel, match=f"{name}: expected a file, got nothing"):
        store.verify(version)


def test_a_missing_manifest_is_an_error_and_not_an_unknown_model(
    store: ModelStore, version: ModelVersion
) -> None:
    (version.path / "manifest.json").unlink()
    with pytest.raises(CorruptModel, match=r"manifest.json: .* got No such file"):
        store.find("tiny")


def test_a_version_that_went_away_is_told_as_such(store: ModelStore, version: ModelVersion) -> None:
    shutil.rmtree(version.path)
    with pytest.raises(CorruptModel, match="1: expected a readable file, got No such file"):
        store.verify(version)


def test_a_surplus_file_is_found(store: ModelStore, version: ModelVersion) -> None:
    (version.path / "notes.txt").write_text("x")
    with pytest.raises(CorruptModel, match=r"notes.txt: .* got a surplus file"):
        store.verify(version)


def test_a_symbolic_link_is_no_file_of_a_version(
    store: ModelStore, version: ModelVersion, tmp_path: Path
) -> None:
    moved = (version.path / "image.onnx").rename(tmp_path / "image.onnx")
    (version.path / "image.onnx").symlink_to(moved)
    with pytest.raises(CorruptModel, match=r"image.onnx: expected a plain file, got a symbolic"):
        store.verify(version)


def test_a_directory_is_no_file_of_a_version(store: ModelStore, version: ModelVersion) -> None:
    (version.path / "MODEL_CARD.md").unlink()
    (version.path / "MODEL_CARD.md").mkdir()
    with pytest.raises(CorruptModel, match="got no plain file"):
        store.verify(version)


def test_a_version_in_the_wrong_directory_is_found(
    store: ModelStore, version: ModelVersion
) -> None:
    version.path.rename(version.path.parent / "2")
    with pytest.raises(CorruptModel, match="expected tiny/2, got tiny/1"):
        store.find("tiny")


def test_a_manifest_that_is_no_json_says_so(store: ModelStore, version: ModelVersion) -> None:
    (version.path / "manifest.json").write_text("{")
    with pytest.raises(CorruptModel, match=r"expected a valid manifest, got Invalid JSON"):
        store.find("tiny")


def test_publishing_copies_whole_and_leaves_the_source(
    version: ModelVersion, tmp_path: Path
) -> None:
    staging = _staging(version, tmp_path / "staging")
    published = ModelStore(tmp_path / "other").publish(staging)
    assert published.path == tmp_path / "other" / "tiny" / "1"
    assert published.digest == version.digest
    assert _names(published.path) == _names(staging) == sorted(EVERY_FILE)


def test_a_published_version_is_never_overwritten(
    store: ModelStore, version: ModelVersion, tmp_path: Path
) -> None:
    before = (version.path / "manifest.json").stat().st_mtime_ns
    with pytest.raises(AlreadyPublished, match="tiny/1 is published already"):
        store.publish(_staging(version, tmp_path / "staging"))
    assert (version.path / "manifest.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("name", EVERY_FILE[2:])
def test_what_is_not_as_its_manifest_says_is_not_published_and_leaves_nothing(
    version: ModelVersion, tmp_path: Path, name: str
) -> None:
    staging = _staging(version, tmp_path / "staging")
    _change_one_byte(staging / name, 0)
    with pytest.raises(CorruptModel, match=name):
        ModelStore(tmp_path / "other").publish(staging)
    assert [path for path in (tmp_path / "other").rglob("*") if path.is_file()] == []
    assert _names(tmp_path / "other" / "tiny") == []


def test_a_symbolic_link_is_not_published(version: ModelVersion, tmp_path: Path) -> None:
    staging = _staging(version, tmp_path / "staging")
    moved = (staging / "golden.npz").rename(tmp_path / "golden.npz")
    (staging / "golden.npz").symlink_to(moved)
    with pytest.raises(CorruptModel, match="symbolic link"):
        ModelStore(tmp_path / "other").publish(staging)


def test_of_many_publishers_one_wins_and_the_version_is_whole(
    version: ModelVersion, tmp_path: Path
) -> None:
    staging = _staging(version, tmp_path / "staging")
    store = ModelStore(tmp_path / "other")
    outcomes: list[str] = []

    def publish() -> None:
        try:
            outcomes.append(store.publish(staging).key)
        except AlreadyPublished:
            outcomes.append("lost")

    threads = [threading.Thread(target=publish) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["lost"] * 7 + ["tiny/1"]
    store.verify(store.find("tiny"))
    assert _names(tmp_path / "other" / "tiny") == ["1"]


def test_an_unfinished_publication_is_not_seen(store: ModelStore, version: ModelVersion) -> None:
    shutil.copytree(version.path, version.path.parent / ".publish-abc")
    assert store.versions("tiny") == ["1"]


def test_the_digest_of_a_version_is_that_of_its_manifest(version: ModelVersion) -> None:
    content = (version.path / "manifest.json").read_bytes()
    assert version.digest == Manifest.model_validate_json(content).digest
