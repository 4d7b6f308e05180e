"""POST /classify and POST /v1/classify: a study in, scores out."""

from fastapi import APIRouter, Request, Response

from service import errors
from service.openapi import SERVER_TIMING, problems, upload_body
from service.parameters import OF_CLASSIFY, classify_request
from service.routes.uploading import parameters, received, unless_caller_leaves
from service.schemas import StudyResult
from service.services import ServicesOf
from service.stopwatch import server_timing

router = APIRouter(tags=["studies"])

WITHOUT_EMBEDDING = {"images": {"__all__": {"embedding"}}}
FAULTS = problems(
    errors.MalformedRequest,
    errors.LicenceNotAccepted,
    errors.UnknownModel,
    errors.UploadStalled,
    errors.TooLarge,
    errors.UnsupportedMediaType,
    errors.InvalidParameter,
    errors.UnknownFinding,
    errors.BadArchive,
    errors.NoUsableImage,
    errors.TooBusy,
    errors.QueueIsFull,
    errors.InferenceFailed,
    errors.NoWorker,
    errors.QueueUnreachable,
    errors.StorageFull,
    errors.DeadlineExceeded,
)


@router.post(
    "/v1/classify",
    openapi_extra=upload_body(OF_CLASSIFY),
    responses={200: {"model": StudyResult, "headers": {"Server-Timing": SERVER_TIMING}}, **FAULTS},
)
@router.post(
    "/classify",
    openapi_extra=upload_body(OF_CLASSIFY),
    responses={200: {"model": StudyResult, "headers": {"Server-Timing": SERVER_TIMING}}, **FAULTS},
)
async def classify(request: Request, services: ServicesOf) -> Response:
    """Score the images of a study, each breast, and the study.

    Send DICOM files as multipart `files`, as one application/dicom body, as DICOMweb
    multipart/related, or a zip. A study with one usable image gets an answer; the others carry a
    code.
    """
    async with received(request, services) as upload:
        asked = classify_request(parameters(request, upload.fields), services.deadlines)
        work = services.studies.classify(upload.files, asked, upload_s=upload.seconds)
        result = await unless_caller_leaves(request, work)
    content = result.model_dump_json(exclude=None if asked.include_embedding else WITHOUT_EMBEDDING)
    return Response(
        content,
        media_type="application/json",
        headers={"Server-Timing": server_timing(result.timing)},
    )
