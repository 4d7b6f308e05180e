"""Splits: by patient, the same everywhere and for good."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.data.canvas_sets import image
from training.data.records import ImageRecord, Split
from training.data.splits import (
    OneSplit,
    SplitShares,
    cut_validation,
    position,
    split_by_patient,
)
from training.data.tables import BadTable, Row

SHARES = SplitShares(validation=0.1, test=0.2)
DRAW = """
from training.data.splits import SplitShares, split_of
print([split_of(str(n), seed=3, shares=SplitShares(0.2, 0.2)).value for n in range(200)])
"""


def women(numbers: range) -> list[ImageRecord]:
    return [image(f"p{n}", side, view) for n in numbers for side in "LR" for view in ("CC", "MLO")]


def splits(records: tuple[ImageRecord, ...]) -> dict[str, set[Split | None]]:
    found: dict[str, set[Split | None]] = {}
    for record in records:
        found.setdefault(record.patient, set()).add(record.split)
    return found


def test_no_patient_is_in_two_splits() -> None:
    records = split_by_patient(women(range(500)), seed=1, shares=SHARES)
    assert all(len(found) == 1 for found in splits(records).values())


def test_a_patient_in_two_splits_is_refused_on_the_row_that_says_so() -> None:
    one, other, same = women(range(1))[:3]
    table = OneSplit()
    for line, record in enumerate((one, same), start=2):
        row = Row(Path("t.csv"), line, {"split": "train"})
        table.check(row, replace(record, split=Split.TRAIN), column="split")
    message = (
        "t.csv, line 4, column 'split': expected each patient in one split, and p0 is in train by "
        "line 2, got 'TEST'; put all of a patient's images in one"
    )
    with pytest.raises(BadTable, match=f"^{message}$"):
        table.check(
            Row(Path("t.csv"), 4, {"split": "TEST"}),
            replace(other, split=Split.TEST),
            column="split",
        )


def test_the_shares_are_those_asked_for() -> None:
    found = splits(split_by_patient(women(range(2000)), seed=1, shares=SHARES))
    share = {split: sum(found[p] == {split} for p in found) / 2000 for split in Split}
    assert share[Split.VALIDATION] == pytest.approx(0.1, abs=0.02)
    assert share[Split.TEST] == pytest.approx(0.2, abs=0.03)


def test_patients_that_are_added_move_nobody() -> None:
    before = splits(split_by_patient(women(range(200)), seed=1, shares=SHARES))
    after = splits(split_by_patient(reversed(women(range(300))), seed=1, shares=SHARES))
    assert all(after[patient] == before[patient] for patient in before)


def test_a_larger_validation_split_keeps_the_test_split() -> None:
    small = splits(split_by_patient(women(range(300)), seed=1, shares=SHARES))
    large = splits(split_by_patient(women(range(300)), seed=1, shares=SplitShares(0.3, 0.2)))
    for patient, found in small.items():
        assert (found == {Split.TEST}) == (large[patient] == {Split.TEST})


def test_another_seed_splits_otherwise_and_the_hash_seed_changes_nothing() -> None:
    assert position("a", seed=1) != position("a", seed=2)
    drawn = {
        subprocess.run(
            [sys.executable, "-c", DRAW],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(drawn) == 1
    assert b"validation" in drawn.pop()


def test_validation_is_cut_from_training_alone() -> None:
    records = [replace(r, split=Split.TRAIN) for r in women(range(200))]
    records += [replace(r, split=Split.TEST) for r in women(range(200, 250))]
    cut = cut_validation(records, seed=5, share=0.2)
    found = splits(cut)
    assert all(found[f"p{n}"] == {Split.TEST} for n in range(200, 250))
    assert 25 < sum(found[f"p{n}"] == {Split.VALIDATION} for n in range(200)) < 55
    assert all(len(one) == 1 for one in found.values())


def test_shares_that_leave_nobody_to_train_on_are_refused() -> None:
    with pytest.raises(ValueError, match="leave some to train on"):
        SplitShares(validation=0.5, test=0.5)
