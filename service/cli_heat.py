"""`mammoserve heatmap` and `mammoserve ground`: where a sentence is grounded, through a service."""

import base64
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

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
from service.cli_classify import find_studies
from service.cli_tables import print_grounded, print_located
from service.client import Client, ClientError
from service.queue.embedded import EmbeddedServerError
from service.serving import ServingError

LONGEST_NAME = 80
FAULTS = (ServingError, EmbeddedServerError, ClientError)

Out = Annotated[Path, typer.Option(help="Folder for pictures and answers; made if missing.")]
Always = Annotated[bool, typer.Option("--always", help="Boxes and heat whatever the score says.")]
ReportFile = Annotated[Path, typer.Option(help="Text of the report, or - for standard input.")]


def heatmap(
    paths: Paths,
    out: Out,
    url: Url = None,
    model: Model = None,
    findings: Findings = None,
    prompts: Prompts = None,
    prompt: Prompt = None,
    always: Always = False,
) -> None:
    """Show where findings or sentences are grounded: an overlay each, and a JSON an image."""
    fields = asked_fields(model=model, findings=findings, prompts=prompts, prompt=prompt)
    fields |= {"include": "grid,overlay", "boxes": "always" if always else "present"}
    files = _files(paths)
    console, errors, refused = Console(), Console(stderr=True), 0
    try:
        out.mkdir(parents=True, exist_ok=True)
        with service_at(url) as address, Client(address) as client, progress_on(errors) as progress:
            for path in progress.track(files, description="images"):
                try:
                    answer = client.heatmap([path], names=[path.name], fields=fields)
                except ClientError as error:
                    refused += 1
                    errors.print(f"[red]{escape(path.name)}: {escape(_said(error))}[/red]")
                    continue
                for image in answer["images"]:
                    _write(out, image, answer)
                    print_located(console, image)
    except FAULTS as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{out} cannot be written ({error.strerror})")
    if refused:
        raise typer.Exit(1)


def ground(
    paths: Paths,
    report: ReportFile,
    as_json: AsJson = False,
    url: Url = None,
    model: Model = None,
) -> None:
    """Find each sentence of a report in the images of its study."""
    fields = asked_fields(model=model, findings=None, prompts=None, prompt=None)
    try:
        written = sys.stdin.buffer.read() if str(report) == "-" else report.read_bytes()
        fields["report"] = written.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        _fail(f"{report} cannot be read as UTF-8 text ({type(error).__name__})")
    files = _files(paths)
    names = [path.name for path in files]
    try:
        with service_at(url) as address, Client(address) as client:
            answer = client.ground(files, names=names, fields=fields)
    except FAULTS as error:
        _fail(_said(error))
    if as_json:
        typer.echo(json.dumps(answer))
    else:
        print_grounded(Console(), answer)


def _files(paths: Sequence[Path]) -> list[Path]:
    studies = find_studies(paths, one_study=True)
    if not studies:
        raise typer.BadParameter("there is no file in these folders")
    return list(studies[0].paths)


def _write(out: Path, image: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
    """FILE.json, and FILE.QUESTION.png for each question; the JSON names the pictures."""
    stem = _free(out, _plain(image["file"]), ".json")
    for row in image["heat_maps"]:
        name = _free(out, f"{stem}.{_plain(row['name'])}", ".png") + ".png"
        (out / name).write_bytes(base64.b64decode(row["overlay"].pop("png")))
        row["overlay"]["file"] = name
    said = {**answer, "images": [image]}
    (out / f"{stem}.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


def _plain(name: str) -> str:
    """A caller's own word as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:LONGEST_NAME] or "unnamed"


def _free(out: Path, stem: str, suffix: str) -> str:
    """The stem, with a number where a file of this name is there already."""
    number, name = 1, stem
    while (out / f"{name}{suffix}").exists():
        number += 1
        name = f"{stem}-{number}"
    return name


def _said(error: Exception) -> str:
    """The message, and each file's reason where there are any."""
    items = error.problem.get("errors", ()) if isinstance(error, ClientError) else ()
    reasons = [f"{one['file']}: {one.get('code', '')} {one['message']}" for one in items
               if "file" in one]  # fmt: skip
    return "; ".join([str(error), *reasons])


def _fail(message: str) -> NoReturn:
    Console(stderr=True, soft_wrap=True).print(f"[red]{escape(message)}[/red]")
    raise typer.Exit(1)
