"""What became of the images of a request: counted, and a refusal where not one can be answered."""

from collections.abc import Sequence

from model_store.arrays import F32
from service.embedding import Vector
from service.errors import ErrorItem, InferenceFailed, NoUsableImage
from service.metrics import Metrics
from service.queue.streams import ItemFailed
from service.schemas import FileResult


def conclude(metrics: Metrics, results: Sequence[FileResult], *, required: bool = True) -> None:
    """Count the images' fates; one analysed is enough for an answer. Raises NoUsableImage."""
    for result in results:
        metrics.image(result.status, result.code)
    if required and not any(result.status == "analyzed" for result in results):
        raise NoUsableImage(
            "None of the files could be analysed; `errors` says why, file by file.",
            errors=[
                ErrorItem(file=result.file, code=result.code, message=result.detail or "")
                for result in results
            ],
        )


def sound(vector: Vector) -> F32:
    """A sentence's vector: without it nothing can be said. Raises InferenceFailed."""
    if isinstance(vector, ItemFailed):
        raise InferenceFailed("The model failed on a sentence of the request.")
    return vector
