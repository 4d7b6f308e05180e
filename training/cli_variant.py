"""`mammoserve-train variant`: a version in fewer bits, if it still agrees with its source."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model_store.cores import usable_cores
from training.variants.kind import Kind

if TYPE_CHECKING:
    from model_store.manifest import Recipe
    from training.data.canvas_set import CanvasSet

app = typer.Typer()

SERIES, CALIBRATION_SERIES = 61, 62
MIN_STUDIES = 3
"""Of 12 images one pair is 1.5 % of all: a single pair that changes rank is within the bound of
2 %. Of 8 images, two studies, it is 3.6 %: the bound would ask that none does."""


@app.command()
def variant(
    model: Annotated[str, typer.Option(help="NAME or NAME/VERSION; without VERSION the newest.")],
    kind: Annotated[Kind, typer.Option(help="fp16 is for GPUs, int8 for CPUs.")],
    studies: Annotated[
        int,
        typer.Option(min=MIN_STUDIES, help="Phantom studies that agreement is measured on."),
    ] = 50,
    work: Annotated[Path, typer.Option(help="Folder for canvases.")] = Path("build/variants"),
    store: Annotated[Path, typer.Option("--store", help="Folder of the model versions.")] = Path(
        "build/models"
    ),
) -> None:
    """Publish NAME-KIND beside its source, with a report of their agreement in its card.

    What loses more than the stated bounds is not published; the report is printed all the same.
    """
    from model_store.store import ModelStore, StoreError
    from training.variants.agreement import Bounds
    from training.variants.variant import CALIBRATION, check_source, make_variant

    name, _, number = model.partition("/")
    kept = ModelStore(store)
    try:
        source = kept.find(name, number or None)
        check_source(kept, source, kind)  # before minutes are spent on canvases
        recipe = source.manifest.recipe
        made = make_variant(
            kept,
            source,
            kind,
            calibration=_canvases(CALIBRATION_SERIES, CALIBRATION // 4, recipe, work=work),
            test=_canvases(SERIES, studies, recipe, work=work),
            data=f"phantoms, seed {SERIES}, {studies} studies",
            bounds=Bounds(),
            say=typer.echo,
        )
    except (StoreError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(f"published {made.key}: {made.path}")


def _canvases(seed: int, studies: int, recipe: "Recipe", *, work: Path) -> "CanvasSet":
    """The first studies of a series of phantoms, made where they are missing."""
    from training.data.phantom.rules import PhantomRules
    from training.data.phantom_canvases import Series, collect_canvases

    series = Series(seed, PhantomRules(), recipe)
    return collect_canvases(
        series, studies, root=work / "canvases", processes=usable_cores(), say=typer.echo
    )
