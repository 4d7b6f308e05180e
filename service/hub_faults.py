"""A model hub's faults and the network's in words: expected, got, what to do.

Imports huggingface_hub, and is imported only where something is fetched. No message holds a token,
nor an address that a hub has signed for somebody.
"""

from collections.abc import Callable
from dataclasses import dataclass

import httpx2
from huggingface_hub import errors

from service.pull_errors import KEPT, PullError

KNOWN_SHOWN = 10
"""Files of a repository that a message lists."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was wanted of whom. `host` has neither user nor password."""

    host: str
    repo: str
    file: str
    revision: str
    with_token: bool


def explained(error: Exception, asked: Asked, *, known: list[str]) -> PullError:
    """The words for a fault of the hub or the network; `known`: files that the repository has."""
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return PullError(words(error, asked, known))
    return PullError(f"expected {asked.file} of {asked.repo}, got {type(error).__name__}: {error}")


def _gated(_error: Exception, asked: Asked, _known: list[str]) -> str:
    accept = f"accept its terms on the model's page at {asked.host}"
    if asked.with_token:
        return (
            f"expected leave to read {asked.repo}, got none: it is gated, and the token's owner "
            f"is not let in; {accept} with the account that the token is of, and ask again once "
            "the authors have agreed"
        )
    return (
        f"expected leave to read {asked.repo}, got none: it is gated, and no token was given; "
        f"{accept}, then set HF_TOKEN or name a file with --token-file"
    )


def _no_repo(_error: Exception, asked: Asked, _known: list[str]) -> str:
    private = "its owner has to let the token read it" if asked.with_token else "set HF_TOKEN"
    return (
        f"expected a model repository {asked.repo} at {asked.host}, got none that can be read; "
        f"look at the name, and if it is private, {private}"
    )


def _no_revision(_error: Exception, asked: Asked, _known: list[str]) -> str:
    return (
        f"expected a revision {asked.revision!r} of {asked.repo}, got none; name a branch, a tag "
        "or a commit with --revision"
    )


def _no_file(_error: Exception, asked: Asked, known: list[str]) -> str:
    more = ", ..." if len(known) > KNOWN_SHOWN else ""
    listed = f" (it has {', '.join(known[:KNOWN_SHOWN])}{more})" if known else ""
    return (
        f"expected {asked.file} in {asked.repo} at {asked.revision}, got a repository without "
        f"it{listed}; name a file that is there, as hf:{asked.repo}:FILE"
    )


def _offline(_error: Exception, asked: Asked, _known: list[str]) -> str:
    return f"expected to ask {asked.host}, got HF_HUB_OFFLINE, which forbids it; unset the variable"


def _refused(error: Exception, asked: Asked, _known: list[str]) -> str:
    assert isinstance(error, errors.HfHubHTTPError)
    status = error.response.status_code
    if status in (401, 403) and asked.with_token:
        what = "look at the token: it is unknown there, has run out, or may not read this"
    elif status in (401, 403):
        what = "set HF_TOKEN"
    elif status == 429:
        what = "too much was asked of it; wait, or set HF_TOKEN, which allows more"
    else:
        what = f"try again later; {KEPT}"
    return f"expected {asked.file} of {asked.repo}, got status {status} of {asked.host}; {what}"


def _no_hub(_error: Exception, asked: Asked, _known: list[str]) -> str:
    return (
        f"expected a model hub at {asked.host}, got an answer without its headers; look at "
        "HF_ENDPOINT and at the proxy"
    )


def _no_network(error: Exception, asked: Asked, _known: list[str]) -> str:
    return (
        f"expected an answer of {asked.host}, got {type(error).__name__}; look at the network, at "
        f"HTTPS_PROXY and at HF_ENDPOINT; {KEPT}"
    )


_WORDS: tuple[tuple[type[Exception], Callable[[Exception, Asked, list[str]], str]], ...] = (
    (errors.GatedRepoError, _gated),
    (errors.RepositoryNotFoundError, _no_repo),
    (errors.RevisionNotFoundError, _no_revision),
    (errors.RemoteEntryNotFoundError, _no_file),
    (errors.OfflineModeIsEnabled, _offline),
    (errors.HfHubHTTPError, _refused),
    (errors.FileMetadataError, _no_hub),
    (httpx2.HTTPError, _no_network),
)
"""The first that fits; a special kind stands before its general one."""
