"""mammoserve-train data: look at tables of images before training on them; phantoms as tables."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from training.data.phantom_tables import Schema
from training.data.splits import SPLIT_SEED

app = typer.Typer(help="Tables of images and reports.", no_args_is_help=True)


@app.command()
def check(
    kind: Annotated[str, typer.Argument(help="vindr, rsna, embed or reports.")],
    table: Annotated[Path, typer.Argument(help="Folder (vindr, embed) or CSV file.")],
    images: Annotated[
        Path | None, typer.Option(help="Root of the images: tells how many are there.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of splits that the data does not bring.")] = SPLIT_SEED,
) -> None:
    """Read a table as training would, and tell what is in it."""
    from training.data.image_files import is_there
    from training.data.readers import READERS
    from training.data.tables import BadTable

    if kind not in READERS:
        raise typer.BadParameter(f"expected one of {', '.join(READERS)}, got {kind!r}")
    try:
        records = READERS[kind](table, seed=seed, say=typer.echo)
    except BadTable as error:
        raise typer.BadParameter(str(error)) from error
    counts: dict[str, Counter[str]] = {
        "split": Counter(str(record.split) for record in records),
        "view": Counter(record.view for record in records),
        "density": Counter(str(record.density) for record in records),
        "finding": Counter(c.value for r in records for f in r.findings for c in f.categories),
        "label": Counter(name for r in records for name, so in r.labels.items() if so),
    }
    for name, counter in counts.items():
        for value, count in sorted(counter.items()):
            typer.echo(f"{name} {value}: {count}")
    if images is not None:
        found = sum(is_there(images, record.path) for record in records)
        typer.echo(f"{found} of {len(records)} images are below {images}")


@app.command()
def phantoms(
    folder: Annotated[Path, typer.Argument(help="Where the files go, 9 MB an image.")],
    schema: Annotated[Schema, typer.Option(help="Whose tables are written.")] = Schema.VINDR,
    seed: Annotated[int, typer.Option(help="Of the series of phantoms.")] = 1,
    studies: Annotated[int, typer.Option(min=1, help="Four images each.")] = 20,
) -> None:
    """Write phantoms as DICOM with the tables of VinDr-Mammo or RSNA."""
    from model_store.cores import usable_cores
    from training.data.phantom_tables import PhantomTables, write_phantom_tables

    tables = PhantomTables(schema, seed=seed, studies=studies)
    made = write_phantom_tables(folder, tables, processes=usable_cores(), say=typer.echo)
    typer.echo(f"{len(made)} images and their tables in {folder}")
