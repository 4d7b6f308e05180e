"""What the routes that take files share: body, parameters, and a caller that may leave."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

from fastapi import Request

from service.errors import MalformedRequest
from service.parameters import Pairs
from service.problems import CallerLeft
from service.services import Services
from service.upload_files import Upload
from service.uploads import read_small

T = TypeVar("T")
MAX_JSON_BYTES = 1 << 20
JSON_NAMES = ("application/json", "application/*", "*/*")


@asynccontextmanager
async def received(request: Request, services: Services) -> AsyncIterator[Upload]:
    """The request's body on disk and room for its images, for as long as it is worked on."""
    async with services.uploads.receive(request.headers, _chunks(request)) as upload:
        with services.room.hold(len(upload.files)):
            yield upload


def parameters(request: Request, fields: Pairs = ()) -> Pairs:
    """Query and form as one list."""
    return [*request.query_params.multi_items(), *fields]


def prefers(request: Request, media_type: str) -> bool:
    """Whether Accept names this type, and rates it above JSON."""
    rated: dict[str, float] = {}
    for part in request.headers.get("accept", "*/*").split(","):
        name, *options = (piece.strip().lower() for piece in part.split(";"))
        quality = next((one[2:] for one in options if one.startswith("q=")), "1")
        with contextlib.suppress(ValueError):
            rated[name] = float(quality)
    json_rated = next((rated[name] for name in JSON_NAMES if name in rated), 0.0)
    return rated.get(media_type, 0.0) > json_rated


async def unless_caller_leaves(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The work's result; cancels it and raises CallerLeft once the caller has hung up."""
    task = asyncio.ensure_future(work)
    watcher = asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait({task, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise CallerLeft
        return task.result()
    finally:
        for one in (task, watcher):
            one.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await asyncio.gather(task, watcher, return_exceptions=True)


async def _hung_up(request: Request) -> None:
    """Returns when the connection is closed; the body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        if chunk:
            yield chunk


async def read_json(request: Request, services: Services) -> Any:
    """A small JSON body. Raises MalformedRequest, TooLarge, UploadStalled."""
    limits = replace(services.uploads.limits, request_bytes=MAX_JSON_BYTES)
    body = await read_small(request.headers, _chunks(request), limits)
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedRequest("The body is not JSON.") from error
