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
    _print_licence(console, result["model"])
    for warning in result["warnings"]:
        console.print(f"[yellow]warning: {warning}[/yellow]")
    timing = ", ".join(
        f"{stage.removesuffix('_ms')} {value:.0f} ms" for stage, value in result["timing"].items()
    )
    console.print(f"{timing}. {result['note']}")


def _print_licence(console: Console, model: Mapping[str, Any]) -> None:
    """That the licence binds who uses the answer: told wherever the model was opened by a word."""
    if model["restricted"]:
        name = escape(model["licence"])
        console.print(
            f"[yellow]The model's licence, {name}, forbids serving; it was loaded because its "
            "terms are accepted.[/yellow]"
        )


def print_located(console: Console, image: Mapping[str, Any]) -> None:
    """One image's questions: score, whether present, and its boxes in stored pixels."""
    table = Table(title=escape(image["file"]), title_justify="left")
    for heading in ("question", "score", "present", "boxes: columns, rows"):
        table.add_column(heading)
    for row in image["heat_maps"]:
        boxes = "; ".join(_box(box["pixels"]) for box in row["boxes"])
        table.add_row(escape(row["name"]), f"{row['score']:.3f}", _yes(row["present"]), boxes)
    if image["status"] != "analyzed":
        table.add_row(f"[red]{image['status']}: {escape(image['code'] or '')}[/red]", "", "", "")
    console.print(table)


def print_grounded(console: Console, result: Mapping[str, Any]) -> None:
    """Each sentence of a report with the image that answers to it best."""
    table = Table(title="sentences", title_justify="left")
    for heading in ("section", "sentence", "best image", "score", "present", "boxes"):
        table.add_column(heading)
    for sentence in result["sentences"]:
        told = escape(sentence["section"] or ""), escape(sentence["text"])
        if sentence["not_grounded"]:
            table.add_row(*told, f"[red]{escape(sentence['not_grounded'])}[/red]", "", "", "")
            continue
        best = next(one for one in sentence["images"] if one["image"] == sentence["best_image"])
        table.add_row(
            *told,
            escape(result["images"][best["image"]]["file"]),
            f"{best['score']:.3f}",
            _yes(best["present"]),
            "; ".join(_box(box["pixels"]) for box in best["boxes"]),
        )
    console.print(table)
    _print_licence(console, result["model"])
    console.print(f"Scores are not calibrated: they rank the images. {result['note']}")


def _box(pixels: Mapping[str, float]) -> str:
    columns = f"{pixels['left_column']:.0f}-{pixels['right_column']:.0f}"
    return f"{columns}, {pixels['top_row']:.0f}-{pixels['bottom_row']:.0f}"


def _yes(present: bool) -> str:
    return "yes" if present else "no"
