"""Tables: ours beside the published, and honest about what cannot be compared."""

import json
from pathlib import Path

import pytest

from training.evaluate.figures import EVERYTHING, Figure, flat, read_figures, write_figures
from training.evaluate.metrics import Interval
from training.evaluate.published import COLUMNS, TABLES
from training.evaluate.tables import (
    MISSING,
    Measured,
    as_markdown,
    as_rich,
    cell,
    own_tables,
    paper_tables,
    short,
)

VINDR = Measured("vindr", "VinDr-Mammo, 20000 of 20000 images", phantoms=False, preset="paper")
PHANTOMS = Measured("phantoms", "phantoms, seed 77", phantoms=True)
MASS = Figure("linear-probe", "mass", "LP 10%", "AUC").measured(
    Interval(0.7512, 0.7049, 0.7951, 400), note="40 images"
)


def test_our_figure_stands_beside_the_published_ones_of_the_same_protocol() -> None:
    tables = {t.title: t for t in paper_tables([MASS], model="ours/1", measured=VINDR)}
    mass = tables["VinDr-Mammo, mass, AUC"]
    assert mass.columns == ("setting", *COLUMNS, "ours/1 (ours)")
    row = next(row for row in mass.rows if row[0] == "LP 10%")
    assert row == ("LP 10%", ".34", ".52", ".69", ".73", ".80", ".81", ".75 (.70 to .80)")
    other = next(row for row in mass.rows if row[0] == "LP 50%")
    assert other[-1] == MISSING


def test_real_data_stand_beside_their_own_tables_alone_and_without_a_warning() -> None:
    tables = paper_tables([MASS], model="ours/1", measured=VINDR)
    assert all("VinDr" in table.title for table in tables)
    assert not any("Not comparable" in note for table in tables for note in table.notes)
    assert any("pixels" in note for note in tables[0].notes)


def test_phantoms_stand_beside_all_of_them_and_are_called_what_they_are() -> None:
    tables = paper_tables([MASS], model="ours/1", measured=PHANTOMS)
    assert len(tables) == len(TABLES)
    for table in tables:
        assert table.notes[0].startswith("Not comparable: phantoms.")
        learns = any(row[0].startswith(("LP", "FT")) or "FT 10%" in row for row in table.rows)
        assert any("the quick preset" in note for note in table.notes) is learns


def test_a_figure_that_is_missing_says_why_below_its_table() -> None:
    why = Figure("finetune", "mass", "FT 100%", "AUC").missing("the validation split is empty")
    tables = {t.title: t for t in paper_tables([why], model="m", measured=VINDR)}
    notes = tables["VinDr-Mammo, mass, AUC"].notes
    assert "mass, FT 100%: no figure of ours: the validation split is empty" in notes


def test_a_part_that_could_not_run_says_so_below_the_tables_it_would_fill() -> None:
    failed = Figure("finetune", EVERYTHING, "", "").missing("there is no torch tower")
    tables = {t.title: t for t in paper_tables([failed], model="m", measured=VINDR)}
    note = "Fine-tuning: no figure of ours: there is no torch tower"
    assert note in tables["VinDr-Mammo, density, accuracy"].notes
    assert all(note not in t.notes for title, t in tables.items() if "detection" in title)


def test_classification_and_detection_figures_of_one_setting_are_kept_apart() -> None:
    found = Figure("detect", "mass", "FT 100%", "mAP@0.5, positive images").measured(
        Interval(0.31, 0.2, 0.4, 50)
    )
    tables = {t.title: t for t in paper_tables([found], model="m", measured=VINDR)}
    classified = next(r for r in tables["VinDr-Mammo, mass, AUC"].rows if r[0] == "FT 100%")
    assert classified[-1] == MISSING
    detection = next(t for title, t in tables.items() if "detection" in title)
    row = next(r for r in detection.rows if r[:2] == ("mass", "FT 100%"))
    assert row[-1] == ".31 (.20 to .40)"


def test_every_published_row_has_a_figure_a_column() -> None:
    for table in TABLES:
        assert table.rows
        for row in table.rows:
            assert len(row.values) == len(table.columns)
            assert all(value is None or 0 <= value <= 1 for value in row.values)


@pytest.mark.parametrize(
    ("key", "setting", "column", "value"),
    [
        ("vindr-calcification", "LP 100%", "Mammo-CLIP B5 (UPMC)", 0.94),
        ("vindr-mass", "FT 100%", "Mammo-CLIP B5 (UPMC+VinDr)", 0.88),
        ("vindr-density", "zero-shot", "CLIP RN50", 0.04),
        ("rsna-malignancy", "LP 100%", "Mammo-CLIP B5 (UPMC+EMBED)", 0.85),
        ("mammo-fm-rsna", "zero-shot", "Mammo-FM", 0.75),
    ],
)
def test_figures_known_by_heart_stand_where_they_belong(
    key: str, setting: str, column: str, value: float
) -> None:
    table = next(table for table in TABLES if table.key == key)
    row = next(row for row in table.rows if row.setting == setting)
    assert row.values[table.columns.index(column)] == value


def test_numbers_are_printed_as_the_papers_print_them() -> None:
    assert [short(v) for v in (0.624, 1.0, 0.0, -0.05, None)] == [
        ".62",
        "1.00",
        ".00",
        "-.05",
        MISSING,
    ]
    assert cell(None) == MISSING


def test_all_our_figures_are_listed_with_interval_n_and_note() -> None:
    missing = Figure("retrieval", "own report", "image to report", "Recall@1").missing("no reports")
    tables = own_tables([MASS, missing])
    assert [table.title for table in tables] == [
        "Linear probe on mean features",
        "Image-text retrieval",
    ]
    assert tables[0].rows[0] == (
        "mass",
        "LP 10%",
        "AUC",
        "0.751",
        "0.705 to 0.795",
        "400",
        "40 images",
    )
    assert tables[1].rows[0][-1] == "no reports"
    text = as_markdown(tables)
    assert "| mass | LP 10% | AUC | 0.751 | 0.705 to 0.795 | 400 | 40 images |" in text
    assert as_rich(tables[0]).row_count == 1


def test_a_figure_of_one_patient_stands_in_every_table_without_an_interval(
    tmp_path: Path,
) -> None:
    alone = Figure("linear-probe", "mass", "LP 10%", "AUC").measured(
        Interval(0.7512, None, None, 6), note="40 images"
    )
    (own,) = own_tables([alone])
    assert own.rows[0][3:] == (
        "0.751",
        MISSING,
        "6",
        "40 images; too few patients for an interval",
    )
    assert cell(alone) == ".75 (no interval)"
    path = tmp_path / "results.json"
    write_figures(path, {"linear-probe": [alone]}, about={})
    assert read_figures(path, about={}) == {"linear-probe": [alone]}


def test_results_are_read_back_only_by_the_same_run(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    about = {"model": "ours/1", "seed": 10}
    assert read_figures(path, about=about) == {}
    write_figures(path, {"linear-probe": [MASS]}, about=about)
    assert read_figures(path, about=about) == {"linear-probe": [MASS]}
    assert read_figures(path, about={**about, "seed": 11}) == {}
    assert flat(read_figures(path, about=about)) == [MASS]
    assert json.loads(path.read_text())["parts"]["linear-probe"][0]["value"] == 0.7512
