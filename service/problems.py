"""Errors as answers: every fault, FastAPI's own included, becomes one problem+json (RFC 9457)."""

import logging
import math

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from service.errors import (
    ErrorItem,
    InternalError,
    InvalidParameter,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    NotReady,
    ServiceError,
    UploadStalled,
)

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
CLIENT_GONE = 499
"""nginx' word for a caller that did not wait; nobody reads this answer, metrics count it."""
OF_STATUS: dict[int, ServiceError] = {
    404: NotFound("There is nothing at this address; GET /openapi.json lists what there is."),
    405: MethodNotAllowed("This address is not answered with this method."),
}


class CallerLeft(Exception):
    """The caller closed the connection while its answer was being made."""


def install(app: FastAPI) -> None:
    """Register the handlers; what none of them takes is caught by the middleware."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(ClientDisconnect, _caller_left)
    app.add_exception_handler(CallerLeft, _caller_left)


def problem_response(
    error: ServiceError, *, path: str, request_id: str, headers: dict[str, str] | None = None
) -> Response:
    """The answer for a fault."""
    problem = error.problem(instance=path, request_id=request_id)
    sent = dict(headers or {})
    if error.retry_after_s is not None:
        sent["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if error.status == 413 or isinstance(error, UploadStalled):
        sent["Connection"] = "close"  # the rest of the body is not wanted
    content = problem.model_dump_json(exclude_none=True)
    return Response(content, status_code=error.status, headers=sent, media_type=MEDIA_TYPE)


def of_request(
    request: Request, error: ServiceError, *, headers: dict[str, str] | None = None
) -> Response:
    """The answer to this request for a fault."""
    return problem_response(
        error, path=request.url.path, request_id=request.state.request_id, headers=headers
    )


async def _service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    if error.status >= 500 and not isinstance(error, NotReady):
        logger.warning("%d %s", error.status, error.slug)
    return of_request(request, error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    known = OF_STATUS.get(error.status_code)
    if known is None:
        known = MalformedRequest("The request cannot be read.") if error.status_code < 500 else None
    return of_request(
        request,
        known or InternalError("A fault of the service."),
        headers=dict(error.headers or {}),
    )


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    items = [
        ErrorItem(message=one["msg"], parameter=".".join(str(part) for part in one["loc"][1:]))
        for one in error.errors()
    ]
    return of_request(request, InvalidParameter("A parameter cannot be used.", errors=items))


async def _caller_left(_request: Request, _error: Exception) -> Response:
    return Response(status_code=CLIENT_GONE)
