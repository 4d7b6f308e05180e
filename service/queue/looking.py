"""One heat item on one model: canvas and question in, grids and boxes out.

The boxes are made here, beside the canvas: whoever asks gets them without touching a pixel.
"""

from collections.abc import Callable
from functools import partial

from model_store.arrays import U8
from model_store.breast import breast_mask
from model_store.factor import heat_boxes
from model_store.runtime import ModelRuntime
from service.queue.heat import ImageHeat, SentenceHeat, decode_ask, encode_heat


def looker(runtime: ModelRuntime) -> Callable[[U8, bytes], bytes] | None:
    """What `Served.look` is for this model; None for one without Mammo-FActOR."""
    return partial(look, runtime) if runtime.heads else None


def look(runtime: ModelRuntime, canvas: U8, ask: bytes) -> bytes:
    """Canvas (H, W) uint8 and queue.heat's question -> queue.heat's answer.

    Raises ValueError for a question that is none or that names a head which the model lacks, and
    what the runtime raises.
    """
    factor = runtime.manifest.factor
    if factor is None:
        raise ValueError(f"{runtime.version.key} makes no heat maps")
    asked = decode_ask(ask)
    embedding, maps = runtime.look(canvas, asked.directions, asked.heads)
    inside = breast_mask(canvas)
    return encode_heat(
        ImageHeat(
            embedding=embedding,
            maps=tuple(
                SentenceHeat(
                    grid=one.grid,
                    channels=one.channels,
                    weights=one.weights,
                    similarities=one.similarities,
                    boxes=tuple(
                        heat_boxes(one.grid, inside, quantile=factor.quantile, floor=factor.floor)
                    ),
                )
                for one in maps
            ),
        )
    )
