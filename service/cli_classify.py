"""`mammoserve classify PATH...`: scores of files and folders, through a service.

A folder that holds files is one study, and each folder below it one more; files named on the
command line are one study together. --one-study makes one of everything.
"""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from service.cli_asking import (
    AsJson,
    Findings,
    Model,
    Paths,
    Prompt,
    Prompts,
    Url,
    asked_fields,
    progress_on,
    service_at,
)
from service.cli_tables import print_study
from service.client import Client, ClientError
from service.queue.embedded import EmbeddedServerError
from service.serving import ServingError

AT_ONCE = 4

OneStudy = Annotated[bool, typer.Option("--one-study", help="Everything given is one study.")]


@dataclass(frozen=True, slots=True)
class Study:
    """Files that go into one request, and what each is called in the answer."""

    paths: tuple[Path, ...]
    names: tuple[str, ...]


def classify(
    paths: Paths,
    as_json: AsJson = False,
    url: Url = None,
    model: Model = None,
    findings: Findings = None,
    prompts: Prompts = None,
    prompt: Prompt = None,
    one_study: OneStudy = False,
) -> None:
    """Score files and folders; exit code 1 where a study got no answer."""
    fields = asked_fields(model=model, findings=findings, prompts=prompts, prompt=prompt)
    studies = find_studies(paths, one_study=one_study)
    if not studies:
        raise typer.BadParameter("there is no file in these folders")
    try:
        with service_at(url) as address:
            failed = _run(address, studies, fields, as_json=as_json)
    except (ServingError, EmbeddedServerError, ClientError) as error:
        Console(stderr=True).print(f"[red]{escape(str(error))}[/red]")
        raise typer.Exit(1) from error
    if failed:
        raise typer.Exit(1)


def find_studies(paths: Sequence[Path], *, one_study: bool) -> list[Study]:
    """Files grouped as the module says; hidden files and folders are left out."""
    named = [path for path in paths if path.is_file()]
    groups: list[list[Path]] = [named] if named else []
    for folder in [path for path in paths if path.is_dir()]:
        groups += [files for files in _folders(folder) if files]
    if one_study and groups:
        groups = [[path for group in groups for path in group]]
    return [Study(tuple(group), tuple(path.name for path in group)) for group in groups]


def _folders(folder: Path) -> Iterator[list[Path]]:
    """The files of a folder, then those of each folder below it."""
    visible = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    yield [path for path in visible if path.is_file()]
    for below in visible:
        if below.is_dir() and not below.is_symlink():
            yield from _folders(below)


def _run(
    url: str, studies: Sequence[Study], fields: dict[str, str], *, as_json: bool
) -> list[Study]:
    """Print each answer as it comes; gives the studies that got none."""
    failed: list[Study] = []
    console, errors = Console(), Console(stderr=True)
    with (
        progress_on(errors) as progress,
        Client(url) as client,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        task = progress.add_task("studies", total=len(studies))
        running = {
            pool.submit(client.classify, study.paths, names=study.names, fields=fields): study
            for study in studies
        }
        for done in as_completed(running):
            progress.advance(task)
            try:
                _show(console, done.result(), as_json=as_json)
            except ClientError as error:
                failed.append(running[done])
                _show_error(errors, running[done], error, as_json=as_json)
    return failed


def _show(console: Console, result: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result))
    else:
        print_study(console, result)


def _show_error(errors: Console, study: Study, error: ClientError, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(error.problem or {"detail": str(error)}))
        return
    folder = study.paths[0].parent
    errors.print(f"[red]{escape(str(folder))}: {escape(str(error))}[/red]")
    for item in error.problem.get("errors", ()):
        if "file" in item:
            said = f"{item['file']}: {item.get('code', '')} {item['message']}"
            errors.print(f"  {escape(said)}")
