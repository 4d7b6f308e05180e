"""Figures as tables: the papers' own with our column beside the published ones, then all of ours.

A table is data; it becomes rich text for a terminal, Markdown for a file, HTML in report.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table as RichTable

from training.evaluate.figures import EVERYTHING, Figure, by_setting
from training.evaluate.published import TABLES, PublishedTable, Row

MISSING = "–"  # noqa: RUF001 - a dash, as tables have it
PARTS = {
    "zero-shot": "Zero-shot",
    "linear-probe": "Linear probe on mean features",
    "finetune": "Fine-tuning",
    "detect": "Detection by RetinaNet",
    "localisation": "Weakly supervised localisation",
    "retrieval": "Image-text retrieval",
}
LEARNED = ("linear-probe", "finetune", "detect")
OWN_COLUMNS = ("target", "setting", "metric", "value", "95 % interval", "n", "note")


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured on: `kind` as in --data, `words` for people; `phantoms`: nothing real."""

    kind: str
    words: str
    phantoms: bool
    preset: str = "quick"

    def comparable(self, dataset: str) -> bool:
        """Whether ours are figures of the data of a published table."""
        return self.kind == dataset and not self.phantoms


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as text, and what must be read with them."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def paper_tables(figures: Sequence[Figure], *, model: str, measured: Measured) -> tuple[Table, ...]:
    """Every published table that this data can stand beside; all of them beside phantoms."""
    return tuple(
        _beside(table, figures, model=model, measured=measured)
        for table in TABLES
        if measured.phantoms or measured.kind == table.dataset
    )


def _beside(
    table: PublishedTable, figures: Sequence[Figure], *, model: str, measured: Measured
) -> Table:
    ours = by_setting(figures)
    targets = list(dict.fromkeys(row.target for row in table.rows))
    notes = [f"Published: {table.source}; {table.how}.", *table.notes]
    rows = []
    for row in table.rows:
        figure = ours.get((row.target, row.setting, row.metric))
        rows.append((*_label(row, targets), *(short(v) for v in row.values), cell(figure)))
        if figure is not None and figure.value is None:
            notes.append(f"{row.target}, {row.setting}: no figure of ours: {figure.note}")
    parts = {row.part for row in table.rows}
    notes += [
        f"{PARTS.get(figure.part, figure.part)}: no figure of ours: {figure.note}"
        for figure in figures
        if figure.target == EVERYTHING and figure.part in parts
    ]
    head = ("target", "setting") if len(targets) > 1 else ("setting",)
    metrics = dict.fromkeys(row.metric for row in table.rows)
    return Table(
        title=table.title if len(metrics) > 1 else f"{table.title}, {next(iter(metrics))}",
        columns=(*head, *table.columns, f"{model} (ours)"),
        rows=tuple(rows),
        notes=(*_warnings(table, measured), *dict.fromkeys(notes)),
    )


def _label(row: Row, targets: Sequence[str]) -> tuple[str, ...]:
    setting = row.metric if row.setting == "Mammo-FActOR" else row.setting
    return (row.target, setting) if len(targets) > 1 else (setting,)


def _warnings(table: PublishedTable, measured: Measured) -> tuple[str, ...]:
    said = []
    if measured.phantoms:
        said.append(
            f"Not comparable: phantoms. Ours was measured on {measured.words}; the published "
            "columns on real mammograms."
        )
    elif not measured.comparable(table.dataset):
        said.append(f"Not comparable: ours was measured on {measured.words}.")
    learned = any(row.part in LEARNED for row in table.rows)
    if learned and measured.preset != "paper":
        said.append(f"What learns was trained by the {measured.preset} preset, not as published.")
    return tuple(said)


def own_tables(figures: Sequence[Figure]) -> tuple[Table, ...]:
    """All of our figures, a table a part, with intervals; those without a value say why."""
    parts = dict.fromkeys(figure.part for figure in figures)
    return tuple(
        Table(
            title=PARTS.get(part, part),
            columns=OWN_COLUMNS,
            rows=tuple(_own(figure) for figure in figures if figure.part == part),
            notes=("Intervals: 95 %, bootstrap by patient.",),
        )
        for part in parts
    )


def _own(figure: Figure) -> tuple[str, ...]:
    interval = MISSING
    if figure.low is not None and figure.high is not None:
        interval = f"{figure.low:.3f} to {figure.high:.3f}"
    value = MISSING if figure.value is None else f"{figure.value:.3f}"
    return (
        figure.target,
        figure.setting,
        figure.metric,
        value,
        interval,
        str(figure.n) if figure.n else MISSING,
        figure.note,
    )


def cell(figure: Figure | None) -> str:
    """Our figure in a paper's table: value and interval, if there is one, or a dash."""
    if figure is None or figure.value is None:
        return MISSING
    if figure.low is None or figure.high is None:
        return f"{short(figure.value)} (no interval)"
    return f"{short(figure.value)} ({short(figure.low)} to {short(figure.high)})"


def short(value: float | None) -> str:
    """Two digits as the papers print them: .62, 1.00."""
    if value is None:
        return MISSING
    text = f"{value:.2f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def as_rich(table: Table) -> RichTable:
    """For a terminal."""
    made = RichTable(
        title=table.title,
        caption="\n".join(table.notes),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for column in table.columns:
        made.add_column(column, overflow="fold")
    for row in table.rows:
        made.add_row(*row)
    return made


def as_markdown(tables: Iterable[Table]) -> str:
    """For a file."""
    return "\n".join(_markdown(table) for table in tables)


def _markdown(table: Table) -> str:
    lines = [f"### {table.title}", ""]
    lines.append(_line(table.columns))
    lines.append(_line(["---"] * len(table.columns)))
    lines += [_line(row) for row in table.rows]
    lines += ["", *(f"- {note}" for note in table.notes), ""]
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
