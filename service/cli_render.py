"""`mammoserve render FILE -o canvas.png`: what a model sees of a DICOM file."""

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer
from PIL import Image
from rich.console import Console
from rich.markup import escape

from model_store.dicom_input import Limits
from model_store.errors import StoreError
from model_store.manifest import Recipe
from model_store.refusals import Refused
from model_store.store import ModelStore
from service.cli_settings import settings_or_exit
from service.decode_pool import DecodedImage, DecodePool, DecodePoolError
from service.settings import MIB, Settings

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A DICOM file.")]
Output = Annotated[Path, typer.Option("--output", "-o", dir_okay=False, help="PNG to write.")]
RecipeName = Annotated[
    Literal["mammo-clip"] | None, typer.Option("--recipe", help="Recipe by name.")
]
ModelName = Annotated[
    str | None, typer.Option("--model", help="The recipe of this model, NAME or NAME/VERSION.")
]


def render(file: File, output: Output, recipe: RecipeName = None, model: ModelName = None) -> None:
    """Write the canvas of a DICOM file as PNG; exit code 1 where it is refused."""
    if recipe is not None and model is not None:
        raise typer.BadParameter("give --recipe or --model, not both")
    errors = Console(stderr=True, soft_wrap=True)
    settings = settings_or_exit()
    try:
        wanted = _recipe_of(settings, model) if model else Recipe.model_validate({})
        decoded = asyncio.run(_decoded(settings, file.absolute(), wanted))
    except (Refused, StoreError, DecodePoolError) as error:
        errors.print(f"[red]{escape(str(error))}[/red]")
        raise typer.Exit(1) from error
    pixels = np.frombuffer(decoded.canvas, dtype=np.uint8).reshape(decoded.shape)
    try:
        Image.fromarray(pixels).save(output, format="PNG")
    except OSError as error:
        errors.print(f"[red]{escape(str(output))} cannot be written ({error.strerror})[/red]")
        raise typer.Exit(1) from error
    for code in decoded.warnings:
        errors.print(f"[yellow]warning: {code.value}[/yellow]")


def _recipe_of(settings: Settings, model: str) -> Recipe:
    name, _, version = model.partition("/")
    return ModelStore(settings.models).find(name, version or None).manifest.recipe


async def _decoded(settings: Settings, file: Path, recipe: Recipe) -> DecodedImage:
    pool = DecodePool(1, settings.decode_memory_mb, settings.decode_timeout_s)
    async with pool:
        limits = Limits(max_file_bytes=settings.max_file_mb * MIB)
        return await pool.render(file, recipe, limits)
