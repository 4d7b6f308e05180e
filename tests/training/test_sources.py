"""The data of a run: who is trained on, and where that is written down."""

from pathlib import Path

import numpy as np
import pytest

from tests.training.evaluate.tables import write_tables
from tests.training.pretrain_factory import silent, small_run
from training.config import DataSource, PretrainConfig
from training.data.canvas_set import CanvasSet
from training.data.records import Split
from training.sources import index_folder, open_pairs, prepare


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tables(tmp_path_factory.mktemp("tables"), patients=12)


def run_on(tables: Path, folder: Path, **changes: object) -> PretrainConfig:
    source = DataSource(kind="vindr", table=str(tables), images=str(tables))
    return small_run(folder, **{"data": (source,), **changes})


def splits(canvases: CanvasSet) -> dict[str, Split | None]:
    return {record.image.study: record.image.split for record in canvases.records}


def launched_by_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")


def test_a_run_s_seed_moves_nobody_between_splits_and_the_split_seed_does(
    tables: Path, tmp_path: Path
) -> None:
    def split(**changes: object) -> dict[str, Split | None]:
        config = run_on(tables, tmp_path, **changes)
        return splits(prepare(config.data[0], config, root=tmp_path / "canvases", say=silent))

    assert split(seed=1) == split(seed=2) == split(split_seed=0)
    assert set(split(seed=1).values()) >= {Split.TRAIN, Split.TEST}
    assert any(split(split_seed=seed) != split() for seed in (1, 2, 3))


def test_another_run_s_preparation_of_a_set_of_the_same_name_changes_nothing_under_torchrun(
    tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = run_on(tables, tmp_path / "ours")
    other = run_on(write_tables(tmp_path / "other", patients=4), tmp_path / "ours", split_seed=3)
    root = tmp_path / "canvases"
    made = prepare(ours.data[0], ours, root=root, say=silent)
    alone = open_pairs(ours, root=root, say=silent)
    prepare(other.data[0], other, root=root, say=silent)
    resplit = ours.model_copy(update={"split_seed": 3})
    prepare(resplit.data[0], resplit, root=root, say=silent)
    launched_by_torchrun(monkeypatch)
    assert CanvasSet.read(index_folder(ours.data[0], ours, root=root)) == made
    said: list[str] = []
    launched = open_pairs(ours, root=root, say=said.append)
    assert len(launched) == len(alone)
    np.testing.assert_array_equal(launched[0].images[0], alone[0].images[0])


def test_more_phantoms_of_a_series_do_not_become_another_run_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(studies: int) -> PretrainConfig:
        return small_run(tmp_path, data=(DataSource(kind="phantom", studies=studies),))

    root = tmp_path / "canvases"
    for config in (run(1), run(2)):
        prepare(config.data[0], config, root=root, say=silent)
    launched_by_torchrun(monkeypatch)
    said: list[str] = []
    open_pairs(run(1), root=root, say=said.append)
    assert said == ["phantom: 2 breasts to train on"]


def test_canvases_that_were_not_prepared_are_asked_for(
    tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched_by_torchrun(monkeypatch)
    with pytest.raises(FileNotFoundError, match=r"no canvases of vindr .* --prepare"):
        open_pairs(run_on(tables, tmp_path), root=tmp_path / "canvases", say=silent)
