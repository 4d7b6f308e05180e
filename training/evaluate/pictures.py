"""Pictures of an evaluation: curves of the zero-shot answers, and boxes on canvases."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.data.canvas_set import CanvasRecord, CanvasSet
from training.data.records import Box
from training.evaluate.average_precision import Found
from training.evaluate.cases import image_truth
from training.evaluate.evaluation import Evaluation
from training.evaluate.localise import Look, Looks
from training.evaluate.plots import Overlay, calibration_png, overlays_png, roc_png
from training.evaluate.zero_shot import Answers

BOXES = 3  # found boxes that are drawn on an image


def draw_zero_shot(evaluation: Evaluation, answers: Answers) -> None:
    """ROC of every measurable finding, and calibration of the main ones."""
    level = answers.image
    known = {finding: level.known[finding] for finding in level.measurable()}
    if not known:
        return
    name = evaluation.runtime.version.key
    roc_png(
        evaluation.plot("zero-shot-roc"),
        {f: (level.labels[f][kept], level.order[f][kept]) for f, kept in known.items()},
        title=f"{name}: zero-shot, images",
    )
    calibration_png(
        evaluation.plot("zero-shot-calibration"),
        {f: (level.labels[f][kept], level.scores[f][kept]) for f, kept in known.items()},
        title=f"{name}: calibration, images",
    )


def draw_looks(evaluation: Evaluation, canvases: CanvasSet, looks: Looks) -> None:
    """The first images with a box of the finding, a picture a method and finding."""
    for (method, finding), seen in looks.items():
        asked = [r for r in canvases.records if image_truth(r.image, finding) is not None]
        pairs = list(zip(asked, seen, strict=True))
        chosen = [pair for pair in pairs if pair[1].truths][: evaluation.config.overlays]
        if chosen:
            name = f"{method} {finding}".lower().replace(" ", "-")
            overlays_png(
                evaluation.plot(f"localisation-{name}"),
                [_look_overlay(canvases, record, look) for record, look in chosen],
            )


def _look_overlay(canvases: CanvasSet, record: CanvasRecord, look: Look) -> Overlay:
    return Overlay(
        title=_title(record),
        canvas=np.asarray(canvases.canvas(record)),
        truths=look.truths,
        found=tuple(Box(*found.box) for found in look.boxes[:BOXES]),
    )


def draw_found(
    evaluation: Evaluation,
    name: str,
    records: Sequence[CanvasRecord],
    found: Sequence[Found],
) -> None:
    """The first images with a lesion; boxes are of a square of `config.detect.size_px`."""
    pairs = [pair for pair in zip(records, found, strict=True) if len(pair[1].truths)]
    overlays = []
    for record, one in pairs[: evaluation.config.overlays]:
        canvas = np.asarray(evaluation.canvases.canvas(record))
        scale = np.array([*canvas.shape, *canvas.shape]) / evaluation.config.detect.size_px
        best = np.argsort(-one.scores, kind="stable")[:BOXES]
        overlays.append(
            Overlay(
                title=_title(record),
                canvas=canvas,
                truths=_boxes(one.truths * scale),
                found=_boxes(one.boxes[best] * scale),
            )
        )
    if overlays:
        overlays_png(evaluation.plot(name), overlays)


def _boxes(edges: NDArray[np.float64]) -> tuple[Box, ...]:
    return tuple(Box(*row) for row in edges.tolist())


def _title(record: CanvasRecord) -> str:
    return f"{record.image.laterality} {record.image.view}"
