"""Files of a model hub: huggingface_hub's requests, a partial file that is kept, a checksum.

huggingface_hub.hf_hub_download (2.4.0, as read) continues a file only within one call, deletes what
a failed call had, and compares sizes, no checksum. So its `http_get` writes into a partial file of
ours, which the next call continues, and the sha256 is compared here. The bytes come by plain HTTP:
hf-xet's downloads begin anew.

Knows nothing of model versions or commands. huggingface_hub is imported inside of functions: who
fetches nothing loads none of it.
"""

import contextlib
import fcntl
import hashlib
import io
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from model_store.store import sha256_of
from service.pull_errors import KEPT, PullError, TooManyBytes, of_disk
from service.version import VERSION

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from service.hub_faults import Asked

UNSAID_BYTES = 1 << 30
"""Most of a file whose size the hub does not say. The public hub says it of every file."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Remote:
    """A file of one commit. `sha256` as the hub says it: of LFS files, None of small ones."""

    repo: str
    file: str
    commit: str
    etag: str
    size: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Hub:
    """Whom to ask, and as whom. `endpoint` None: the public hub; `token` None: as nobody."""

    endpoint: str | None = None
    token: str | None = field(default=None, repr=False)

    def look(self, repo: str, file: str, *, revision: str) -> Remote:
        """What the hub says of a file. Raises PullError."""
        from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url

        with self._faults(repo, file, revision):
            url = hf_hub_url(repo, file, revision=revision, endpoint=self.endpoint)
            found = get_hf_file_metadata(url, token=self.token or False, endpoint=self.endpoint)
            etag, commit = found.etag or "", found.commit_hash or ""
            if not etag or not _COMMIT.fullmatch(commit):
                raise errors.FileMetadataError("no commit or no ETag")
        if found.size is not None and found.size < 0:
            raise PullError(
                f"expected a size of {file} of {repo} that is 0 or more, got {found.size}; what "
                "answers is no model hub: look at HF_ENDPOINT and at the proxy"
            )
        sha256 = etag if _SHA256.fullmatch(etag) else None
        return Remote(repo, file, commit, etag, found.size, sha256)

    def fetch(self, remote: Remote, target: Path, *, sha256: str | None = None) -> str:
        """Have the file at `target`, whole and checked; gives its sha256, 64 hex digits.

        `sha256`: what it has to be, where somebody else than the hub says so too. A partial file
        beside the target is continued, and kept where the connection breaks; one with a wrong
        checksum, or with more bytes than the hub said, is deleted. A file that is there already is
        never replaced. Raises PullError.
        """
        wanted = _agreed(remote, sha256)
        try:
            if wanted is not None and target.exists():
                return _same(target, wanted)
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = _partial_of(target, remote)
            with _alone(partial, most=_most(remote)) as stream:
                self._load(remote, stream)
                got = sha256_of(partial)
                if wanted is not None and got != wanted:
                    partial.unlink()
                    raise PullError(
                        f"{remote.file}: expected sha256 {wanted}, got {got}; the damaged file is "
                        "deleted: ask again"
                    )
                return _put(partial, target, got)
        except OSError as error:
            raise of_disk(error, target.parent) from error

    def _load(self, remote: Remote, stream: "_Bounded") -> None:
        """The bytes that are missing from `stream`, to the disk; deletes it if there are more."""
        from huggingface_hub import hf_hub_url
        from huggingface_hub.file_download import http_get

        had = _continued(stream, remote.size)
        _check_room(remote, stream.path.parent, had)
        headers = {"User-Agent": f"mammoserve/{VERSION}", "Accept-Encoding": "identity"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        # the hub's own address and not where it sends us: each try is signed anew, and httpx2
        # leaves the token out when it is sent on to another host
        url = hf_hub_url(remote.repo, remote.file, revision=remote.commit, endpoint=self.endpoint)
        try:
            with self._faults(remote.repo, remote.file, remote.commit):
                http_get(
                    url,
                    stream,
                    resume_size=had,
                    headers=headers,
                    expected_size=remote.size,
                    displayed_filename=Path(remote.file).name,
                )
        except TooManyBytes as error:
            stream.path.unlink()
            raise PullError(f"{remote.file}: {error}") from None
        except OSError as error:
            if error.errno is not None:
                raise
            raise PullError(
                f"{remote.file}: expected {remote.size} bytes, got {stream.tell()}; {KEPT}"
            ) from None
        stream.flush()
        os.fsync(stream.fileno())

    @contextlib.contextmanager
    def _faults(self, repo: str, file: str, revision: str) -> Iterator[None]:
        """The hub's and the network's faults as PullError; the disk's pass."""
        import httpx2
        from huggingface_hub import constants, errors

        from service.hub_faults import Asked, explained

        try:
            yield
        except (
            errors.OfflineModeIsEnabled,
            errors.FileMetadataError,
            httpx2.HTTPError,
            ValueError,  # a name that cannot be one, or a file beyond what goes by HTTP
        ) as error:
            parts = urlsplit(self.endpoint or constants.ENDPOINT)
            host = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
            asked = Asked(host, repo, file, revision, with_token=self.token is not None)
            absent = isinstance(error, errors.RemoteEntryNotFoundError)
            known = self._known(asked) if absent else []
            raise explained(error, asked, known=known) from None

    def _known(self, asked: "Asked") -> list[str]:
        """Files of the repository, for a message; none where the hub does not say."""
        import httpx2
        from huggingface_hub import HfApi

        with contextlib.suppress(httpx2.HTTPError):
            hub = HfApi(endpoint=self.endpoint, token=self.token or False)
            return hub.list_repo_files(asked.repo, revision=asked.revision)
        return []


def _agreed(remote: Remote, sha256: str | None) -> str | None:
    """What the checksum has to be; None where nobody says. Before a byte is loaded."""
    if sha256 is not None and remote.sha256 not in (None, sha256):
        raise PullError(
            f"{remote.file}: expected sha256 {sha256}, as the manifest says, got {remote.sha256} "
            "at the hub; the repository contradicts itself: tell its owner"
        )
    return sha256 or remote.sha256


def _partial_of(target: Path, remote: Remote) -> Path:
    """Named by the content it grows into: what another revision left is never continued."""
    tag = hashlib.sha256(f"{remote.repo} {remote.file} {remote.etag}".encode()).hexdigest()[:16]
    return target.with_name(f".{target.name}.{tag}.partial")


class _Bounded(io.BufferedWriter):
    """A file to append to, of `most` bytes: huggingface_hub writes whatever a server sends."""

    def __init__(self, path: Path, *, most: int) -> None:
        super().__init__(io.FileIO(path, "ab"))
        self.path = path
        self._most = most

    def write(self, data: "ReadableBuffer", /) -> int:
        """All of `data`, or nothing. Raises TooManyBytes."""
        if self.tell() + memoryview(data).nbytes > self._most:
            raise TooManyBytes(self._most)
        return super().write(data)


def _most(remote: Remote) -> int:
    return UNSAID_BYTES if remote.size is None else remote.size


@contextlib.contextmanager
def _alone(partial: Path, *, most: int) -> Iterator[_Bounded]:
    """The partial file to append to, locked: two commands at once would mix their bytes."""
    with _Bounded(partial, most=most) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = os.path.samestat(partial.stat(), os.fstat(stream.fileno()))
        except (BlockingIOError, FileNotFoundError):
            ours = False
        if not ours:
            raise PullError(f"another command fetches {partial.parent / partial.name}: wait for it")
        yield stream


def _continued(stream: _Bounded, size: int | None) -> int:
    """Bytes that are there and stay; what cannot be the beginning of the file is dropped."""
    had = stream.tell()
    if size is None or had > size:
        stream.seek(0)
        stream.truncate()
        return 0
    return had


def _check_room(remote: Remote, folder: Path, had: int) -> None:
    missing, free = (remote.size or 0) - had, shutil.disk_usage(folder).free
    if missing > free:
        raise PullError(
            f"expected room for {missing} bytes of {remote.file} below {folder}, got {free} free; "
            "free some or name another folder"
        )


def _same(target: Path, wanted: str) -> str:
    """Raises PullError where `target` is another file."""
    got = sha256_of(target)
    if got != wanted:
        raise PullError(
            f"{target}: expected nothing, or the file with sha256 {wanted}, got {got}; move it "
            "away or name another folder"
        )
    return got


def _put(partial: Path, target: Path, sha256: str) -> str:
    """Give the finished file its name, unless another one has it."""
    if target.exists():
        _same(target, sha256)
        partial.unlink()
    else:
        partial.rename(target)
    return sha256
