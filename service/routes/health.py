"""Probes and metrics."""

from fastapi import APIRouter, Response

from service import errors
from service.metrics import CONTENT_TYPE
from service.openapi import problems
from service.readiness import update_gauges
from service.schemas import Health
from service.services import ServicesOf

router = APIRouter(tags=["operation"])


@router.get("/livez", responses=problems())
async def livez() -> Health:
    """The process answers: do not restart it."""
    return Health(status="alive")


@router.get("/readyz", responses=problems(errors.NotReady))
async def readyz(services: ServicesOf) -> Health:
    """The queue answers and a living, golden-checked worker has the default model."""
    await services.readiness.check()
    return Health(status="ready")


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **problems()},
)
async def metrics(services: ServicesOf) -> Response:
    """Prometheus text format."""
    keys = [version.key for version in services.catalog.readable()]
    await update_gauges(services.metrics, services.queue, keys)
    return Response(services.metrics.text(), headers={"Content-Type": CONTENT_TYPE})
