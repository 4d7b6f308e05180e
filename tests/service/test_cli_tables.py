"""Answers on a terminal of 80 columns: every score can be read."""

import io
from typing import Any

from rich.console import Console

from service.cli_tables import MOST_IMAGES, print_study

FINDINGS = ("mass", "suspicious calcification", "architectural distortion", *map(str, range(6)))


def findings(first: int) -> list[dict[str, Any]]:
    return [
        {"name": name, "score": (first + i) / 1000, "positive": False, "calibrated": True}
        for i, name in enumerate(FINDINGS)
    ]


def image(number: int, status: str = "analyzed") -> dict[str, Any]:
    return {
        "file": f"{number}.dcm",
        "laterality": "L",
        "view": "MLO",
        "status": status,
        "code": None if status == "analyzed" else "truncated",
        "warnings": [],
        "findings": findings(100 + 10 * number) if status == "analyzed" else [],
    }


def printed(images: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    breasts = [
        {"laterality": side, "images": 2, "findings": findings(first)}
        for side, first in (("L", 700), ("R", 800))
    ]
    result = {
        "model": {"name": "m", "version": "1", "licence": "Apache-2.0", "restricted": False},
        "images": images,
        "breasts": breasts,
        "study": {"findings": findings(900)},
        "aggregation": {"views": "mean", "breasts": "max"},
        "warnings": [],
        "timing": {"total_ms": 1.0},
        "note": "Research use only.",
    }
    print_study(Console(file=out, width=80), result)
    return out.getvalue()


def test_nine_findings_of_four_views_are_not_cut() -> None:
    text = printed([image(number) for number in range(4)])
    for first in (100, 110, 120, 130, 700, 800, 900):
        for i in range(len(FINDINGS)):
            assert f"{(first + i) / 1000:.3f}" in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_file_that_was_refused_is_listed_with_its_code_and_has_no_column() -> None:
    text = printed([image(0), image(1, status="rejected")])
    assert "rejected: truncated" in text
    assert text.count("L MLO") == 3  # two files, one column


def test_of_many_images_breasts_and_study_are_shown_and_every_file_is_listed() -> None:
    text = printed([image(number) for number in range(MOST_IMAGES + 1)])
    assert f"{MOST_IMAGES}.dcm" in text
    assert "0.900" in text
    assert "0.100" not in text
    assert "…" not in text
