"""How far a variant's answers are from those of the version it was made of, on the same images."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_store.arrays import F32, U8
from model_store.prompts import all_sentences, questions_for
from model_store.runtime import ModelRuntime
from training.data.canvas_set import CanvasSet
from training.evaluate.cases import known_rows
from training.evaluate.embeddings import Embedded
from training.evaluate.metrics import auc_statistic
from training.evaluate.zero_shot import ask
from training.progress import Say, counter

TIMED = 8
"""Images that are timed, one after the other and in turn with the source's."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a variant may lose; beyond it, it is not published."""

    cosine: float = 1e-2
    """Largest mean of 1 - cosine between its embeddings and the source's."""
    flips: float = 0.02
    """Largest share of pairs of images that a finding ranks the other way round."""
    auc: float = 0.01
    """Largest loss of a finding's AUC."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Measured on n images. Differences of AUC are variant less source, by finding."""

    n: int
    data: str
    image_cosine: float
    worst_image_cosine: float
    text_cosine: float
    flips: dict[str, float]
    auc: dict[str, tuple[float, float]]
    speed: float
    """Images a second of the variant over the source's, same run and threads."""
    size: float
    """Bytes of the variant's graphs over the source's."""

    def broken(self, bounds: Bounds) -> list[str]:
        """What lies beyond the bounds, in words."""
        found = []
        for name, value in (("image", self.image_cosine), ("text", self.text_cosine)):
            if not value <= bounds.cosine:
                found.append(f"1 - cosine of {name} embeddings {value:.2e} > {bounds.cosine:.0e}")
        for finding, share in self.flips.items():
            if not share <= bounds.flips:
                found.append(f"{share:.1%} of pairs of {finding} change rank > {bounds.flips:.0%}")
        for finding, (source, variant) in self.auc.items():
            if not source - variant <= bounds.auc:
                found.append(
                    f"AUC of {finding} {source:.3f} -> {variant:.3f}, allowed {bounds.auc}"
                )
        return found

    def as_markdown(self) -> str:
        """A table for the card."""
        rows = [
            ("1 - cosine, image embeddings, mean", f"{self.image_cosine:.2e}"),
            ("1 - cosine, image embeddings, worst", f"{self.worst_image_cosine:.2e}"),
            ("1 - cosine, sentences, mean", f"{self.text_cosine:.2e}"),
            *((f"pairs that change rank, {f}", f"{share:.2%}") for f, share in self.flips.items()),
            *(
                (f"AUC, {f}: source, variant", f"{a:.3f}, {b:.3f}")
                for f, (a, b) in self.auc.items()
            ),
            ("images/s over the source's (CPU)", f"{self.speed:.2f}"),
            ("size over the source's", f"{self.size:.2f}"),
        ]
        lines = ["| agreement with the source | |", "|---|---|"]
        return "\n".join([*lines, *(f"| {name} | {value} |" for name, value in rows)])


def measure(
    source: ModelRuntime, variant: ModelRuntime, canvases: CanvasSet, *, data: str, say: Say
) -> Agreement:
    """Both on every canvas; `data` says in words what they are."""
    images = [np.asarray(canvases.canvas(record)) for record in canvases.records]
    first, second = (_embedded(one, images, say=say) for one in (source, variant))
    sentences = all_sentences(questions_for(source.manifest, findings=None, prompts_json=None))
    texts = [one.embed_texts(sentences) for one in (source, variant)]
    answers = [
        ask(one, canvases, Embedded(rows, rows), manifest=source.manifest).image
        for one, rows in ((source, first), (variant, second))
    ]
    distance = _distance(first, second)
    findings = [finding.name for finding in source.manifest.findings]
    auc = {}
    for finding in findings:
        rows, labels = known_rows(canvases, finding)
        if len(set(labels.tolist())) == 2:
            auc[finding] = tuple(_auc(labels, answer.order[finding][rows]) for answer in answers)
    return Agreement(
        n=len(images),
        data=data,
        image_cosine=float(distance.mean()),
        worst_image_cosine=float(distance.max()),
        text_cosine=float(_distance(*texts).mean()),
        flips={f: _flips(answers[0].order[f], answers[1].order[f]) for f in findings},
        auc={f: (pair[0], pair[1]) for f, pair in auc.items()},
        speed=_speed(source, variant, images[:TIMED]),
        size=_size(variant) / _size(source),
    )


def _embedded(runtime: ModelRuntime, images: Sequence[U8], *, say: Say) -> F32:
    tell = counter(say, f"agreement: {runtime.version.key}")
    rows = []
    for number, image in enumerate(images):
        rows.append(runtime.embed_images(image[None])[0])
        tell(number + 1, len(images))
    return np.stack(rows)


def _distance(first: F32, second: F32) -> NDArray[np.float64]:
    """(N,) 1 - cosine of rows of length 1."""
    distance: NDArray[np.float64] = 1 - (first.astype(np.float64) * second).sum(axis=1)
    return distance


def _auc(labels: NDArray[np.bool_], order: NDArray[np.float64]) -> float:
    return float(auc_statistic(labels, order)(np.ones((1, len(labels))))[0])


def _flips(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Share of pairs that the two order differently."""
    upper = np.triu_indices(len(first), 1)
    signs = [np.sign(values[:, None] - values[None])[upper] for values in (first, second)]
    return float((signs[0] * signs[1] < 0).mean()) if len(upper[0]) else 0.0


def _speed(source: ModelRuntime, variant: ModelRuntime, images: Sequence[U8]) -> float:
    """Median seconds of one image, in turns, so that both see the same machine."""
    spent: tuple[list[float], list[float]] = ([], [])
    for image in (images[0], *images):  # the first pass of each is a warm-up
        for runtime, seconds in zip((source, variant), spent, strict=True):
            started = time.perf_counter()
            runtime.embed_images(image[None])
            seconds.append(time.perf_counter() - started)
    return float(np.median(spent[0][1:]) / np.median(spent[1][1:]))


def _size(runtime: ModelRuntime) -> int:
    return sum(runtime.version.file(name).stat().st_size for name in ("image.onnx", "text.onnx"))
