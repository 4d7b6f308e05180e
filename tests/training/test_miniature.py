"""The paper in miniature: a configuration's results are its own."""

from pathlib import Path

import pytest

from training.alone import FolderInUse, alone_in
from training.miniature import MiniatureConfig, own_folder, run_miniature

SMALL = MiniatureConfig(train_studies=3, validation_studies=1, test_studies=1)


def test_towers_and_scores_lie_in_a_folder_of_their_configuration_alone(tmp_path: Path) -> None:
    longer = SMALL.model_copy(update={"epochs": SMALL.epochs + 1})
    assert own_folder(SMALL, tmp_path) != own_folder(longer, tmp_path)
    assert own_folder(SMALL, tmp_path) == own_folder(SMALL.model_copy(), tmp_path)
    assert own_folder(SMALL, tmp_path).parent == tmp_path


def test_a_folder_that_another_run_holds_is_refused(tmp_path: Path) -> None:
    with alone_in(tmp_path), pytest.raises(FolderInUse):
        run_miniature(SMALL, work=tmp_path, say=lambda _: None)
