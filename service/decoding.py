"""Files -> canvases by the decode pool, many at a time. Knows nothing of models or HTTP."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from model_store.dicom_input import Laterality, Limits
from model_store.geometry import Placement
from model_store.manifest import Recipe
from model_store.refusals import Refused
from service.decode_pool import DecodedImage, DecodePool
from service.errors import DeadlineExceeded
from service.metrics import Metrics
from service.queue.streams import ImageItem, image_ref
from service.upload_files import UploadedFile


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that is a usable mammogram: what the answer says of it, and its canvas.

    `spacing_mm` (row, column) of stored pixels where it is known.
    """

    index: int
    name: str
    sop_instance_uid: str
    study: str
    laterality: Laterality | None
    view: str | None
    warnings: tuple[str, ...]
    item: ImageItem
    placement: Placement
    spacing_mm: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file that is none, with its code."""

    index: int
    name: str
    code: str
    detail: str


class Decoder:
    """The decode pool as a study needs it: every file an outcome, never an exception."""

    def __init__(self, pool: DecodePool, limits: Limits, metrics: Metrics) -> None:
        self._pool = pool
        self._limits = limits
        self._metrics = metrics

    async def open(
        self, files: Sequence[UploadedFile], recipe: Recipe, *, until: float
    ) -> list[Opened | Rejected]:
        """One outcome a file, in order. `until` is a time.monotonic(); raises DeadlineExceeded."""
        try:
            async with (
                asyncio.timeout(max(until - time.monotonic(), 0)),
                asyncio.TaskGroup() as group,
            ):
                tasks = [
                    group.create_task(self._open(index, file, recipe))
                    for index, file in enumerate(files)
                ]
        except TimeoutError:
            self._metrics.expired.inc()
            raise DeadlineExceeded("The files were not decoded before the deadline.") from None
        return [task.result() for task in tasks]

    async def _open(self, index: int, file: UploadedFile, recipe: Recipe) -> Opened | Rejected:
        try:
            with self._metrics.timed(self._metrics.decode):
                decoded = await self._pool.render(file.path, recipe, self._limits)
        except Refused as refusal:
            return Rejected(index, file.name, refusal.code.value, refusal.detail)
        ref = await asyncio.to_thread(image_ref, decoded.canvas, recipe.digest)
        return _opened(decoded, ref, index=index, name=file.name)


def _opened(decoded: DecodedImage, ref: str, *, index: int, name: str) -> Opened:
    return Opened(
        index=index,
        name=name,
        sop_instance_uid=decoded.sop_instance_uid,
        study=decoded.study_instance_uid,
        laterality=decoded.laterality,
        view=decoded.view,
        warnings=tuple(str(code) for code in decoded.warnings),
        item=ImageItem(canvas=decoded.canvas, shape=decoded.shape, ref=ref),
        placement=decoded.placement,
        spacing_mm=decoded.spacing_mm,
    )
