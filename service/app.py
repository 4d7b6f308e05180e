"""The application: parts made and taken down with it, routes, errors, middleware.

Knows nothing of processes around it: service.serving starts the queue and the workers.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from fastapi.routing import APIRoute

from model_store.dicom_input import Limits
from service import openapi, problems
from service.catalog import Catalog
from service.decode_pool import DecodePool
from service.decoding import Decoder
from service.embedding import Embedder
from service.heat_maps import HeatMaps
from service.looking import Looking
from service.metrics import Metrics
from service.middleware import RequestContext
from service.parameters import Deadlines
from service.queue.streams import QueueClient
from service.readiness import Readiness
from service.room import Room
from service.routes import classify, docs, embed, ground, health, heatmap, models
from service.routes import problems as problem_types
from service.schemas import RESEARCH_USE
from service.services import Services
from service.settings import MIB, Settings
from service.studies import Studies
from service.upload_files import UploadLimits
from service.uploads import UploadArea
from service.version import VERSION

DESCRIPTION = f"""Zero-shot questions about mammograms: DICOM in, scores out. {RESEARCH_USE}

Errors are RFC 9457 problems; their types are described at GET /problems/{{slug}}.
"""

ROOM_OF_QUEUE = 2
"""Images in hand over images in the queue: some are decoded while others run."""


def create_app(settings: Settings, *, redis_url: str) -> FastAPI:
    """The service's ASGI application. Its parts start with the lifespan."""
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as closing:
            app.state.services = await _start(
                settings, metrics, redis_url=redis_url, closing=closing
            )
            yield

    app = FastAPI(
        title="mammoserve",
        version=VERSION,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=_operation_id,
    )
    for route in (classify, embed, heatmap, ground, models, health, problem_types, docs):
        app.include_router(route.router)
    app.add_middleware(RequestContext, metrics=metrics)
    problems.install(app)
    openapi.install(app)
    return app


async def _start(
    settings: Settings, metrics: Metrics, *, redis_url: str, closing: AsyncExitStack
) -> Services:
    """Everything that lives as long as the application, in the order it is needed."""
    uploads = UploadArea(
        settings.uploads, UploadLimits.of(settings), max_concurrent=settings.max_uploads
    )
    uploads.open()
    closing.callback(uploads.close)
    queue = await closing.enter_async_context(
        QueueClient(
            redis_url, max_items=settings.queue_max_images, result_ttl_s=settings.result_ttl_s
        )
    )
    pool = DecodePool(
        processes=settings.decode_processes,
        memory_mb=settings.decode_memory_mb,
        timeout_s=settings.decode_timeout_s,
    )
    await pool.start()
    closing.push_async_callback(pool.stop)
    catalog = Catalog(settings.models, default=settings.model, accepted=settings.accept_licence)
    catalog.log_refused()
    embedder = Embedder(queue, metrics, largest_job=max(settings.queue_max_images // 2, 1))
    limits = Limits(max_file_bytes=settings.max_file_mb * MIB)
    decoder = Decoder(pool, limits, metrics)
    return Services(
        studies=Studies(catalog=catalog, decoder=decoder, embedder=embedder, metrics=metrics),
        heat_maps=HeatMaps(
            Looking(catalog=catalog, decoder=decoder, embedder=embedder, metrics=metrics)
        ),
        catalog=catalog,
        uploads=uploads,
        room=Room(ROOM_OF_QUEUE * settings.queue_max_images, metrics),
        queue=queue,
        embedder=embedder,
        readiness=Readiness(catalog, embedder),
        metrics=metrics,
        deadlines=Deadlines(settings.deadline_s, settings.max_deadline_s),
    )


def _operation_id(route: APIRoute) -> str:
    """Stable names for generated clients: the function's, told apart by the version prefix."""
    return f"v1_{route.name}" if route.path.startswith("/v1/") else route.name
