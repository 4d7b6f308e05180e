"""mammoserve-train: make the demo model, measure a model version, write phantoms as DICOM."""

import logging
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from model_store.store import ModelStore, StoreError

app = typer.Typer(help="Train and measure models. Research use only.", no_args_is_help=True)
evaluate_app = typer.Typer(help="Measure a published model version.", no_args_is_help=True)
app.add_typer(evaluate_app, name="evaluate")

MODELS = Path("model_store/models")
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
    from training.config import TrainConfig
    from training.demo import make_demo

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # it advertises
    chosen = TrainConfig.read(config) if config else TrainConfig.named("demo")
    try:
        version = make_demo(chosen, work=work, store=ModelStore(store), say=typer.echo)
    except StoreError as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(f"published {version.key}: {version.path}")


@evaluate_app.command("zero-shot")
def zero_shot(
    model: Annotated[str, typer.Option(help="Name of the model.")] = "mammo-demo",
    studies: Annotated[int, typer.Option(min=2, help="Phantom studies to measure on.")] = 200,
    seed: Annotated[int, typer.Option(help="Series of the phantoms: one never trained on.")] = 4,
    contrast: Annotated[float, typer.Option(help="Factor on every lesion's brightness.")] = 1.0,
    work: WorkOption = WORK,
    store: StoreOption = MODELS,
) -> None:
    """AUC of the manifest's findings on phantoms, with 95 % intervals by patient."""
    from training.data.phantom import PhantomRules
    from training.evaluate.phantoms import measure, metric_line

    try:
        version = ModelStore(store).find(model)
        rules = PhantomRules(contrast=contrast)
        metrics = measure(
            version, seed=seed, studies=studies, rules=rules, work=work, say=typer.echo
        )
    except (StoreError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    for metric in metrics:
        typer.echo(metric_line(metric))


@app.command()
def phantom(
    folder: Annotated[Path, typer.Argument(help="Where to write; made if missing.")],
    studies: Annotated[int, typer.Option(min=1)] = 1,
    seed: Annotated[int, typer.Option(help="Series; the same seed gives the same files.")] = 100,
) -> None:
    """Write phantom studies as DICOM: FOLDER/STUDY/L_CC.dcm and so on, and truth.json beside."""
    from training.data.phantom_files import write_studies

    for path in write_studies(folder, seed=seed, numbers=np.arange(studies).tolist()):
        typer.echo(str(path))
