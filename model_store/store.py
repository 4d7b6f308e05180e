"""Find, verify and publish model versions: ROOT/NAME/VERSION/, immutable once published.

Knows nothing of what the files mean (runtime) nor of who asks for them (service, training).
"""

import contextlib
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from model_store.errors import AlreadyPublished, CorruptModel, ModelNotFound, StoreError
from model_store.manifest import MANIFEST, NAME, SEAL, Manifest

__all__ = [
    "MANIFEST",
    "AlreadyPublished",
    "CorruptModel",
    "ModelNotFound",
    "ModelStore",
    "ModelVersion",
    "StoreError",
    "read_manifest",
    "sha256_of",
    "verify_files",
]

CHUNK_BYTES = 1 << 20
_VERSION = re.compile(r"[0-9]{1,9}")
_NAME = re.compile(NAME)
_SEAL_LINE = re.compile(rb"[0-9a-f]{64}  manifest\.json\n")


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A version on disk: its directory and its manifest."""

    path: Path
    manifest: Manifest

    @property
    def key(self) -> str:
        """name/version."""
        return f"{self.manifest.name}/{self.manifest.version}"

    @property
    def digest(self) -> str:
        """sha256 of the manifest's content, and so of every file: the identity of the model."""
        return self.manifest.digest

    def file(self, name: str) -> Path:
        """Path of one of the version's files."""
        return self.path / name


class ModelStore:
    """The versions below one root directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        """Names that have at least one version, sorted."""
        names = [path.name for path in _directories(self.root) if _NAME.fullmatch(path.name)]
        return sorted(name for name in names if self.versions(name))

    def versions(self, name: str) -> list[str]:
        """Versions of a model, oldest first; empty for an unknown name."""
        if not _NAME.fullmatch(name):
            return []
        found = [path.name for path in _directories(self.root / name)]
        return sorted((v for v in found if _VERSION.fullmatch(v)), key=lambda v: (int(v), v))

    def find(self, name: str | None, version: str | None = None) -> ModelVersion:
        """Read a version's manifest; without `version` the newest, without `name` the only model.

        Raises ModelNotFound, or CorruptModel where the manifest cannot be read. Files are not
        checked here: see `verify`.
        """
        names = self.names()
        if name is None:
            if len(names) != 1:
                raise ModelNotFound("was named, and there is not exactly one", names)
            name = names[0]
        versions = self.versions(name)
        if not versions:
            raise ModelNotFound(repr(name), names)
        if version is None:
            version = versions[-1]
        elif version not in versions:
            raise ModelNotFound(repr(f"{name}/{version}"), [f"{name}/{v}" for v in versions])
        return self._read(name, version)

    def _read(self, name: str, version: str) -> ModelVersion:
        path = self.root / name / version
        found = ModelVersion(path=path, manifest=read_manifest(path, key=f"{name}/{version}"))
        if found.key != f"{name}/{version}":
            raise CorruptModel(
                f"{name}/{version}", MANIFEST, expected=f"{name}/{version}", got=found.key
            )
        return found

    def verify(self, version: ModelVersion) -> None:
        """Every file is there, is a plain file, and has its sha256; nothing else lies beside.

        Raises CorruptModel for the first file that is not so. Reads every byte.
        """
        verify_files(version)

    def publish(self, staging: Path) -> ModelVersion:
        """Copy a finished directory (manifest.json and its files) into the store, whole or not.

        Raises CorruptModel where the directory is not what its manifest says, AlreadyPublished
        where the version exists. `staging` is left as it is and may lie on another disk.
        """
        source = ModelVersion(path=staging, manifest=read_manifest(staging, key=staging.name))
        _check_listing(source, sealed=(staging / SEAL).exists())
        target = self.root / source.manifest.name / source.manifest.version
        if target.exists():
            raise AlreadyPublished(source.key)
        with _staging_beside(target) as copy:
            for name in (MANIFEST, *source.manifest.files):
                _copy_to_disk(staging / name, copy / name)
            _write_to_disk(copy / SEAL, _seal_line(copy / MANIFEST))
            self.verify(ModelVersion(path=copy, manifest=read_manifest(copy, key=source.key)))
            _sync_directory(copy)
            _rename_once(copy, target, key=source.key)
        _sync_directory(target.parent)
        return self._read(source.manifest.name, source.manifest.version)


def read_manifest(directory: Path, *, key: str) -> Manifest:
    """manifest.json of a version's directory; CorruptModel where there is none that is valid."""
    path = directory / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        got = error.strerror or "unreadable"
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        got = f"{first['msg']} at {where}" if where else first["msg"]
    raise CorruptModel(key, MANIFEST, expected="a valid manifest", got=got)


def verify_files(version: ModelVersion) -> None:
    """What ModelStore.verify says, for a version at hand."""
    try:
        _check_listing(version, sealed=True)
        _check_seal(version)
        _check_digests(version)
    except OSError as error:
        file, got = Path(str(error.filename)).name, error.strerror or "unreadable"
        raise CorruptModel(version.key, file, expected="a readable file", got=got) from error


def sha256_of(path: Path) -> str:
    """sha256 of a file's bytes, 64 hex digits, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _directories(path: Path) -> list[Path]:
    """Real directories in `path`; none where `path` is none."""
    try:
        return [Path(e.path) for e in os.scandir(path) if e.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _check_listing(version: ModelVersion, *, sealed: bool) -> None:
    expected = {MANIFEST, *version.manifest.files, *([SEAL] if sealed else [])}
    present = {path.name: path.lstat() for path in sorted(version.path.iterdir())}
    for name in sorted(expected - present.keys()):
        raise CorruptModel(version.key, name, expected="a file", got="nothing")
    for name in sorted(present.keys() - expected):
        raise CorruptModel(version.key, name, expected="nothing of this name", got="a surplus file")
    for name, status in present.items():
        if not stat.S_ISREG(status.st_mode):
            kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "no plain file"
            raise CorruptModel(version.key, name, expected="a plain file", got=kind)


def _check_seal(version: ModelVersion) -> None:
    expected = _seal_line(version.path / MANIFEST)
    got = (version.path / SEAL).read_bytes()
    if got == expected:
        return
    if not _SEAL_LINE.fullmatch(got):
        line = f"the line of sha256sum for {MANIFEST}"
        raise CorruptModel(version.key, SEAL, expected=line, got="something else")
    sealed, found = got[:64].decode(), expected[:64].decode()
    raise CorruptModel(version.key, MANIFEST, expected=f"sha256 {sealed}", got=f"sha256 {found}")


def _check_digests(version: ModelVersion) -> None:
    for name, expected in version.manifest.files.items():
        got = sha256_of(version.path / name)
        if got != expected:
            raise CorruptModel(
                version.key, name, expected=f"sha256 {expected}", got=f"sha256 {got}"
            )


def _seal_line(manifest: Path) -> bytes:
    return f"{sha256_of(manifest)}  {MANIFEST}\n".encode()


@contextlib.contextmanager
def _staging_beside(target: Path) -> Iterator[Path]:
    """A directory on the target's own file system, gone afterwards unless it was renamed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".publish-", dir=target.parent))
    try:
        staging.chmod(0o755)
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _copy_to_disk(source: Path, target: Path) -> None:
    with source.open("rb") as reader, target.open("xb") as writer:
        shutil.copyfileobj(reader, writer, CHUNK_BYTES)
        writer.flush()
        os.fsync(writer.fileno())


def _write_to_disk(target: Path, content: bytes) -> None:
    with target.open("xb") as writer:
        writer.write(content)
        writer.flush()
        os.fsync(writer.fileno())


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _rename_once(copy: Path, target: Path, *, key: str) -> None:
    """rename(2) onto a directory that is not empty fails: of two publishers, one wins."""
    try:
        copy.rename(target)
    except OSError as error:
        if target.exists():
            raise AlreadyPublished(key) from error
        raise
