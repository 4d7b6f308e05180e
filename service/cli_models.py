"""`mammoserve models list | show | verify`: what is in the store, and whether it is whole.

Exit code 0: all is well; 1: something is missing, damaged or unreadable; 2: wrong usage.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from model_store.errors import CorruptModel, ModelNotFound, StoreError
from model_store.store import ModelStore, ModelVersion
from service.settings import default_models_dir

MIB = 1024 * 1024

models_app = typer.Typer(
    name="models", help="Models of the store: list, show, verify, pull.", no_args_is_help=True
)

Root = Annotated[
    Path,
    typer.Option(
        "--models",
        envvar="MAMMO_MODELS",
        default_factory=default_models_dir,
        show_default="model_store/models of the checkout",
        help="Folder of model versions.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout instead of a table.")]
Asked = Annotated[
    str | None, typer.Argument(metavar="[NAME[/VERSION]]", help="Default: the only model.")
]
AskedOrAll = Annotated[
    str | None, typer.Argument(metavar="[NAME[/VERSION]]", help="Default: every version.")
]


@models_app.command("list")
def list_models(root: Root, as_json: AsJson = False) -> None:
    """List every version with its size and licence."""
    rows = [_row(root, key) for key in _keys(ModelStore(root))]
    if as_json:
        _print_json(rows)
    else:
        _print_list(root, rows)
    if any("error" in row for row in rows):
        raise typer.Exit(1)


@models_app.command("show")
def show_model(root: Root, model: Asked = None, as_json: AsJson = False) -> None:
    """Show the manifest of a version; without VERSION, of the newest."""
    name, _, version = (model or "").partition("/")
    try:
        found = ModelStore(root).find(name or None, version or None)
    except StoreError as error:
        _fail(error, as_json=as_json)
    if as_json:
        _print_json({"digest": found.digest, "manifest": found.manifest.model_dump(mode="json")})
    else:
        _print_manifest(found)


@models_app.command("verify")
def verify_models(root: Root, model: AskedOrAll = None, as_json: AsJson = False) -> None:
    """Check every byte against the manifest, then run the golden inputs through the model."""
    store = ModelStore(root)
    try:
        keys = _asked_keys(store, model)
    except ModelNotFound as error:
        _fail(error, as_json=as_json)
    results = []
    for key in keys:
        result = _verify(store, key)
        results.append(result)
        if not as_json:
            _print_result(result)
    if as_json:
        _print_json(results)
    if not all(result["ok"] for result in results):
        raise typer.Exit(1)


def _keys(store: ModelStore, name: str | None = None) -> list[str]:
    """name/version of what is there, readable or not."""
    names = store.names() if name is None else [name]
    return [f"{one}/{version}" for one in names for version in store.versions(one)]


def _asked_keys(store: ModelStore, model: str | None) -> list[str]:
    """The versions that the argument means. Raises ModelNotFound where there is none."""
    if model is None:
        keys = known = _keys(store)
    else:
        name, _, version = model.partition("/")
        known = _keys(store, name) or store.names()
        keys = [key for key in _keys(store, name) if not version or key == model]
    if not keys:
        raise ModelNotFound(repr(model) if model else "to verify", known)
    return keys


def _row(root: Path, key: str) -> dict[str, Any]:
    name, _, number = key.partition("/")
    try:
        version = ModelStore(root).find(name, number)
        size = sum(version.file(file).stat().st_size for file in version.manifest.files)
    except (StoreError, OSError) as error:
        return {"name": name, "version": number, "error": _reason(error)}
    manifest = version.manifest
    return {
        "name": name,
        "version": number,
        "digest": version.digest,
        "family": manifest.family,
        "licence": manifest.licence.name,
        "serving": manifest.licence.serving,
        "findings": [finding.name for finding in manifest.findings],
        "bytes": size,
    }


def _verify(store: ModelStore, key: str) -> dict[str, Any]:
    from model_store.runtime import ModelRuntime  # here: the API process needs no onnxruntime

    name, _, number = key.partition("/")
    try:
        version = store.find(name, number)
        # the licence is a matter of serving; whether the files are whole may always be asked
        ModelRuntime.load(version, threads=0, accept_licences=frozenset({name}))
    except CorruptModel as error:
        return {
            "model": key,
            "ok": False,
            "file": error.file,
            "expected": error.expected,
            "got": error.got,
            "error": str(error),
        }
    except (StoreError, OSError) as error:
        return {"model": key, "ok": False, "error": _reason(error)}
    files = len(version.manifest.files)
    return {"model": key, "ok": True, "digest": version.digest, "files": files, "golden": True}


def _reason(error: StoreError | OSError) -> str:
    if isinstance(error, OSError):
        return f"{Path(str(error.filename)).name}: {error.strerror}"
    return str(error)


def _fail(error: StoreError, *, as_json: bool) -> NoReturn:
    if as_json:
        _print_json({"error": str(error)})
    else:
        Console(stderr=True, soft_wrap=True).print(f"[red]{escape(str(error))}[/red]")
    raise typer.Exit(1)


def _print_json(content: object) -> None:
    typer.echo(json.dumps(content, indent=2))


def _print_list(root: Path, rows: list[dict[str, Any]]) -> None:
    console = Console()
    if not rows:
        console.print(f"no models below {escape(str(root))}", soft_wrap=True)
        return
    table = Table("model", "size, MiB", "licence", "findings", "digest")
    for row in rows:
        key = f"{row['name']}/{row['version']}"
        if "error" in row:
            table.add_row(key, "", "", f"[red]{escape(row['error'])}[/red]", "")
            continue
        licence = escape(row["licence"]) + ("" if row["serving"] else " [red](no serving)[/red]")
        size = f"{row['bytes'] / MIB:.1f}"
        table.add_row(key, size, licence, ", ".join(row["findings"]), row["digest"][:12])
    console.print(table)


def _print_result(result: dict[str, Any]) -> None:
    console = Console(soft_wrap=True)
    if result["ok"]:
        console.print(
            f"[green]ok[/green]  {result['model']}  {result['files']} files and the manifest by "
            f"sha256, golden check passed, digest {result['digest'][:12]}"
        )
    else:
        console.print(f"[red]bad[/red] {escape(result['error'])}")


def _print_manifest(version: ModelVersion) -> None:
    console = Console()
    facts = Table("", Column(overflow="fold"), title=version.key, show_header=False)
    for label, value in _facts(version):
        facts.add_row(label, escape(value))
    console.print(facts)
    findings = Table("finding", "positive", "negative", "calibrated", "threshold")
    for finding in version.manifest.findings:
        findings.add_row(
            finding.name,
            escape("; ".join(finding.positive)),
            escape("; ".join(finding.negative)),
            "yes" if finding.calibration else "no",
            "" if finding.threshold is None else f"{finding.threshold:.3f}",
        )
    console.print(findings)
    if version.manifest.metrics:
        metrics = Table("metric", "value", "95 % interval", "n", "data")
        for metric in version.manifest.metrics:
            value = f"{metric.value:.3f}"
            metrics.add_row(escape(metric.name), value, metric.interval, str(metric.n), metric.data)
        console.print(metrics)


def _only_accepted(name: str) -> str:
    return f"only when the operator accepts its terms: MAMMO_ACCEPT_LICENCE={name}"


def _facts(version: ModelVersion) -> Iterator[tuple[str, str]]:
    manifest = version.manifest
    recipe, licence = manifest.recipe, manifest.licence
    yield "description", manifest.description
    yield "family", manifest.family
    yield "digest", version.digest
    yield "recipe", f"{recipe.name}, {recipe.height_px} x {recipe.width_px} px"
    yield "embedding", f"{manifest.embedding_size} numbers"
    yield "licence", f"{licence.name}: {licence.terms}"
    yield "may be served", "yes" if licence.serving else _only_accepted(manifest.name)
    yield (
        "aggregation",
        f"{manifest.aggregation.views} of views, {manifest.aggregation.breasts} of breasts",
    )
    yield "default negative", "; ".join(manifest.default_negative)
    for key, value in manifest.made_by.items():
        yield f"made by: {key}", str(value)
