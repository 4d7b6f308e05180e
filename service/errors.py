"""What can go wrong for a caller, and what each fault is called over HTTP (RFC 9457).

* ServiceError
  x MalformedRequest      400  the body or its framing cannot be read
  x LicenceNotAccepted    403  the model's licence forbids serving; the operator has not accepted it
  x NotFound              404  no such route or resource
  x UnknownModel          404  the store holds no such model; the known ones are listed
  x MethodNotAllowed      405  the route exists, not with this method
  x UploadStalled         408  no byte of the body came for too long
  x TooLarge              413  the body, a file or a part is over its limit
  x UnsupportedMediaType  415  not a content type or coding that is read here
  x InvalidParameter      422  a parameter is unknown or has no usable value
  x UnknownFinding        422  the model has no such finding; the known ones are listed
  x NoHeatMaps            422  the model makes no heat maps, or none of what is asked
  x BadArchive            422  a zip that is not extracted, with the reason's code
  x NoUsableImage         422  not one image could be analysed; each file's code is listed
  x TooBusy               429  too many requests at once
  x QueueIsFull           429  too many images wait
  x InternalError         500  a fault of the service
  x InferenceFailed       503  the model failed on a sentence
  x NotReady              503  /readyz: the reasons are listed
  x NoWorker              503  no live worker serves this model
  x QueueUnreachable      503  the queue does not answer
  x StorageFull           503  no space for uploads or in the queue
  x DeadlineExceeded      504  the answer did not come in time

Knows nothing of FastAPI: service.problems turns these into responses.
"""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import BaseModel, Field


class ErrorItem(BaseModel):
    """One of several reasons: of a file, of a parameter, or of a check."""

    message: str
    code: str | None = None
    file: str | None = None
    parameter: str | None = None


class Problem(BaseModel):
    """The body of every error: application/problem+json."""

    type: str = Field(examples=["/problems/queue-full"])
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    instance: str = Field(description="path of the request, without its query")
    request_id: str
    retryable: bool = Field(description="the same request may succeed later")
    retry_after_s: float | None = None
    errors: list[ErrorItem] = []


class ServiceError(Exception):
    """A fault that the caller is told about. `detail` never quotes a DICOM header."""

    slug: ClassVar[str]
    title: ClassVar[str]
    status: ClassVar[int]
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[ErrorItem] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = list(errors)
        self.retry_after_s = retry_after_s

    def problem(self, *, instance: str, request_id: str) -> Problem:
        """This fault as the body of an answer."""
        return Problem(
            type=f"/problems/{self.slug}",
            title=self.title,
            status=self.status,
            detail=self.detail,
            instance=instance,
            request_id=request_id,
            retryable=self.retryable,
            retry_after_s=self.retry_after_s,
            errors=self.errors,
        )


class MalformedRequest(ServiceError):
    """The body or its framing cannot be read."""

    slug, title, status = "malformed-request", "The request cannot be read", 400


class LicenceNotAccepted(ServiceError):
    """The model's licence forbids serving, and the operator has not accepted its terms."""

    slug, title, status = "licence-not-accepted", "Its licence forbids serving", 403


class NotFound(ServiceError):
    """No such route or resource."""

    slug, title, status = "not-found", "There is nothing at this address", 404


class UnknownModel(ServiceError):
    """The store holds no such model; the known ones are listed."""

    slug, title, status = "unknown-model", "No such model", 404


class MethodNotAllowed(ServiceError):
    """The route exists, not with this method."""

    slug, title, status = "method-not-allowed", "Not with this method", 405


class UploadStalled(ServiceError):
    """No byte of the body came for too long."""

    slug, title, status = "upload-stalled", "The upload stalled", 408
    retryable = True


class TooLarge(ServiceError):
    """The body, a file or a part is over its limit."""

    slug, title, status = "too-large", "The request is too large", 413


class UnsupportedMediaType(ServiceError):
    """Not a content type or coding that is read here."""

    slug, title, status = "unsupported-media-type", "This kind of body is not read here", 415


class InvalidParameter(ServiceError):
    """A parameter is unknown or has no usable value."""

    slug, title, status = "invalid-parameter", "A parameter cannot be used", 422


class UnknownFinding(ServiceError):
    """The model has no such finding; the known ones are listed."""

    slug, title, status = "unknown-finding", "No such finding", 422


class NoHeatMaps(ServiceError):
    """The model makes no heat maps, or none of what is asked."""

    slug, title, status = "no-heat-maps", "No heat maps of this", 422


class BadArchive(ServiceError):
    """A zip that is not extracted, with the reason's code."""

    slug, title, status = "bad-archive", "The archive is not extracted", 422


class NoUsableImage(ServiceError):
    """Not one image could be analysed; each file's code is listed."""

    slug, title, status = "no-usable-image", "No usable image", 422


class TooBusy(ServiceError):
    """Too many requests at once."""

    slug, title, status = "too-busy", "Too many requests at once", 429
    retryable = True


class QueueIsFull(ServiceError):
    """Too many images wait."""

    slug, title, status = "queue-full", "The queue is full", 429
    retryable = True


class InternalError(ServiceError):
    """A fault of the service."""

    slug, title, status = "internal-error", "A fault of the service", 500


class InferenceFailed(ServiceError):
    """The model failed on a sentence."""

    slug, title, status = "inference-failed", "The model failed", 503


class NotReady(ServiceError):
    """/readyz: the reasons are listed."""

    slug, title, status = "not-ready", "Not ready", 503
    retryable = True


class NoWorker(ServiceError):
    """No live worker serves this model."""

    slug, title, status = "no-worker", "No worker is alive", 503
    retryable = True


class QueueUnreachable(ServiceError):
    """The queue does not answer."""

    slug, title, status = "queue-unreachable", "The queue does not answer", 503
    retryable = True


class StorageFull(ServiceError):
    """No space for uploads or in the queue."""

    slug, title, status = "storage-full", "No space left", 503
    retryable = True


class DeadlineExceeded(ServiceError):
    """The answer did not come in time."""

    slug, title, status = "deadline-exceeded", "The deadline passed", 504
    retryable = True


PROBLEMS: dict[str, type[ServiceError]] = {
    kind.slug: kind for kind in ServiceError.__subclasses__()
}
"""Every problem type by its slug."""
