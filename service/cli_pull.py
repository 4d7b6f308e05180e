"""`mammoserve models pull hf:REPO[:FILE]`: a model version, or one file, from a model hub.

Exit code 0: it is there, checked; 1: it is not, and the message says what to do; 2: wrong usage.
"""

import importlib.util
import os
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from model_store.errors import AlreadyPublished, StoreError
from model_store.manifest import MANIFEST
from model_store.store import ModelStore, ModelVersion, read_manifest
from service.catalog import how_to_accept
from service.cli_models import Root
from service.hub import Hub
from service.pull_errors import PullError, of_disk, plain

SOURCE = re.compile(
    r"hf:(?P<repo>\w[\w.-]*(?:/\w[\w.-]*)?)(?::(?P<file>[^:\\\x00-\x1f]+))?", re.ASCII
)
MAX_MANIFEST_BYTES = 4 << 20
STAGING = ".pull"
"""Below the store, and no name of a model: what has come of a version that is not whole yet."""

Where = Annotated[
    str,
    typer.Argument(
        metavar="hf:REPO[:FILE]",
        help="REPO alone: a model version, into the store. With FILE: that file, into --to.",
    ),
]
To = Annotated[Path, typer.Option(file_okay=False, help="Folder for a single FILE.")]
Revision = Annotated[str, typer.Option(help="Branch, tag or commit.")]
TokenFile = Annotated[
    Path | None,
    typer.Option(help="File that holds your token and nothing else; without: HF_TOKEN."),
]


@dataclass(frozen=True, slots=True)
class Source:
    """A repository, and the path of a file in it or None."""

    repo: str
    file: str | None


def pull(
    source: Where,
    root: Root,
    to: To = Path("checkpoints"),
    revision: Revision = "main",
    token_file: TokenFile = None,
) -> None:
    """Fetch a model version, or one file; a broken download goes on where it stopped.

    What comes is checked by sha256. A token comes from HF_TOKEN or --token-file and goes to the hub
    alone. HF_ENDPOINT names another hub.
    """
    asked = parse_source(source)
    if importlib.util.find_spec("huggingface_hub") is None:
        _fail("expected the package huggingface-hub, got none: pip install 'mammoserve[hub]'")
    try:
        hub = Hub(os.environ.get("HF_ENDPOINT") or None, read_token(token_file))
        if asked.file is None:
            pull_version(hub, asked.repo, revision=revision, store=ModelStore(root))
        else:
            pull_file(hub, asked.repo, asked.file, revision=revision, folder=to)
    except (PullError, StoreError) as error:
        _fail(str(error))
    except OSError as error:
        _fail(str(of_disk(error, root)))


def parse_source(words: str) -> Source:
    """hf:REPO or hf:REPO:FILE. Raises typer.BadParameter."""
    found = SOURCE.fullmatch(words)
    file = found["file"] if found else None
    if found is None or (file and {"", ".", ".."}.intersection(file.split("/"))):
        raise typer.BadParameter(
            f"expected hf:REPO or hf:REPO:FILE, as hf:someone/mammo-clip:b5.tar, got {words!r}"
        )
    return Source(found["repo"], file)


def read_token(path: Path | None) -> str | None:
    """Of the file, else of HF_TOKEN, else none. Raises PullError, which never shows it."""
    origin, words = "HF_TOKEN", os.environ.get("HF_TOKEN", "").strip()
    if path is not None:
        origin = str(path)
        try:
            words = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            what = error.strerror if isinstance(error, OSError) else "other characters"
            raise PullError(f"expected a token in {origin}, got: {what}") from None
    if path is None and not words:
        return None
    if not re.fullmatch(r"[!-~]+", words):
        raise PullError(f"expected a token, one word, in {origin}, got something else")
    return words


def pull_file(hub: Hub, repo: str, file: str, *, revision: str, folder: Path) -> Path:
    """One file into `folder`, by its own name; prints what it is. Raises PullError."""
    remote = hub.look(repo, file, revision=revision)
    target = folder / PurePosixPath(file).name
    sha256 = hub.fetch(remote, target)
    said = "as the hub says" if remote.sha256 else "of what came; the hub says none for this file"
    name = re.sub(r"[^a-z0-9._-]+", "-", repo.rpartition("/")[2].lower()).strip("._-")
    typer.echo(f"{target}\nsha256 {sha256} ({said})\nof {repo} at {remote.commit}")
    typer.echo(
        f"next: mammoserve-train import {shlex.quote(str(target))} --name {name or 'NAME'} "
        "--tokenizer FOLDER"
    )
    return target


def pull_version(hub: Hub, repo: str, *, revision: str, store: ModelStore) -> ModelVersion:
    """The version that a repository holds, into the store, whole or not; prints what it is.

    What has come of it waits below STAGING for the next call. Raises PullError or StoreError.
    """
    listing = hub.look(repo, MANIFEST, revision=revision)
    if listing.size is None or listing.size > MAX_MANIFEST_BYTES:
        raise PullError(
            f"expected a {MANIFEST} of at most {MAX_MANIFEST_BYTES} bytes in {repo}, got "
            f"{listing.size or 'one of unknown size'}; this is no model version"
        )
    staging = store.root / STAGING / f"{repo.replace('/', '--')}@{listing.commit}"
    hub.fetch(listing, staging / MANIFEST)
    manifest = read_manifest(staging, key=repo)
    wanted = ModelVersion(staging, manifest)
    if manifest.version in store.versions(manifest.name):
        _forget(staging)
        return _is_there(store, wanted)
    for name, sha256 in manifest.files.items():
        remote = hub.look(repo, name, revision=listing.commit)
        hub.fetch(remote, staging / name, sha256=sha256)
    version = store.publish(staging)
    _forget(staging)
    _tell(version, f"published {version.key}, from {repo} at {listing.commit}")
    return version


def _is_there(store: ModelStore, wanted: ModelVersion) -> ModelVersion:
    """A version of the same name. Raises AlreadyPublished where it is not the same."""
    there = store.find(wanted.manifest.name, wanted.manifest.version)
    if there.digest != wanted.digest:
        raise AlreadyPublished(wanted.key)
    _tell(there, f"{there.key} is in the store already, the same")
    return there


def _forget(staging: Path) -> None:
    shutil.rmtree(staging, ignore_errors=True)
    if not any(staging.parent.iterdir()):
        staging.parent.rmdir()


def _tell(version: ModelVersion, what: str) -> None:
    licence = version.manifest.licence
    typer.echo(f"{what}\n{version.path}\ndigest {version.digest}")
    typer.echo(plain(f"licence {licence.name}: {licence.terms}"))
    if not licence.serving:
        typer.echo(how_to_accept(version))
    typer.echo(f"next: mammoserve models verify {version.key}")


def _fail(message: str) -> NoReturn:
    Console(stderr=True, soft_wrap=True).print(f"[red]{escape(plain(message))}[/red]")
    raise typer.Exit(1)
