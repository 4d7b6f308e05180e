"""`mammoserve-train variant`: a version in fewer bits, if it still agrees with its source."""

from pathlib import Path
from typing import Annotated

import typer

from model_store.cores import usable_cores
from training.variants.kind import Kind

app = typer.Typer()

SERIES, CALIBRATION_SERIES = 61, 62


@app.command()
def variant(
    model: Annotated[str, typer.Option(help="NAME or NAME/VERSION; without VERSION the newest.")],
    kind: Annotated[Kind, typer.Option(help="fp16 is for GPUs, int8 for CPUs.")],
    studies: Annotated[
        int, typer.Option(min=2, help="Phantom studies that agreement is measured on.")
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
    from training.data.phantom.rules import PhantomRules
    from training.data.phantom_canvases import Series, collect_canvases
    from training.variants.agreement import Bounds
    from training.variants.variant import CALIBRATION, make_variant

    name, _, number = model.partition("/")
    kept = ModelStore(store)
    try:
        source = kept.find(name, number or None)
        calibration, test = (
            collect_canvases(
                Series(seed, PhantomRules(), source.manifest.recipe),
                count,
                root=work / "canvases",
                processes=usable_cores(),
                say=typer.echo,
            )
            for seed, count in ((CALIBRATION_SERIES, CALIBRATION // 4), (SERIES, studies))
        )
        made = make_variant(
            kept,
            source,
            kind,
            calibration=calibration,
            test=test,
            data=f"phantoms, seed {SERIES}, {studies} studies",
            bounds=Bounds(),
            say=typer.echo,
        )
    except (StoreError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(f"published {made.key}: {made.path}")
