"""Files and questions -> every image's scores and heat, by decoder, cache and queue.

One pass of the image model gives both. Knows nothing of HTTP, nor of how an answer is told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model_store.arrays import F32
from model_store.factor import head_of
from model_store.prompts import Question, all_sentences
from model_store.scoring import positive_direction, score_image
from model_store.store import ModelVersion
from service.catalog import Catalog
from service.decoding import Decoder, Opened, Rejected
from service.embedding import Embedder, Heat
from service.errors import NoHeatMaps
from service.metrics import Metrics
from service.outcomes import conclude, sound
from service.queue.heat import MAX_SENTENCES, Ask, ImageHeat, encode_ask
from service.queue.streams import HeatItem, ItemFailed, heat_ref
from service.results import Scores, file_result
from service.schemas import FileResult
from service.stopwatch import Stopwatch
from service.upload_files import UploadedFile


@dataclass(frozen=True, slots=True)
class Seen:
    """One usable image that was looked at."""

    one: Opened
    heat: ImageHeat
    scores: Scores


@dataclass(frozen=True, slots=True)
class Look:
    """What became of every file, and by its index what was seen in it."""

    files: list[FileResult]
    seen: Mapping[int, Seen]


class Looking:
    """The way of the files of a request for heat maps; one for an application."""

    def __init__(
        self, *, catalog: Catalog, decoder: Decoder, embedder: Embedder, metrics: Metrics
    ) -> None:
        self._catalog = catalog
        self._decoder = decoder
        self._embedder = embedder
        self._metrics = metrics

    def version(self, asked: str | None) -> ModelVersion:
        """The version that is meant.

        Raises UnknownModel, LicenceNotAccepted, or NoHeatMaps where it makes none.
        """
        version = self._catalog.served(asked)
        if version.manifest.factor is None:
            able = [one.key for one in self._catalog.readable() if one.manifest.factor]
            known = ", ".join(able) or "none"
            raise NoHeatMaps(
                f"Expected a model with factor.onnx, got {version.key}, which has none; name one "
                f"that makes heat maps: {known}."
            )
        return version

    async def look(
        self,
        version: ModelVersion,
        files: Sequence[UploadedFile],
        questions: Sequence[Question],
        *,
        until: float,
        watch: Stopwatch,
    ) -> Look:
        """Scores and heat of every usable image; ends the stages "decode" and "queue".

        Raises NoHeatMaps, NoUsableImage, InferenceFailed, DeadlineExceeded and what Embedder
        raises. `until` is a time.monotonic().
        """
        heads = heads_for(version, questions)
        self._metrics.uploaded.inc(sum(file.size for file in files))
        opened = await self._decoder.open(files, version.manifest.recipe, until=until)
        watch.lap("decode")
        usable = [one for one in opened if isinstance(one, Opened)]
        texts = all_sentences(questions) if usable else ()
        found = await self._embedder.embed(version, texts=texts, until=until)
        sentences = {text: sound(vector) for text, vector in found.texts.items()}
        asks = _asks(questions, heads, sentences) if usable else []
        by_index = await self._heat(version, usable, asks=asks, until=until)
        watch.lap("queue")
        results = [_result(one, by_index) for one in opened]
        conclude(self._metrics, results)
        seen = {
            one.index: Seen(one, got, _scores(version, questions, sentences, got))
            for one in usable
            if not isinstance(got := by_index[one.index], ItemFailed)
        }
        return Look(results, seen)

    async def _heat(
        self,
        version: ModelVersion,
        usable: Sequence[Opened],
        asks: Sequence[bytes],
        *,
        until: float,
    ) -> dict[int, Heat]:
        """By the files' index. An image has one item in the queue at a time, whatever is asked."""
        found: dict[int, Heat] = {}
        for asked in asks:
            items = {
                one.index: _item(one, asked)
                for one in usable
                if not isinstance(found.get(one.index), ItemFailed)
            }
            heat = await self._embedder.heat(version, list(items.values()), until=until)
            for index, item in items.items():
                found[index] = _joined(found.get(index), heat[item.ref])
        return found


def heads_for(version: ModelVersion, questions: Sequence[Question]) -> tuple[str, ...]:
    """The head that answers each question. Raises NoHeatMaps where one has none."""
    heads = version.manifest.factor.heads if version.manifest.factor else ()
    found = [head_of(question, heads) for question in questions]
    if any(head is None for head in found):
        raise NoHeatMaps(
            f"Expected questions that {version.key} has a head for, got others; ask for these "
            f"findings: {', '.join(heads)}."
        )
    return tuple(head for head in found if head is not None)


def _asks(
    questions: Sequence[Question], heads: tuple[str, ...], sentences: Mapping[str, F32]
) -> list[bytes]:
    """The questions in their order, as many in one as an item may hold."""
    directions = np.stack([positive_direction(question, sentences) for question in questions])
    return [
        encode_ask(Ask(directions[start:end], heads[start:end]))
        for start in range(0, len(questions), MAX_SENTENCES)
        for end in [start + MAX_SENTENCES]
    ]


def _joined(before: Heat | None, heat: Heat) -> Heat:
    """One round's heat behind that of the rounds before it."""
    if not isinstance(before, ImageHeat) or isinstance(heat, ItemFailed):
        return heat
    return ImageHeat(heat.embedding, (*before.maps, *heat.maps))


def _item(one: Opened, asked: bytes) -> HeatItem:
    image = one.item
    return HeatItem(
        canvas=image.canvas, shape=image.shape, ask=asked, ref=heat_ref(image.ref, asked)
    )


def _result(one: Opened | Rejected, heat: Mapping[int, Heat]) -> FileResult:
    got = heat.get(one.index)
    return file_result(one, failed=got if isinstance(got, ItemFailed) else None)


def _scores(
    version: ModelVersion,
    questions: Sequence[Question],
    sentences: Mapping[str, F32],
    heat: ImageHeat,
) -> Scores:
    return score_image(heat.embedding, questions, sentences, version.manifest.logit_scale)
