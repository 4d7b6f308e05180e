"""`make bench`: every figure of DESIGN.md section 7 that this version reaches, measured in one run.

`python -m bench throughput render` runs only those named, `python -m bench towers:b2` one of them
with its argument. `device` and `pretraining` need a GPU, and run only where they are named.
"""

import importlib
import sys

from rich.console import Console
from rich.table import Table

PARTS = ("render", "decode", "uploads", "throughput", "responsiveness", "training", "towers")
ON_GPU = ("device", "pretraining")


def main() -> None:
    """Run the parts named on the command line, or all, and print one table each."""
    wanted = sys.argv[1:] or list(PARTS)
    unknown = sorted({one.partition(":")[0] for one in wanted} - {*PARTS, *ON_GPU})
    if unknown:
        raise SystemExit(
            f"no benchmark called {', '.join(unknown)}; there are {', '.join(PARTS + ON_GPU)}"
        )
    for one in wanted:
        name, _, argument = one.partition(":")
        module = importlib.import_module(f"bench.{name}")
        table = Table(
            "what", "value", "unit", "target", "note", title=(module.__doc__ or name).split("\n")[0]
        )
        for row in module.run(argument) if argument else module.run():
            table.add_row(row.name, f"{row.value:.3g}", row.unit, row.target, row.note)
        Console(width=140).print(table)


if __name__ == "__main__":
    main()
