"""mammoserve-train: make models, measure them, write phantoms as DICOM."""

import logging
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from model_store.store import ModelStore, StoreError
from training import cli_data, cli_evaluate, cli_factor, cli_import, cli_pretrain, cli_variant

app = typer.Typer(help="Train and measure models. Research use only.", no_args_is_help=True)
app.add_typer(cli_data.app, name="data")
app.add_typer(cli_evaluate.app, name="evaluate")
app.add_typer(cli_factor.app)  # factor
app.add_typer(cli_import.app)  # import
app.add_typer(cli_pretrain.app)  # pretrain
app.add_typer(cli_variant.app)  # variant

WORK, MADE = Path("build/demo"), Path("build/models")

StoreOption = Annotated[Path, typer.Option("--store", help="Folder of the model versions.")]
WorkOption = Annotated[Path, typer.Option("--work", help="Folder for canvases and checkpoints.")]


@app.command()
def demo(
    work: WorkOption = WORK,
    store: StoreOption = MADE,
    config: Annotated[
        Path | None, typer.Option(help="TOML file; default: training/configs/demo.toml.")
    ] = None,
) -> None:
    """Train, export, evaluate and publish the demo model. Killed runs go on where they were."""
    from training.demo import make_demo
    from training.demo_config import DemoConfig

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # it advertises
    chosen = DemoConfig.read(config) if config else DemoConfig.named("demo")
    try:
        version = make_demo(chosen, work=work, store=ModelStore(store), say=typer.echo)
    except StoreError as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(f"published {version.key}: {version.path}")


@app.command()
def phantom(
    folder: Annotated[Path, typer.Argument(help="Where to write; made if missing.")],
    studies: Annotated[int, typer.Option(min=1)] = 1,
    seed: Annotated[int, typer.Option(help="Series; the same seed gives the same files.")] = 100,
) -> None:
    """Write phantom studies as DICOM: FOLDER/STUDY/L_CC.dcm and so on, and truth.json beside."""
    from training.data.phantom.files import write_studies

    for path in write_studies(folder, seed=seed, numbers=np.arange(studies).tolist()):
        typer.echo(str(path))


@app.command()
def miniature(
    work: Annotated[
        Path, typer.Option("--work", help="Folder for canvases, towers and the result.")
    ] = Path("build/miniature"),
) -> None:
    """The paper's questions on phantoms: pretraining or not, labels beside texts, as a table.

    Killed runs go on where they were.
    """
    from training.alone import FolderInUse
    from training.miniature import MiniatureConfig, as_markdown, run_miniature

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # it advertises
    try:
        figures = run_miniature(MiniatureConfig(), work=work, say=typer.echo)
    except FolderInUse as error:
        raise typer.BadParameter(str(error), param_hint="--work") from error
    typer.echo(as_markdown(figures))
