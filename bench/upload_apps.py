"""Two ASGI apps that take a study: FastAPI's UploadFile, and our upload area."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, File, Request, UploadFile

from service.allocator import keep_large_buffers
from service.settings import Settings
from service.upload_files import UploadLimits
from service.uploads import UploadArea

peer = FastAPI()


@peer.post("/upload")
async def with_upload_file(files: Annotated[list[UploadFile], File()]) -> int:
    """The framework's own way."""
    return sum([len(await file.read()) for file in files])


@asynccontextmanager
async def _area(app: FastAPI) -> AsyncIterator[None]:
    keep_large_buffers()
    settings = Settings()
    app.state.area = UploadArea(
        Path(os.environ["BENCH_UPLOADS"]), UploadLimits.of(settings), max_concurrent=16
    )
    app.state.area.open()
    yield
    app.state.area.close()


ours = FastAPI(lifespan=_area)


@ours.post("/upload")
async def with_upload_area(request: Request) -> int:
    """Streamed to disk as the service does."""
    area: UploadArea = request.app.state.area
    async with area.receive(request.headers, request.stream()) as upload:
        return sum(file.size for file in upload.files)
