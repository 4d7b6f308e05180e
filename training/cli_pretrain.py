"""mammoserve-train pretrain: Mammo-CLIP on a site's own images and reports, or on public sets."""

import logging
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

app = typer.Typer(no_args_is_help=True)


@app.command()
def pretrain(
    config: Annotated[
        str, typer.Argument(help="TOML file, or one of ours: mammo_clip_b5, mammo_clip_b2, ...")
    ],
    work: Annotated[
        Path, typer.Option("--work", help="Folder for canvases, checkpoints and the result.")
    ] = Path("build/pretrain"),
    prepare: Annotated[
        bool, typer.Option("--prepare", help="Only make the canvases, for a run under torchrun.")
    ] = False,
) -> None:
    """Pretrain Mammo-CLIP. Killed runs go on where they were; under torchrun, on many machines."""
    from training import sources
    from training.alone import alone_in
    from training.config import PretrainConfig
    from training.pretrain import pretrain as run
    from training.run import AnotherRun

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # it advertises
    try:
        named = config.endswith(".toml")
        chosen = PretrainConfig.read(Path(config)) if named else PretrainConfig.named(config)
        if prepare:
            with alone_in(work):
                for source in chosen.data:
                    made = sources.prepare(source, chosen, root=work / "canvases", say=typer.echo)
                    typer.echo(f"{source.set_name}: {len(made)} canvases in {made.folder}")
        else:
            run(chosen, work=work, say=typer.echo)
    except (ValidationError, ValueError, FileNotFoundError, AnotherRun) as error:
        raise typer.BadParameter(str(error)) from error


@app.command()
def publish(
    config: Annotated[str, typer.Argument(help="The configuration that the run was made with.")],
    work: Annotated[Path, typer.Option("--work", help="Of the run.")] = Path("build/pretrain"),
    store: Annotated[Path, typer.Option("--store", help="Folder of the model versions.")] = Path(
        "build/models"
    ),
    licence: Annotated[str, typer.Option(help="Name of the licence of your weights.")] = "private",
    terms: Annotated[str, typer.Option(help="Its terms, in a sentence.")] = "Not to be passed on.",
    prompts: Annotated[str, typer.Option(help="Prompt set of the findings.")] = "mammography",
    half: Annotated[
        bool, typer.Option("--half", help="Weights as float16: half the size on disk.")
    ] = False,
) -> None:
    """Export a finished run to ONNX, check it against torch, and publish it as a model version."""
    from model_store.manifest import Licence
    from model_store.store import ModelStore, StoreError
    from training.config import PretrainConfig
    from training.export import ParityError
    from training.publish import publish_run
    from training.run import AnotherRun

    try:
        named = config.endswith(".toml")
        chosen = PretrainConfig.read(Path(config)) if named else PretrainConfig.named(config)
        version = publish_run(
            chosen,
            work=work,
            store=ModelStore(store),
            licence=Licence(name=licence, terms=terms),
            prompts=prompts,
            half_weights=half,
            say=typer.echo,
        )
    except (ValueError, FileNotFoundError, AnotherRun, StoreError, ParityError) as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(f"published {version.key}: {version.path}")
