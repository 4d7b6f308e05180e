"""A model version at work: canvases and sentences in, embeddings out, and the golden self-check.

Knows nothing of queues, prompts or scores.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Self

import numpy as np

from model_store import golden
from model_store.arrays import F32, U8
from model_store.cores import usable_cores
from model_store.errors import CorruptModel, GoldenMismatch, GraphMismatch, LicenceNotAccepted
from model_store.factor import HeatMap, Weighting, heat_map
from model_store.graphs import (
    CHANNEL_EMBEDDINGS,
    EMBEDDING,
    FEATURES,
    IDS,
    MASK,
    TEXT_EMBEDDING,
    Session,
    check_contract,
    open_session,
    plan_here,
)
from model_store.manifest import FACTOR, Factor, Manifest, Recipe
from model_store.passes import ImagePasses
from model_store.providers import IMAGE_GRAPH, Execution, Plan, Provider, ProviderUnavailable
from model_store.store import ModelVersion, verify_files
from model_store.text import Tokenizer

__all__ = [
    "BadEmbedding",
    "GoldenMismatch",
    "GraphMismatch",
    "LicenceNotAccepted",
    "ModelRuntime",
    "ProviderUnavailable",
    "check_licence",
    "usable_cores",
]

logger = logging.getLogger(__name__)

UNASKED = Execution()
TEXT_BATCH = 16
"""Sentences a pass: sixteen of 16 tokens took 151 ms, one 21 ms (BERT base, 2 cores)."""


class BadEmbedding(Exception):
    """A graph answered with something that is not finite: nothing can be scored from it."""


class ModelRuntime:
    """Loaded sessions of one version. Calls may come from several threads."""

    def __init__(
        self,
        version: ModelVersion,
        *,
        image: Session,
        text: Session,
        tokenizer: Tokenizer,
        plan: Plan,
        factor: Session | None = None,
        image_batch: int | None = None,
        another_image: Callable[[], Session] | None = None,
    ) -> None:
        self.version = version
        self.plan = plan
        self._image = image
        self._passes = ImagePasses(image, plan, another_image)
        self._text = text
        self._factor = factor
        self._tokenizer = tokenizer
        self.preferred_batch = image_batch or plan.batch
        """Images that go through the graph together; longer calls are cut into such pieces."""

    @classmethod
    def load(
        cls,
        version: ModelVersion,
        *,
        threads: int,
        verify: bool = True,
        accept_licences: frozenset[str] = frozenset(),
        image_batch: int | None = None,
        execution: Execution = UNASKED,
    ) -> Self:
        """Open the sessions; with `verify`, check every file's digest and the golden file first.

        `threads` work on one pass, 0 = all usable cores. `accept_licences` = names of models
        whose licence forbids serving and whose terms the operator has accepted. Fixed sizes of the
        plan are warmed up. Raises LicenceNotAccepted, CorruptModel, GraphMismatch, GoldenMismatch,
        and ProviderUnavailable where `execution` names one that does not run here.
        """
        plan = plan_here(execution)
        check_licence(version, accept_licences)
        check_contract(version)
        if verify:
            verify_files(version)
        try:
            runtime = cls._opened(version, plan, threads=threads, image_batch=image_batch)
        except ProviderUnavailable as error:
            if execution.provider is not Provider.AUTO:
                raise
            logger.warning("%s runs on the CPU: %s", version.key, error)
            plan = plan_here(replace(execution, provider=Provider.CPU))
            runtime = cls._opened(version, plan, threads=threads, image_batch=image_batch)
        if verify:
            runtime.check_golden()
        return runtime

    @classmethod
    def _opened(
        cls, version: ModelVersion, plan: Plan, *, threads: int, image_batch: int | None
    ) -> Self:
        def opened(name: str) -> Session:
            return open_session(version, name, threads=threads, plan=plan)

        runtime = cls(
            version,
            image=opened(IMAGE_GRAPH),
            text=opened("text.onnx"),
            tokenizer=_tokenizer(version),
            plan=plan,
            factor=opened(FACTOR) if version.manifest.factor else None,
            image_batch=image_batch,
            another_image=(lambda: opened(IMAGE_GRAPH)) if plan.session_a_size else None,
        )
        runtime._warm_up(version.manifest.recipe)
        return runtime

    def _warm_up(self, recipe: Recipe) -> None:
        self._passes.warm_up((recipe.height_px, recipe.width_px))
        if self.batch_sizes:
            self.preferred_batch = min(self.preferred_batch, self.batch_sizes[-1])

    @property
    def manifest(self) -> Manifest:
        """The manifest of the loaded version."""
        return self.version.manifest

    @property
    def providers(self) -> list[str]:
        """Where the image graph runs, ONNX Runtime's names, best first."""
        return list(self._image.get_providers())

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """Fixed sizes that passes are padded to, ascending; () = as they come."""
        return self._passes.sizes

    def embed_images(self, canvases: U8) -> F32:
        """(N, H, W) uint8 canvases of the recipe's size -> (N, D) float32, L2-normalised.

        A row does not depend on its neighbours. Raises ValueError for another dtype or shape,
        BadEmbedding where a row is not finite.
        """
        return self.run_images(canvases, outputs=(EMBEDDING,))[EMBEDDING]

    def run_images(self, canvases: U8, *, outputs: Sequence[str]) -> dict[str, F32]:
        """The named outputs of the image graph, (N, ...) float32 each; others are not copied."""
        self._check_canvases(canvases)
        pieces = list(self._passes.run(canvases, outputs, most=self.preferred_batch))
        shapes = {spec.name: spec.shape for spec in self.manifest.image_outputs}
        return {
            name: _joined([piece[i] for piece in pieces], shapes[name])
            for i, name in enumerate(outputs)
        }

    def embed_texts(self, sentences: Sequence[str]) -> F32:
        """N sentences -> (N, D) float32, L2-normalised; BadEmbedding where one is not finite."""
        pieces: list[F32] = []
        for start in range(0, len(sentences), TEXT_BATCH):
            ids, mask = self._tokenizer.encode(sentences[start : start + TEXT_BATCH])
            pieces += self._text.run([TEXT_EMBEDDING], {IDS: ids, MASK: mask})
        return _joined(pieces, (0, self.manifest.embedding_size))

    @property
    def heads(self) -> tuple[str, ...]:
        """Heads of Mammo-FActOR in the order of the graph; empty for a version without one."""
        return self.manifest.factor.heads if self.manifest.factor else ()

    def look(self, canvas: U8, directions: F32, heads: Sequence[str]) -> tuple[F32, list[HeatMap]]:
        """(H, W) uint8, directions (S, D), a head each -> embedding (D,), and S heat maps.

        One pass of the image graph; its features are gone when this returns. Directions are those
        of scoring.positive_direction, heads those of factor.head_of. ValueError for a head that
        the version does not have, BadEmbedding where a graph answers something not finite.
        """
        self._known_heads(heads)
        out = self.run_images(canvas[np.newaxis], outputs=(EMBEDDING, FEATURES))
        return out[EMBEDDING][0], self.heat_maps(out[FEATURES][0], directions, heads)

    def heat_maps(self, features: F32, directions: F32, heads: Sequence[str]) -> list[HeatMap]:
        """The same from the features (C, h, w) of a canvas that has been looked at before."""
        factor = self._known_heads(heads)
        channels = self.embed_channels(features[np.newaxis])[0]  # (K, C, D)
        return [
            heat_map(
                features,
                channels[factor.heads.index(head)],
                direction,
                top_channels=factor.top_channels,
                weighting=Weighting(factor.weighting),
                origin=factor.origin,
            )
            for direction, head in zip(directions, heads, strict=True)
        ]

    def _known_heads(self, heads: Sequence[str]) -> Factor:
        factor = self.manifest.factor
        if factor is None or not set(heads) <= set(factor.heads):
            asked, has = ", ".join(sorted(set(heads))), ", ".join(self.heads) or "none"
            raise ValueError(f"{self.version.key} has the heads {has}; asked for {asked}")
        return factor

    def embed_channels(self, features: F32) -> F32:
        """(N, C, h, w) float32 -> (N, K, C, D) float32, L2-normalised, by factor.onnx."""
        if self._factor is None:
            raise ValueError(f"{self.version.key} has no {FACTOR}")
        pieces = [
            self._factor.run([CHANNEL_EMBEDDINGS], {FEATURES: row[np.newaxis]})[0]
            for row in features
        ]
        shape = self.manifest.factor.output.shape if self.manifest.factor else ()
        return _joined(pieces, shape)

    def check_golden(self) -> None:
        """Reproduce golden.npz; GoldenMismatch where this machine answers something else."""
        stored = golden.read_golden(self.version)
        outputs = (EMBEDDING, FEATURES) if stored.factor else (EMBEDDING,)
        try:
            seen = self.run_images(stored.images, outputs=outputs)
            texts = self.embed_texts(stored.sentences)
        except (ValueError, BadEmbedding) as error:
            raise GoldenMismatch(self.version.key, str(error)) from error
        golden.compare(
            self.version.key, "image", got=seen[EMBEDDING], expected=stored.image_embedding
        )
        golden.compare(self.version.key, "text", got=texts, expected=stored.text_embedding)
        if stored.factor is not None:
            self._check_golden_factor(seen[FEATURES], stored.factor)

    def _check_golden_factor(self, features: F32, stored: golden.GoldenFactor) -> None:
        try:
            got = self.embed_channels(features)[:, :, stored.channels]
        except (BadEmbedding, IndexError) as error:
            raise GoldenMismatch(self.version.key, str(error)) from error
        if got.shape != stored.embedding.shape:
            shapes = f"expected {stored.embedding.shape}, got {got.shape}"
            raise GoldenMismatch(self.version.key, f"channel embeddings: {shapes}")
        size = got.shape[-1]
        golden.compare(
            self.version.key,
            "channel",
            got=got.reshape(-1, size),
            expected=stored.embedding.reshape(-1, size),
        )

    def _check_canvases(self, canvases: U8) -> None:
        recipe = self.manifest.recipe
        size = (recipe.height_px, recipe.width_px)
        if canvases.dtype != np.uint8 or canvases.ndim != 3 or canvases.shape[1:] != size:
            raise ValueError(
                f"{self.version.key} takes uint8 canvases (N, {size[0]}, {size[1]}), "
                f"got {canvases.dtype} {canvases.shape}: render with the recipe of its manifest"
            )


def check_licence(version: ModelVersion, accepted: frozenset[str]) -> None:
    """LicenceNotAccepted where the terms forbid serving and the model's name is not accepted."""
    if not version.manifest.may_be_served(accepted):
        licence = version.manifest.licence
        raise LicenceNotAccepted(version.key, licence=licence.name, terms=licence.terms)


def _tokenizer(version: ModelVersion) -> Tokenizer:
    path = version.file("tokenizer.json")
    try:
        return Tokenizer.from_file(path, max_tokens=version.manifest.text_max_tokens)
    except ValueError as error:
        raise CorruptModel(
            version.key, path.name, expected="a tokenizer", got=str(error)
        ) from error


def _joined(pieces: list[F32], shape: Sequence[int | str]) -> F32:
    """Pieces of an output as one array; none of them = no rows of the output's shape."""
    if not pieces:
        return np.zeros((0, *(d if isinstance(d, int) else 0 for d in shape[1:])), np.float32)
    whole = np.concatenate(pieces)
    if not np.isfinite(whole).all():
        raise BadEmbedding("the model answered with values that are not finite")
    return whole
