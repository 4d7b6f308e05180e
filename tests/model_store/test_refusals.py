"""docs/refusals.md and the two enums hold the same codes."""

import re
from pathlib import Path

from model_store.refusals import RefusalCode, WarningCode

DOCUMENT = Path(__file__).parents[2] / "docs" / "refusals.md"
ROW = re.compile(r"^\| `(\w+)` \| (.+) \| (.+) \|$", re.MULTILINE)


def documented() -> tuple[list[str], list[str]]:
    refusals, warnings = DOCUMENT.read_text().split("## Warnings")
    return [row[0] for row in ROW.findall(refusals)], [row[0] for row in ROW.findall(warnings)]


def test_every_refusal_is_documented_once_in_the_order_of_the_enum() -> None:
    assert documented()[0] == [code.value for code in RefusalCode]


def test_every_warning_is_documented_once_in_the_order_of_the_enum() -> None:
    assert documented()[1] == [code.value for code in WarningCode]
