"""A small client of the service: files in, answers out. What the CLI uses; fit for scripts too.

Waits and tries again where the service says so (429, 503 with Retry-After).
"""

import contextlib
import ipaddress
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx

RETRY_STATUSES = {429, 503}
TIMEOUT_S = 600.0
LONGEST_WAIT_S = 30.0


class ClientError(Exception):
    """The service refused, or did not answer; `problem` is its problem+json, if it sent one."""

    def __init__(self, message: str, problem: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.problem = dict(problem or {})


class Client:
    """Use as a context manager: `with Client("http://127.0.0.1:8000") as client`."""

    def __init__(self, url: str, *, tries: int = 5) -> None:
        try:
            self._http = httpx.Client(
                base_url=url, timeout=TIMEOUT_S, trust_env=not _is_this_machine(url)
            )
        except (ValueError, ImportError, httpx.InvalidURL) as error:
            raise ClientError(f"{url} cannot be called ({error})") from error
        self._tries = tries

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def classify(
        self, paths: Sequence[Path], *, names: Sequence[str], fields: Mapping[str, str]
    ) -> dict[str, Any]:
        """Score `paths` as one study, called `names` in the answer. Raises ClientError."""
        return self._ask("/v1/classify", paths, names=names, fields=fields)

    def heatmap(
        self, paths: Sequence[Path], *, names: Sequence[str], fields: Mapping[str, str]
    ) -> dict[str, Any]:
        """Where each question is grounded in each of `paths`. Raises ClientError."""
        return self._ask("/v1/heatmap", paths, names=names, fields=fields)

    def ground(
        self, paths: Sequence[Path], *, names: Sequence[str], fields: Mapping[str, str]
    ) -> dict[str, Any]:
        """Where each sentence of `fields["report"]` is grounded in `paths`. Raises ClientError."""
        return self._ask("/v1/ground", paths, names=names, fields=fields)

    def _ask(
        self, route: str, paths: Sequence[Path], *, names: Sequence[str], fields: Mapping[str, str]
    ) -> dict[str, Any]:
        """Files and fields as a form; waits and asks again where the service says so."""
        for left in reversed(range(self._tries)):
            with _opened(paths) as streams:
                shown = [name.encode(errors="replace").decode() for name in names]
                files = [("files", pair) for pair in zip(shown, streams, strict=True)]
                try:
                    response = self._http.post(route, files=files, data=dict(fields))
                except (httpx.HTTPError, httpx.InvalidURL) as error:
                    raise ClientError(
                        f"no answer from {self._http.base_url} ({type(error).__name__})"
                    ) from error
            if response.status_code not in RETRY_STATUSES or not left:
                break
            time.sleep(_wait_s(response))
        return _answer(response)


def _is_this_machine(url: str) -> bool:
    """Never asked of a proxy (HTTP_PROXY): that one's 127.0.0.1 is another."""
    try:
        host = httpx.URL(url).host
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except (ValueError, httpx.InvalidURL):
        return False


@contextlib.contextmanager
def _opened(paths: Sequence[Path]) -> Iterator[list[Any]]:
    with contextlib.ExitStack() as closing:
        yield [closing.enter_context(path.open("rb")) for path in paths]


def _wait_s(response: httpx.Response) -> float:
    asked = response.headers.get("Retry-After", "")
    return min(float(asked) if asked.isdecimal() else 1.0, LONGEST_WAIT_S)


def _answer(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        body = {}
    if response.is_success and isinstance(body, dict):
        return body
    detail = body.get("detail") if isinstance(body, dict) else None
    raise ClientError(
        f"{response.status_code}: {detail or response.reason_phrase}",
        body if isinstance(body, dict) else None,
    )
