"""Runs the parts of an evaluation, keeps what is done, and writes tables, pictures and a report."""

from collections.abc import Callable, Sequence
from pathlib import Path

from training.evaluate.evaluation import PLOTS, Evaluation
from training.evaluate.figures import EVERYTHING, Figure, flat, read_figures, write_figures
from training.evaluate.learned_parts import detect_part, finetune_part
from training.evaluate.parts import localise_part, probe_part, retrieval_part, zero_shot_part
from training.evaluate.report import write_report
from training.evaluate.tables import Table, as_markdown, own_tables, paper_tables
from training.evaluate.tasks import NothingToMeasure
from training.models.from_version import NoTower

RESULTS, REPORT, TABLES = "results.json", "report.html", "tables.md"
PARTS: dict[str, Callable[[Evaluation], list[Figure]]] = {
    "zero-shot": zero_shot_part,
    "linear-probe": probe_part,
    "retrieval": retrieval_part,
    "localisation": localise_part,
    "finetune": finetune_part,
    "detect": detect_part,
}
"""In the order of what they cost."""


def run_parts(evaluation: Evaluation, names: Sequence[str]) -> tuple[Table, ...]:
    """Run those that are not done; results.json after each, then tables.md and report.html.

    A part that cannot run on this data or with this version stands in the tables with the reason.
    Returns the papers' tables with our column, then our own, of all that is done.
    """
    evaluation.out.mkdir(parents=True, exist_ok=True)
    results = evaluation.out / RESULTS
    about = evaluation.about()
    for warning in evaluation.warnings:
        evaluation.say(f"WARNING: {warning}")
    done = read_figures(results, about=about)
    if not done:
        for picture in pictures(evaluation.out / PLOTS).values():
            picture.unlink()  # of another run in this folder
    for name in names:
        if name in done:
            evaluation.say(f"{name}: done before, read from {results}")
            continue
        evaluation.say(f"{name}: begins")
        try:
            done[name] = PARTS[name](evaluation)
        except (NothingToMeasure, NoTower) as error:
            evaluation.say(f"{name}: not measured: {error}")
            done[name] = [Figure(name, EVERYTHING, "", "").missing(str(error))]
        write_figures(results, dict(done), about=about)
    return write_tables(evaluation, {name: done[name] for name in PARTS if name in done})


def write_tables(evaluation: Evaluation, done: dict[str, Sequence[Figure]]) -> tuple[Table, ...]:
    """tables.md and report.html of what is done."""
    figures = flat(done)
    model = evaluation.runtime.version.key
    beside = paper_tables(figures, model=model, measured=evaluation.measured)
    own = own_tables(figures)
    text = f"# {model} on {evaluation.measured.words}\n\n"
    text += "".join(f"**Warning: {warning}**\n\n" for warning in evaluation.warnings)
    text += as_markdown((*beside, *own))
    (evaluation.out / TABLES).write_text(text, encoding="utf-8")
    write_report(
        evaluation.out / REPORT,
        model=model,
        measured=evaluation.measured,
        about=evaluation.about(),
        beside=beside,
        own=own,
        images=pictures(evaluation.out / PLOTS),
        warnings=evaluation.warnings,
    )
    return (*beside, *own)


def pictures(folder: Path) -> dict[str, Path]:
    """Captions and files of a run's pictures, by name."""
    return {path.stem.replace("-", " "): path for path in sorted(folder.glob("*.png"))}
