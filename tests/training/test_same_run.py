"""A run is known by its settings, and another is refused with what differs."""

from pathlib import Path

import pytest

from tests.training.pretrain_factory import small_run
from training.config import AugmentConfig
from training.run import AnotherRun
from training.same_run import check_same_run

WHERE = Path("work")


def test_what_differs_is_named_with_both_values(tmp_path: Path) -> None:
    was = small_run(tmp_path)
    now = small_run(tmp_path, learning_rate=2e-3, augment=AugmentConfig(affine=0.1))
    with pytest.raises(
        AnotherRun,
        match=r"work holds a run of another configuration: augment\.affine was 0\.5 and is 0\.1, "
        r"learning_rate was 0\.001 and is 0\.002; give this one another --work",
    ):
        check_same_run(was.settings(), now.settings(), where=WHERE)
    with pytest.raises(AnotherRun, match=r"augment was not there and is None, augment\.affine was"):
        check_same_run(was.settings(), small_run(tmp_path, augment=None).settings(), where=WHERE)


def test_a_run_that_does_not_say_what_it_was_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnotherRun, match="the run in work does not say what it was configured as"):
        check_same_run(None, small_run(tmp_path).settings(), where=WHERE)


def test_what_changes_no_weight_is_not_compared(tmp_path: Path) -> None:
    was = small_run(tmp_path)
    now = small_run(tmp_path, threads=3, workers=2, say_every=1, save_every=1)
    assert now.run_digest == was.run_digest != now.digest
    check_same_run(was.settings(), now.settings(), where=WHERE)
