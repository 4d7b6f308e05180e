"""report.html: everything measured, in one file that needs no other and runs no script."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from training.evaluate.tables import Measured, Table

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 72rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { padding: .25rem .7rem; text-align: left; border-bottom: 1px solid #ddd;
  vertical-align: top; font-variant-numeric: tabular-nums; }
th { border-bottom: 2px solid #888; } td:last-child { max-width: 26rem; }
.ours td:last-child { background: #eef4fb; white-space: nowrap; }
ul.notes { color: #555; font-size: .85rem; padding-left: 1.1rem; }
.warning { background: #fff3cd; border-left: 4px solid #d9a400; padding: .5rem 1rem; }
figure { display: inline-block; margin: .5rem 1rem .5rem 0; max-width: 100%; }
img { max-width: 100%; height: auto; } figcaption { font-size: .85rem; color: #555; }
dl { display: grid; grid-template-columns: max-content auto; gap: .1rem 1rem; }
dt { color: #555; } dd { margin: 0; overflow-wrap: anywhere; }
"""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
PHANTOMS = (
    "Measured on synthetic images. No figure here says anything about real mammograms, and none "
    "can be compared with a published one."
)


def write_report(
    path: Path,
    *,
    model: str,
    measured: Measured,
    about: Mapping[str, object],
    beside: Sequence[Table],
    own: Sequence[Table],
    images: Mapping[str, Path],
    warnings: Sequence[str] = (),
) -> None:
    """`beside`: the papers' tables with our column; `images`: captions and PNG files."""
    above = (*warnings, PHANTOMS) if measured.phantoms else warnings
    title = f"Evaluation of {model}"
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<p>Measured on {escape(measured.words)}. Research use only; not for diagnosis.</p>",
        *(f'<p class="warning">{escape(warning)}</p>' for warning in above),
        "<h2>Beside the published figures</h2>",
        *(_table(table, kind="ours") for table in beside),
        "<h2>All figures</h2>",
        *(_table(table, kind="own") for table in own),
        "<h2>Pictures</h2>" if images else "",
        *(_figure(caption, file) for caption, file in images.items()),
        "<h2>How</h2>",
        _facts(about),
    ]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>"
    )
    page = f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n'
    page += "\n".join(body) + "\n</body></html>\n"
    partial = path.with_suffix(".part")
    partial.write_text(page, encoding="utf-8")
    partial.rename(path)


def _table(table: Table, *, kind: str) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n"
        for row in table.rows
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
    return (
        f'<h3>{escape(table.title)}</h3>\n<table class="{kind}"><thead><tr>{head}</tr></thead>'
        f'<tbody>\n{rows}</tbody></table>\n<ul class="notes">{notes}</ul>'
    )


def _figure(caption: str, file: Path) -> str:
    data = base64.b64encode(file.read_bytes()).decode()
    words = escape(caption)
    return (
        f'<figure><img alt="{words}" src="data:image/png;base64,{data}">'
        f"<figcaption>{words}</figcaption></figure>"
    )


def _facts(about: Mapping[str, object]) -> str:
    rows = "".join(
        f"<dt>{escape(str(key))}</dt><dd>{escape(str(value))}</dd>" for key, value in about.items()
    )
    return f"<dl>{rows}</dl>"
