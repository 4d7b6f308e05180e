"""What the commands that ask a service share: their options, the service, the progress bar."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from service import logs
from service.cli_settings import settings_or_exit
from service.serving import Serving, ServingError

READY_S = 120.0

Paths = Annotated[list[Path], typer.Argument(exists=True, help="DICOM files, zips or folders.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON answer a line on stdout.")]
Url = Annotated[
    str | None, typer.Option(help="A running service. Without: one is started for this command.")
]
Model = Annotated[str | None, typer.Option(help="NAME or NAME/VERSION.")]
Findings = Annotated[str | None, typer.Option(help="Comma-separated; default: all of the model.")]
Prompts = Annotated[str | None, typer.Option(help="Sentences as JSON, as in the API: '[\"...\"]'.")]
Prompt = Annotated[list[str] | None, typer.Option(help="One sentence; may be repeated.")]


def asked_fields(
    *,
    model: str | None,
    findings: str | None,
    prompts: str | None,
    prompt: Sequence[str] | None,
) -> dict[str, str]:
    """The form fields of what is asked; those that were not given are left out."""
    if prompts is not None and prompt:
        raise typer.BadParameter("give --prompts or --prompt, not both")
    asked = {"model": model, "findings": findings, "prompts": prompts}
    if prompt:
        asked["prompts"] = json.dumps(list(prompt))
    return {name: value for name, value in asked.items() if value is not None}


@contextmanager
def service_at(url: str | None) -> Iterator[str]:
    """The address of a ready service: the one that was named, or a private one."""
    if url is not None:
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="mammoserve-") as folder:
        settings = settings_or_exit(port=0, data=Path(folder), log_level="error")
        logs.configure(settings)
        with Serving(settings) as serving:
            if not serving.wait_ready(READY_S):
                raise ServingError("the service did not become ready; try `mammoserve serve`")
            yield serving.url


def progress_on(console: Console) -> Progress:
    """On standard error, and only where somebody sees it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal)
