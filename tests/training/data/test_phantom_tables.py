"""Phantoms in the schemas of real data take the real data's way: tables, files, canvases, pairs."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from model_store.manifest import Recipe
from training.cli_data import app
from training.data.canvas_cache import cache_canvases
from training.data.facts import UNKNOWN, facts_of
from training.data.pair_texts import Texts
from training.data.pairs import BreastPairs, collate_pairs
from training.data.phantom_tables import PhantomTables, Schema, write_phantom_tables
from training.data.records import ImageRecord, Split
from training.data.rsna import read_rsna
from training.data.splits import SplitShares
from training.data.vindr import read_vindr

SILENT = list[str]().append
SEED = 3
Drawn = tuple[Path, tuple[ImageRecord, ...]]


@pytest.fixture(scope="module")
def vindr(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """One study, all of it for testing."""
    folder = tmp_path_factory.mktemp("vindr")
    shares = SplitShares(validation=0, test=0.999)
    tables = PhantomTables(Schema.VINDR, seed=SEED, studies=1, shares=shares)
    return folder, write_phantom_tables(folder, tables, processes=1, say=SILENT)


@pytest.fixture(scope="module")
def rsna(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same study in the other schema, by the command."""
    folder = tmp_path_factory.mktemp("rsna")
    options = ["--schema", "rsna", "--studies", "1", "--seed", str(SEED)]
    written = CliRunner().invoke(app, ["phantoms", str(folder), *options])
    assert written.exit_code == 0, written.output
    return folder


def test_a_phantom_read_as_vindr_is_the_phantom(vindr: Drawn) -> None:
    folder, records = vindr
    read = read_vindr(folder, say=SILENT)
    assert any(record.findings for record in read)
    assert [record.image for record in read] == [record.image for record in records]
    for before, after in zip(records, read, strict=True):
        assert (after.density, after.birads, after.split) == (
            before.density,
            before.birads,
            Split.TEST,
        )
        assert [f.box for f in after.findings] == [f.box for f in before.findings]
        drawn, told = facts_of(before)[:10], facts_of(after)[:10]
        known = drawn != UNKNOWN
        np.testing.assert_array_equal(told[known], drawn[known])


def test_a_phantom_read_as_rsna_keeps_its_malignancy(vindr: Drawn, rsna: Path) -> None:
    read = read_rsna(rsna / "train.csv", say=SILENT)
    assert [r.labels["malignancy"] for r in read] == [r.labels["malignancy"] for r in vindr[1]]


def test_its_canvases_are_the_same_in_either_schema_and_make_pairs(
    vindr: Drawn, rsna: Path, tmp_path: Path
) -> None:
    recipe = Recipe(height_px=152, width_px=96)
    sets = [
        cache_canvases(
            records,
            name=name,
            root=root,
            cache=tmp_path,
            recipe=recipe,
            processes=1,
            say=SILENT,
        )
        for name, root, records in (
            ("vindr", vindr[0], read_vindr(vindr[0], say=SILENT)),
            ("rsna", rsna, read_rsna(rsna / "train.csv", say=SILENT)),
        )
    ]
    assert [r.file for r in sets[0].records] == [r.file for r in sets[1].records]
    pairs = BreastPairs(sets[0], texts=Texts.LABELS, seed=[1], rules=None)
    batch = collate_pairs([pairs[0], pairs[1]])
    assert batch.images1.shape == (2, 152, 96)
    assert {tuple(side) for side in [batch.facts[:, 12]]} == {(0, 1)}


def test_the_command_tells_what_is_in_a_table(rsna: Path) -> None:
    options = ["check", "rsna", str(rsna / "train.csv"), "--images", str(rsna)]
    checked = CliRunner().invoke(app, options)
    assert checked.exit_code == 0, checked.output
    for line in ("RSNA: 4 images", "view CC: 2", "4 of 4 images are below"):
        assert line in checked.output


def test_the_command_says_what_is_wrong_with_a_table(tmp_path: Path) -> None:
    table = tmp_path / "train.csv"
    table.write_text("patient_id,image_id\n1,2\n")
    run = CliRunner().invoke
    refused = run(app, ["check", "rsna", str(table)])
    assert refused.exit_code == 2
    assert "laterality" in refused.output
    assert run(app, ["check", "csv", str(table)]).exit_code == 2
    assert run(app, ["check", "rsna", str(tmp_path / "gone.csv")]).exit_code == 2
