"""GET /v1/models: what can be asked for, and what it is."""

import asyncio

from fastapi import APIRouter

from model_store.manifest import Manifest
from model_store.store import ModelVersion
from service import errors
from service.openapi import problems
from service.queue.streams import QueueDown
from service.readiness import PROBE_S
from service.schemas import ModelList, ModelSummary
from service.services import Services, ServicesOf

router = APIRouter(prefix="/v1/models", tags=["models"])
FAULTS = problems(errors.UnknownModel, errors.InvalidParameter)


@router.get("", responses=problems())
async def list_models(services: ServicesOf) -> ModelList:
    """Every readable model, its versions, and whether a worker serves it now."""
    return ModelList(models=[await _summary(services, one) for one in services.catalog.readable()])


@router.get("/{name}", responses=FAULTS)
async def get_model(name: str, services: ServicesOf) -> ModelSummary:
    """One model."""
    return await _summary(services, services.catalog.find(name))


@router.get("/{name}/{version}", responses=FAULTS)
async def get_model_version(name: str, version: str, services: ServicesOf) -> Manifest:
    """The manifest of a version: recipe, findings with their prompts, licence, metrics."""
    return services.catalog.find(f"{name}/{version}").manifest


async def _summary(services: Services, latest: ModelVersion) -> ModelSummary:
    name = latest.manifest.name
    try:
        async with asyncio.timeout(PROBE_S):
            ready = bool(await services.embedder.serving(latest))
    except (QueueDown, TimeoutError):
        ready = False
    return ModelSummary(
        name=name,
        latest=latest.manifest.version,
        versions=services.catalog.store.versions(name),
        family=latest.manifest.family,
        description=latest.manifest.description,
        findings=[finding.name for finding in latest.manifest.findings],
        heads=list(latest.manifest.factor.heads) if latest.manifest.factor else [],
        default=services.catalog.is_default(name),
        licence=latest.manifest.licence.name,
        serving=latest.manifest.licence.serving,
        accepted=name in services.catalog.accepted,
        ready=ready,
    )
