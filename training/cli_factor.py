"""mammoserve-train factor: Mammo-FActOR for a published version, published as its next one."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from model_store.cores import usable_cores
from model_store.manifest import Recipe
from model_store.store import ModelStore, StoreError
from training.data.canvas_set import CanvasSet
from training.data.records import Split

app = typer.Typer(no_args_is_help=True)

MODELS, WORK = Path("model_store/models"), Path("build/factor")


@app.command()
def factor(
    model: Annotated[str, typer.Option(help="NAME or NAME/VERSION; without VERSION the newest.")],
    canvases: Annotated[
        Path | None,
        typer.Option(help="Folder of canvases with index.jsonl; default: phantoms are drawn."),
    ] = None,
    studies: Annotated[int, typer.Option(min=2, help="Phantom studies, four views each.")] = 200,
    seed: Annotated[int, typer.Option(help="Series of the phantoms.")] = 1,
    config: Annotated[
        Path | None, typer.Option(help="TOML file of FactorConfig's keys; default: its defaults.")
    ] = None,
    work: Annotated[Path, typer.Option(help="Folder for features and checkpoints.")] = WORK,
    store: Annotated[Path, typer.Option(help="Folder of the model versions.")] = MODELS,
) -> None:
    """Learn heat maps on the version's own features and publish it as the next version.

    The image and text towers stay as they are, so any version will do, an imported one too. Images
    of validation and test splits are left out. A killed run goes on where it was.
    """
    from training.factor import FactorConfig
    from training.factor_stage import publish_factor

    try:
        chosen = FactorConfig.read(config) if config else FactorConfig()
        kept = ModelStore(store)
        name, _, number = model.partition("/")
        version = kept.find(name, number or None)
        images = _canvases(canvases, version.manifest.recipe, studies=studies, seed=seed, work=work)
        made = publish_factor(kept, version, images, chosen, work=work, say=typer.echo)
    except (StoreError, ValidationError, ValueError, FileNotFoundError) as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(f"published {made.key}: {made.path}")


def _canvases(
    folder: Path | None, recipe: Recipe, *, studies: int, seed: int, work: Path
) -> CanvasSet:
    """The folder's images to train on, or phantoms of the series."""
    if folder is not None:
        return CanvasSet.read(folder).where(lambda image: image.split in (None, Split.TRAIN))
    from training.data.phantom.rules import PhantomRules
    from training.data.phantom_canvases import Series, collect_canvases

    series = Series(seed, PhantomRules(), recipe)
    root, processes = work / "canvases", usable_cores()
    return collect_canvases(series, studies, root=root, processes=processes, say=typer.echo)
