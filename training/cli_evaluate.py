"""mammoserve-train evaluate: the papers' evaluations of a published version, a command each."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model_store.store import ModelStore, StoreError

if TYPE_CHECKING:
    from training.evaluate.opened import DataOptions
    from training.evaluate.start import Choice

MODELS = Path("model_store/models")
OUT = Path("build/evaluate")
WIDTH = 200  # columns of a table where there is no terminal
COMMANDS = {
    "zero-shot": (
        ("zero-shot",),
        "AUC and calibration error of the model's findings, and density accuracy.",
    ),
    "linear-probe": (
        ("linear-probe",),
        "Logistic regression on frozen features at 10, 50 and 100 % of the labels.",
    ),
    "finetune": (
        ("finetune",),
        "The whole tower trained on 10, 50 and 100 % of the labels.",
    ),
    "detect": (("detect",), "RetinaNet on the tower, frozen and fine-tuned: mAP at IoU 0.5."),
    "localise": (
        ("localisation",),
        "Mammo-FActOR beside Grad-CAM: IoU at 0.25 and 0.5, pointing game, mAP.",
    ),
    "retrieval": (("retrieval",), "Recall of reports by images and of images by reports."),
    "all": (
        ("zero-shot", "linear-probe", "retrieval", "localisation", "finetune", "detect"),
        "Every evaluation, and the papers' tables with our column. A killed run goes on.",
    ),
}
app = typer.Typer(
    help="Measure a published model version beside the published figures. Research use only.",
    no_args_is_help=True,
)
evaluate_app = app

Model = Annotated[str, typer.Option(help="Name of the model, or NAME/VERSION.")]
Data = Annotated[str, typer.Option(help="phantoms, vindr, rsna, embed or reports.")]
Csv = Annotated[Path | None, typer.Option(help="Table; of vindr and embed the folder of both.")]
Images = Annotated[Path | None, typer.Option(help="Folder that the table's images lie below.")]
Out = Annotated[Path, typer.Option(help="Results go below, to MODEL-VERSION/DATA.")]
Studies = Annotated[int, typer.Option(min=4, help="Phantom studies, all splits together.")]
Series = Annotated[int, typer.Option(help="Seed of the phantoms: one never trained on.")]
Contrast = Annotated[float, typer.Option(min=0.01, help="Factor on every phantom lesion.")]
Preset = Annotated[str, typer.Option(help="quick (minutes on 2 cores) or paper (wants a GPU).")]
Seed = Annotated[int | None, typer.Option(help="Of subsets, fits and resamples, not of splits.")]
SplitSeed = Annotated[
    int | None, typer.Option(help="Of splits the table lacks; default: the model's own.")
]
Threads = Annotated[int, typer.Option(min=0, help="Threads; 0 = all cores.")]
Accept = Annotated[
    list[str] | None, typer.Option(help="Model whose licence terms you have read and accept.")
]
Store = Annotated[Path, typer.Option("--store", help="Folder of the model versions.")]


def _command(parts: tuple[str, ...]) -> Callable[..., None]:
    def command(
        model: Model = "mammo-demo",
        data: Data = "phantoms",
        csv: Csv = None,
        images: Images = None,
        out: Out = OUT,
        studies: Studies = 200,
        series: Series = 77,
        contrast: Contrast = 1.0,
        preset: Preset = "quick",
        seed: Seed = None,
        split_seed: SplitSeed = None,
        threads: Threads = 0,
        accept_licence: Accept = None,
        store: Store = MODELS,
    ) -> None:
        from training.data.phantom.rules import PhantomRules
        from training.evaluate.opened import DataOptions
        from training.evaluate.start import Choice

        options = DataOptions(
            kind=data,
            work=out / "canvases",
            csv=csv,
            images=images,
            series=series,
            studies=studies,
            rules=PhantomRules(contrast=contrast),
        )
        accepted = frozenset(accept_licence or ())
        choice = Choice(
            model, ModelStore(store), preset, seed, threads, accepted, split_seed=split_seed
        )
        _run(choice, options, out=out, parts=parts)

    return command


def _run(choice: "Choice", options: "DataOptions", *, out: Path, parts: tuple[str, ...]) -> None:
    from rich.console import Console

    from training.alone import FolderInUse, alone_in
    from training.data.tables import BadTable
    from training.evaluate.opened import BadData
    from training.evaluate.run import REPORT, run_parts
    from training.evaluate.start import start
    from training.evaluate.tables import as_rich

    try:
        with alone_in(out):
            evaluation = start(choice, options, out=out, say=typer.echo)
            tables = run_parts(evaluation, parts)
    except (StoreError, BadData, BadTable, FileNotFoundError, FolderInUse) as error:
        raise typer.BadParameter(str(error)) from error
    terminal = Console()
    console = terminal if terminal.is_terminal else Console(width=WIDTH)
    for table in tables:
        console.print(as_rich(table))
    for warning in evaluation.warnings:
        typer.echo(f"WARNING: {warning}")
    typer.echo(f"written: {evaluation.out / REPORT}")


for _name, (_parts, _help) in COMMANDS.items():
    app.command(_name, help=_help)(_command(_parts))
