"""What OpenAPI says of bodies and errors that FastAPI cannot see: they are read as streams."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.errors import PROBLEMS, Problem, ServiceError
from service.parameters import Table, openapi_parameters
from service.problems import MEDIA_TYPE

BINARY = {"type": "string", "format": "binary"}
FILES = {
    "type": "array",
    "items": BINARY,
    "description": "DICOM files, or zips of them",
}
REQUEST_ID = {
    "name": "X-Request-ID",
    "in": "header",
    "required": False,
    "description": "Comes back with the answer; made where it is missing or not plain.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
}
SERVER_TIMING = {
    "description": "Milliseconds of upload, decode, queue, score and total.",
    "schema": {"type": "string"},
}


def problems(*kinds: type[ServiceError]) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route that can end in these faults, InternalError always among them."""
    by_status: dict[int | str, list[type[ServiceError]]] = {}
    for kind in (*kinds, PROBLEMS["internal-error"]):
        by_status.setdefault(kind.status, []).append(kind)
    return {
        status: {
            "description": "; ".join(f"{kind.slug}: {kind.title}" for kind in same),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, same in by_status.items()
    }


def upload_body(known: Table, *, texts: bool = False) -> dict[str, Any]:
    """`openapi_extra` of a route that takes files: query parameters and the forms of a body.

    A parameter that is not `in_query` leaves the form as the only body.
    """
    fields = {
        name: {"description": parameter.description, **parameter.schema}
        for name, parameter in known.items()
    }
    in_form = [name for name, parameter in known.items() if not parameter.in_query]
    form = {"type": "object", "properties": {"files": FILES, **fields}}
    if in_form:
        form["required"] = ["files", *in_form]
    content: dict[str, Any] = {
        "multipart/form-data": {"schema": {**form, "additionalProperties": False}},
    }
    if not in_form:
        content |= {
            "application/dicom": {"schema": BINARY},
            "application/zip": {"schema": BINARY},
            'multipart/related; type="application/dicom"': {"schema": BINARY},
        }
    if texts:
        content["application/json"] = {
            "schema": {
                "type": "object",
                "properties": fields,
                "additionalProperties": False,
            },
            "examples": {"sentences": {"value": {"texts": ["there is a suspicious mass"]}}},
        }
    return {
        "parameters": [*openapi_parameters(known), REQUEST_ID],
        "requestBody": {"required": True, "content": content},
    }


def install(app: FastAPI) -> None:
    """Make app.openapi() complete: the problem's schema is used by reference only."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                summary=app.summary,
                description=app.description,
                routes=app.routes,
            )
            schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            parts = schema.pop("$defs", {})
            document["components"]["schemas"] |= {"Problem": schema, **parts}
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way
