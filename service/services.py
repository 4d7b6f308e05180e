"""What the routes of one application share, made once at its start."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from service.catalog import Catalog
from service.embedding import Embedder
from service.heat_maps import HeatMaps
from service.metrics import Metrics
from service.parameters import Deadlines
from service.queue.streams import QueueClient
from service.readiness import Readiness
from service.room import Room
from service.studies import Studies
from service.uploads import UploadArea


@dataclass(frozen=True, slots=True)
class Services:
    """Handed to the routes by `ServicesOf`."""

    studies: Studies
    heat_maps: HeatMaps
    catalog: Catalog
    uploads: UploadArea
    room: Room
    queue: QueueClient
    embedder: Embedder
    readiness: Readiness
    metrics: Metrics
    deadlines: Deadlines


def _services(request: Request) -> Services:
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


ServicesOf = Annotated[Services, Depends(_services)]
