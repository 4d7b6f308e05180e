"""Image-text retrieval: Recall@K among the reports of a pool of images, both ways.

Reports of mammograms are near-duplicates: half of a screening pool says the same of a normal
breast. So two figures are told: "own report" counts the image's own report alone (identical texts
tie, and a tie is worth the chance of drawing the right one), "same content" any report with the
same words or, where the images' findings are known, the same findings, density and side.
The pool stays as it is in every resample; its size belongs to the figure.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_store.runtime import ModelRuntime
from training.data.canvas_set import CanvasSet
from training.data.records import Category, ImageRecord
from training.evaluate.embeddings import Embedded
from training.evaluate.figures import Figure
from training.evaluate.metrics import RESAMPLES, interval, mean_statistic
from training.evaluate.tasks import NothingToMeasure, shuffled_patients

CUTS = (1, 5, 10)
MIN_PAIRS = 2 * max(CUTS)
OWN, SAME = "own report", "same content"
F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Images with a report: rows of the canvases, texts, contents and patients, (n,)."""

    rows: NDArray[np.intp]
    texts: tuple[str, ...]
    contents: tuple[str, ...]
    patients: NDArray[np.str_]


def report_text(image: ImageRecord) -> str:
    """Findings and impression in one text; empty where there is no report."""
    if image.report is None:
        return ""
    return " ".join((*image.report.findings, *image.report.impression))


def make_pairs(canvases: CanvasSet, *, pool: int | None, rng: np.random.Generator) -> Pairs:
    """One image a breast with a report, the first; patients drawn until the pool is full.

    NothingToMeasure where there are fewer than 20 pairs: Recall@10 would say nothing.
    """
    first: dict[tuple[str, str, str], int] = {}
    for row, record in enumerate(canvases.records):
        image = record.image
        if report_text(image):
            first.setdefault((image.patient, image.study, image.laterality), row)
    if len(first) < MIN_PAIRS:
        raise NothingToMeasure(
            f"{len(first)} breasts with a report; Recall@10 needs {MIN_PAIRS} at least"
        )
    rows = np.array(list(first.values()), np.intp)
    if pool is not None and len(rows) > pool:
        owners = np.array([canvases.records[row].image.patient for row in rows])
        place = {patient: i for i, patient in enumerate(shuffled_patients(owners, rng).tolist())}
        order = np.argsort([place[owner] for owner in owners.tolist()], kind="stable")
        rows = np.sort(rows[order[:pool]])
    images = [canvases.records[row].image for row in rows]
    return Pairs(
        rows=rows,
        texts=tuple(report_text(image) for image in images),
        contents=tuple(content(image) for image in images),
        patients=np.array([image.patient for image in images], str),
    )


def content(image: ImageRecord) -> str:
    """What a report is about, as one key: the known facts, or the words where nothing is known."""
    if not image.annotated:
        return " ".join(report_text(image).casefold().split())
    present = [category.value for category in Category if image.present(category)]
    return "|".join([image.laterality, str(image.density), *present])


def retrieval_figures(
    runtime: ModelRuntime,
    embedded: Embedded,
    pairs: Pairs,
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> list[Figure]:
    """Recall@1, 5 and 10 from image to report and back, by both ways of counting a hit."""
    images = embedded.embeddings[pairs.rows].astype(np.float64)
    similarity = images @ runtime.embed_texts(pairs.texts).astype(np.float64).T
    same = _same(pairs)
    rng = np.random.default_rng([seed, len(pairs.rows)])
    figures = []
    for way, scores in (("image to report", similarity), ("report to image", similarity.T)):
        hits = {OWN: own_hits(scores), SAME: first_hits(scores, same)}
        for kind, ranks in hits.items():
            for cut in CUTS:
                values = ranks[:, cut]
                measured = interval(
                    mean_statistic(values), patients=pairs.patients, rng=rng, resamples=resamples
                )
                blank = Figure("retrieval", kind, way, f"Recall@{cut}")
                note = f"pool of {len(pairs.rows)}; by chance {_chance(same, kind, cut):.3f}"
                figures.append(blank.measured(measured, note=note))
    return figures


def own_hits(scores: F64) -> F64:
    """(n, n), own in the diagonal -> (n, 11): chance that one's own is among the first 0..10.

    Ties are in random order: of t that tie with one's own and g above it, K - g places of t are
    left to draw.
    """
    own = np.diag(scores)[:, None]
    above = (scores > own).sum(axis=1)[:, None]
    tied = (scores == own).sum(axis=1)[:, None]
    cuts = np.arange(max(CUTS) + 1)
    return np.asarray(np.clip((cuts - above) / tied, 0, 1))


def first_hits(scores: F64, right: NDArray[np.bool_]) -> F64:
    """(n, n) and which are right -> (n, 11): 1 where any right one is among the first 0..10.

    Right ones that tie with wrong ones come last.
    """
    best = np.where(right, scores, -np.inf).max(axis=1)[:, None]
    above = ((scores >= best) & ~right).sum(axis=1)[:, None]
    return np.asarray(np.arange(max(CUTS) + 1) > above, np.float64)


def _same(pairs: Pairs) -> NDArray[np.bool_]:
    contents, texts = np.array(pairs.contents), np.array([t.casefold() for t in pairs.texts])
    return np.asarray((contents[:, None] == contents[None]) | (texts[:, None] == texts[None]), bool)


def _chance(same: NDArray[np.bool_], kind: str, cut: int) -> float:
    """Recall of a random order: 1 - chance that none of the right ones is among the first."""
    pool = len(same)
    right = same.sum(axis=1) if kind == SAME else np.ones(pool)
    missed = np.ones(pool)
    for drawn in range(min(cut, pool)):
        missed *= np.clip((pool - right - drawn) / (pool - drawn), 0, 1)
    return float((1 - missed).mean())
