"""`mammoserve-train import`: a published checkpoint as a model version."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from model_store.manifest import Licence
    from model_store.store import ModelVersion

app = typer.Typer()
TOKENIZER = typer.Option(
    file_okay=False,
    help="Folder with tokenizer.json or vocab.txt; default: fetched from the model hub.",
)
MAY_BE_SERVED = typer.Option(
    "--may-be-served",
    help="The licence of --licence allows serving, whatever the family's own terms say.",
)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(dir_okay=False, help="The checkpoint, as published.")],
    name: Annotated[str, typer.Option(help="Of the model in the store, such as mammo-clip-b5.")],
    tokenizer: Annotated[Path | None, TOKENIZER] = None,
    prompts: Annotated[str, typer.Option(help="Prompt set of the findings.")] = "mammography",
    store: Annotated[Path, typer.Option("--store", help="Folder of the model versions.")] = Path(
        "build/models"
    ),
    licence: Annotated[
        str | None, typer.Option(help="Name of the licence; default: the family's own terms.")
    ] = None,
    terms: Annotated[
        str, typer.Option(help="Terms that go with --licence, in a sentence.")
    ] = "Not to be passed on.",
    may_be_served: Annotated[bool, MAY_BE_SERVED] = False,
) -> None:
    """Publish a Mammo-CLIP (B5, B2), Mammo-FM or own checkpoint as the next version of NAME.

    Only tensors and plain configuration are read of the file; nothing in it is run.
    """
    from model_store.store import ModelStore, StoreError
    from training.checkpoint.importing import import_checkpoint
    from training.export import ParityError

    try:
        version = import_checkpoint(
            file,
            name=name,
            tokenizer=tokenizer,
            prompts=prompts,
            store=ModelStore(store),
            licence=_given(licence, terms, may_be_served),
            say=typer.echo,
        )
    except (ValueError, OSError, RuntimeError, StoreError, ParityError) as error:
        raise typer.BadParameter(str(error)) from error
    _tell(version)


def _given(name: str | None, terms: str, may_be_served: bool) -> "Licence | None":
    from model_store.manifest import Licence

    if name is not None:
        return Licence(name=name, terms=terms, serving=may_be_served)
    if may_be_served:
        raise ValueError("--may-be-served goes with --licence: under which one may it be served?")
    return None


def _tell(version: "ModelVersion") -> None:
    typer.echo(f"published {version.key}: {version.path}")
    if not version.manifest.licence.serving:
        typer.echo(
            f"Its licence forbids serving ({version.manifest.licence.name}). Read its terms in "
            "MODEL_CARD.md; the service loads it with "
            f"MAMMO_ACCEPT_LICENCE={version.manifest.name}."
        )
