"""A file is written whole or not at all."""

from pathlib import Path

import pytest

from training.clock import Clock
from training.whole_file import whole_file


def test_a_write_that_fails_leaves_what_was_there_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    with whole_file(path) as file:
        file.write(b"first")

    def fail() -> None:
        with whole_file(path) as file:
            file.write(b"sec")
            file.flush()
            assert path.read_bytes() == b"first"
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_bytes() == b"first"
    assert list(path.parent.iterdir()) == [path]


def test_a_clock_s_file_is_replaced_and_never_written_into(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "clock.json")
    with clock.part("first"):
        pass
    before = (tmp_path / "clock.json").stat().st_ino
    with clock.part("second"):
        kept = (tmp_path / "clock.json").open()
    with kept:
        assert "second" not in kept.read()  # the old file, whole
    assert (tmp_path / "clock.json").stat().st_ino != before
    assert Clock(tmp_path / "clock.json").parts.keys() == {"first", "second"}
