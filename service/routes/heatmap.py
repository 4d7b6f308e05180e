"""POST /v1/heatmap: images and questions in, where each is grounded out."""

from typing import Any

from fastapi import APIRouter, Request, Response

from service import errors
from service.heat_examples import HEATMAP
from service.heat_parameters import OF_HEATMAP, heatmap_request
from service.heat_schemas import HeatmapAnswer
from service.openapi import BINARY, SERVER_TIMING, problems, upload_body
from service.routes.classify import FAULTS
from service.routes.uploading import parameters, prefers, received, unless_caller_leaves
from service.services import ServicesOf
from service.stopwatch import server_timing

router = APIRouter(prefix="/v1", tags=["heat maps"])

PNG = "image/png"
FAULTS_OF_HEAT = FAULTS | problems(
    errors.InvalidParameter,
    errors.UnknownFinding,
    errors.NoHeatMaps,
    errors.BadArchive,
    errors.NoUsableImage,
)
ANSWER: dict[str, Any] = {
    "model": HeatmapAnswer,
    "description": "Scores and heat maps; or, where image/png is preferred, one overlay.",
    "headers": {"Server-Timing": SERVER_TIMING},
    "content": {"application/json": {"example": HEATMAP}, PNG: {"schema": BINARY}},
}


@router.post(
    "/heatmap",
    openapi_extra=upload_body(OF_HEATMAP),
    responses={200: ANSWER, **FAULTS_OF_HEAT},
)
async def heatmap(request: Request, services: ServicesOf) -> Response:
    """Show where in each image a finding or a sentence is grounded (Mammo-FActOR).

    Bodies as for /v1/classify. Boxes are in stored pixels, and in millimetres where the spacing is
    known; they are given where the score says that the finding is present. With `Accept:
    image/png`, one image and one question: the picture itself.
    """
    async with received(request, services) as upload:
        asked = heatmap_request(parameters(request, upload.fields), services.deadlines)
        if prefers(request, PNG):
            drawn = services.heat_maps.picture(upload.files, asked, upload_s=upload.seconds)
            return Response(await unless_caller_leaves(request, drawn), media_type=PNG)
        work = services.heat_maps.heatmap(upload.files, asked, upload_s=upload.seconds)
        result = await unless_caller_leaves(request, work)
    return Response(
        result.model_dump_json(),
        media_type="application/json",
        headers={"Server-Timing": server_timing(result.timing)},
    )
