"""One run at a time in a folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from training.alone import FolderInUse, alone_in

HOLD = """
import sys
from pathlib import Path
from training.alone import alone_in
with alone_in(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_that_another_process_holds_is_refused_until_that_process_is_killed(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "work")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with (
            pytest.raises(FolderInUse, match=r"another run is at work in .*work; wait for its end"),
            alone_in(tmp_path / "work"),
        ):
            pass
        other.kill()
        other.wait()
        with alone_in(tmp_path / "work"):
            assert (tmp_path / "work").is_dir()


def test_two_folders_are_held_at_once_and_each_again_after_a_failure(tmp_path: Path) -> None:
    with pytest.raises(KeyError), alone_in(tmp_path / "one"):
        raise KeyError
    with alone_in(tmp_path / "one"), alone_in(tmp_path / "other"):
        pass
