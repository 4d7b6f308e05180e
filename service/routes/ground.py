"""POST /v1/ground: a report and its images in, each sentence with its place out."""

from typing import Any

from fastapi import APIRouter, Request, Response

from service.heat_examples import GROUND
from service.heat_parameters import OF_GROUND, ground_request
from service.heat_schemas import GroundAnswer
from service.openapi import SERVER_TIMING, upload_body
from service.routes.heatmap import FAULTS_OF_HEAT
from service.routes.uploading import parameters, received, unless_caller_leaves
from service.services import ServicesOf
from service.stopwatch import server_timing

router = APIRouter(prefix="/v1", tags=["heat maps"])

ANSWER: dict[str, Any] = {
    "model": GroundAnswer,
    "headers": {"Server-Timing": SERVER_TIMING},
    "content": {"application/json": {"example": GROUND}},
}


@router.post(
    "/ground",
    openapi_extra=upload_body(OF_GROUND),
    responses={200: ANSWER, **FAULTS_OF_HEAT},
)
async def ground(request: Request, services: ServicesOf) -> Response:
    """Find each sentence of a report in each image of its study (Mammo-FActOR).

    The report is split into sentences; each is scored on each image against the model's default
    negative. These scores are not calibrated: they rank the images, they are no probabilities. A
    sentence is taken as it stands: one that says "no mass" is grounded where the model finds that
    sentence, which is no place of a mass. One that is too long for the model is answered as
    `not_grounded`; the others are grounded all the same.
    """
    async with received(request, services) as upload:
        asked = ground_request(parameters(request), upload.fields, services.deadlines)
        work = services.heat_maps.ground(upload.files, asked, upload_s=upload.seconds)
        result = await unless_caller_leaves(request, work)
    return Response(
        result.model_dump_json(),
        media_type="application/json",
        headers={"Server-Timing": server_timing(result.timing)},
    )
