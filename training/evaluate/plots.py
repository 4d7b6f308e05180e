"""Figures as PNG: ROC curves, calibration, data efficiency, boxes on canvases; no display."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Drawing
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import roc_curve

from model_store.arrays import F32, U8
from training.data.records import Box
from training.evaluate.figures import Figure
from training.evaluate.metrics import ECE_BINS

F64 = NDArray[np.float64]
DOTS = 110  # per inch
TRUTH, FOUND = "#2ca02c", "#ff7f0e"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
"""Okabe and Ito's, told apart by colour-blind readers too."""


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """A canvas with true boxes and found ones, best first; heat (h, w) lies over the canvas."""

    title: str
    canvas: U8
    truths: tuple[Box, ...]
    found: tuple[Box, ...]
    heat: F32 | None = None


def roc_png(path: Path, curves: Mapping[str, tuple[ArrayLike, ArrayLike]], *, title: str) -> None:
    """A curve a finding, by (labels, scores)."""
    drawing, axes = _axes(title, "1 - specificity", "sensitivity")
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1)
    for colour, (name, (labels, scores)) in zip(_colours(len(curves)), curves.items(), strict=True):
        false_rate, true_rate, _ = roc_curve(np.asarray(labels, bool), np.asarray(scores))
        axes.plot(false_rate, true_rate, label=name, color=colour)
    axes.set_aspect("equal")
    axes.legend(fontsize=8, loc="lower right")
    _save(drawing, path)


def calibration_png(
    path: Path, curves: Mapping[str, tuple[ArrayLike, ArrayLike]], *, title: str
) -> None:
    """Mean probability against the share that has the finding, 15 equal-mass bins."""
    drawing, axes = _axes(title, "score", "share with the finding")
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1)
    for colour, (name, (labels, scores)) in zip(_colours(len(curves)), curves.items(), strict=True):
        mean, share = reliability(labels, scores)
        axes.plot(mean, share, marker="o", markersize=3, label=name, color=colour)
    axes.set_aspect("equal")
    axes.legend(fontsize=8, loc="upper left")
    _save(drawing, path)


def reliability(labels: ArrayLike, scores: ArrayLike, *, bins: int = ECE_BINS) -> tuple[F64, F64]:
    """Mean score and share of positives of each of `bins` groups of equal size, rising."""
    p, truth = np.asarray(scores, np.float64), np.asarray(labels, np.float64)
    groups = [g for g in np.array_split(np.argsort(p, kind="stable"), bins) if len(g)]
    return np.array([p[g].mean() for g in groups]), np.array([truth[g].mean() for g in groups])


def efficiency_png(path: Path, figures: Sequence[Figure], *, title: str) -> None:
    """Value against the share of the labels, a line for each target and way ("LP", "FT")."""
    drawing, axes = _axes(title, "labels, %", "AUC or accuracy")
    lines = efficiency_lines(figures)
    for colour, (name, points) in zip(_colours(len(lines)), lines.items(), strict=True):
        share, value, low, high = np.array(points).T
        errors = np.clip([value - low, high - value], 0, None)
        axes.errorbar(share, value, yerr=errors, marker="o", capsize=3, label=name, color=colour)
    axes.set_xticks(sorted({point[0] for points in lines.values() for point in points}))
    axes.legend(fontsize=8)
    _save(drawing, path)


def efficiency_lines(
    figures: Sequence[Figure],
) -> dict[str, list[tuple[float, float, float, float]]]:
    """(percent, value, low, high) by "target, LP" and the like; NaN: no interval to be drawn."""
    lines: dict[str, list[tuple[float, float, float, float]]] = {}
    for figure in figures:
        way, _, percent = figure.setting.partition(" ")
        if figure.value is None:
            continue
        low, high = (np.nan if end is None else end for end in (figure.low, figure.high))
        point = (float(percent.rstrip("%")), figure.value, low, high)
        lines.setdefault(f"{figure.target}, {way}", []).append(point)
    return {name: sorted(points) for name, points in lines.items()}


def overlays_png(path: Path, overlays: Sequence[Overlay], *, columns: int = 3) -> None:
    """Canvases side by side: true boxes green, found ones orange, the best with a full line."""
    columns = min(columns, len(overlays))
    rows = -(-len(overlays) // columns)
    drawing = Drawing(figsize=(3.2 * columns, 4.8 * rows), dpi=DOTS, layout="constrained")
    FigureCanvasAgg(drawing)
    for number, overlay in enumerate(overlays):
        axes = drawing.add_subplot(rows, columns, number + 1)
        height, width = overlay.canvas.shape
        extent = (0, width, height, 0)
        axes.imshow(overlay.canvas, cmap="gray", extent=extent, aspect="auto")
        if overlay.heat is not None and overlay.heat.max() > 0:
            heat = overlay.heat / overlay.heat.max()
            axes.imshow(heat, cmap="inferno", alpha=0.6 * heat, extent=extent, aspect="auto")
        for box in overlay.truths:
            axes.add_patch(_rectangle(box, TRUTH, "-"))
        for rank, box in enumerate(overlay.found):
            axes.add_patch(_rectangle(box, FOUND, "--" if rank else "-"))
        axes.set_title(overlay.title, fontsize=8)
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        axes.set_axis_off()
    _save(drawing, path)


def _rectangle(box: Box, colour: str, style: str) -> Rectangle:
    return Rectangle(
        (box.left, box.top),
        box.right - box.left,
        box.bottom - box.top,
        fill=False,
        edgecolor=colour,
        linestyle=style,
        linewidth=1.4,
    )


def _axes(title: str, x: str, y: str) -> tuple[Drawing, Axes]:
    drawing = Drawing(figsize=(5.2, 5.0), dpi=DOTS, layout="constrained")
    FigureCanvasAgg(drawing)
    axes = drawing.add_subplot()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(visible=True, color="#eeeeee")
    return drawing, axes


def _colours(count: int) -> list[str]:
    return [COLOURS[number % len(COLOURS)] for number in range(count)]


def _save(drawing: Drawing, path: Path) -> None:
    """Whole or not at all, and the same bytes for the same content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    drawing.savefig(partial, format="png", metadata={"Software": None})
    partial.rename(path)
