"""An answer as tables on a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

BREASTS = {"L": "left breast", "R": "right breast", None: "side unknown"}


def print_study(console: Console, result: Mapping[str, Any]) -> None:
    """Scores by image, by breast and for the study."""
    names = [finding["name"] for finding in result["study"]["findings"]]
    model = result["model"]
    table = Table(title=f"{model['name']}/{model['version']}", title_justify="left")
    table.add_column("")
    table.add_column("file")
    for name in names:
        table.add_column(escape(name), justify="right")
    table.add_column("remarks")
    for image in result["images"]:
        _image_row(table, image, names)
    table.add_section()
    for breast in result["breasts"]:
        scores = _scores(breast, names)
        table.add_row(BREASTS[breast["laterality"]], f"{breast['images']} images", *scores, "")
    table.add_section()
    table.add_row("[bold]study[/bold]", "", *_scores(result["study"], names), "")
    console.print(table)
    _print_notes(console, result)


def _image_row(table: Table, image: Mapping[str, Any], names: list[str]) -> None:
    what = " ".join(part for part in (image["laterality"], image["view"]) if part)
    if image["status"] == "analyzed":
        remarks = escape(", ".join(image["warnings"]))
        table.add_row(what, escape(image["file"]), *_scores(image, names), remarks)
    else:
        remarks = f"[red]{image['status']}: {escape(image['code'] or '')}[/red]"
        table.add_row(what, escape(image["file"]), *["-"] * len(names), remarks)


def _scores(holder: Mapping[str, Any], names: list[str]) -> list[str]:
    found = {finding["name"]: finding for finding in holder["findings"]}
    return [_score(found[name]) if name in found else "-" for name in names]


def _score(finding: Mapping[str, Any]) -> str:
    shown = f"{finding['score']:.3f}"
    return f"[bold red]{shown}[/bold red]" if finding["positive"] else shown


def _print_notes(console: Console, result: Mapping[str, Any]) -> None:
    how = result["aggregation"]
    calibrated = all(finding["calibrated"] for finding in result["study"]["findings"])
    kind = "calibrated on the data of the model card" if calibrated else "fit for ranking only"
    console.print(
        f"Breast: {how['views']} of its views; study: {how['breasts']} of the breasts. "
        f"The scores are {kind}."
    )
    for warning in result["warnings"]:
        console.print(f"[yellow]warning: {warning}[/yellow]")
    timing = ", ".join(
        f"{stage.removesuffix('_ms')} {value:.0f} ms" for stage, value in result["timing"].items()
    )
    console.print(f"{timing}. {result['note']}")
