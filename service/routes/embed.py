"""POST /v1/embed: images and sentences in, vectors out."""

import json
from typing import Any

from fastapi import APIRouter, Request, Response

from service import errors
from service.openapi import SERVER_TIMING, upload_body
from service.parameters import OF_EMBED, SHOWN_CHARS, embed_request, invalid
from service.routes.classify import FAULTS
from service.routes.uploading import parameters, read_json, received, unless_caller_leaves
from service.schemas import EmbedResult
from service.services import Services, ServicesOf
from service.stopwatch import server_timing

router = APIRouter(prefix="/v1", tags=["embeddings"])

JSON = "application/json"


@router.post(
    "/embed",
    openapi_extra=upload_body(OF_EMBED, texts=True),
    responses={200: {"model": EmbedResult, "headers": {"Server-Timing": SERVER_TIMING}}, **FAULTS},
)
async def embed(request: Request, services: ServicesOf) -> Response:
    """Vectors of images, of sentences (form field `texts`, or a JSON body), or of both."""
    result = await (_of_json if _is_json(request) else _of_files)(request, services)
    return Response(
        result.model_dump_json(),
        media_type=JSON,
        headers={"Server-Timing": server_timing(result.timing)},
    )


async def _of_files(request: Request, services: Services) -> EmbedResult:
    async with received(request, services) as upload:
        asked = embed_request(parameters(request, upload.fields), services.deadlines)
        work = services.studies.embed(upload.files, asked, upload_s=upload.seconds)
        return await unless_caller_leaves(request, work)


async def _of_json(request: Request, services: Services) -> EmbedResult:
    fields = _fields(await read_json(request, services))
    asked = embed_request(parameters(request, fields), services.deadlines)
    return await unless_caller_leaves(request, services.studies.embed([], asked))


def _is_json(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == JSON


def _fields(body: Any) -> list[tuple[str, str]]:
    """{"texts": [...], "encoding": "base64"} as the pairs that a form would bring."""
    if not isinstance(body, dict):
        raise errors.MalformedRequest('The body is not a JSON object like {"texts": ["a mass"]}.')
    fields: list[tuple[str, str]] = []
    for name, value in body.items():
        values = value if isinstance(value, list) else [value]
        for one in values:
            if isinstance(one, bool) or not isinstance(one, str | int | float):
                raise invalid(ascii(name[:SHOWN_CHARS])[1:-1], "expected text")
            fields.append((name, one if isinstance(one, str) else json.dumps(one)))
    return fields
