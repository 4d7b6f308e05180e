"""Real processes: small Python programs in place of the worker."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from service.supervisor import WORKER, Supervisor
from tests.service.queue_helpers import eventually

pytestmark = pytest.mark.system

SLEEP = (sys.executable, "-c", "import time; time.sleep(60)")


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_as_many_workers_run_as_asked_for_and_none_after_stop() -> None:
    with Supervisor(workers=2, environment={}, command=SLEEP) as supervisor:
        eventually(lambda: len(supervisor.pids) == 2)
        pids = supervisor.pids
    assert all(gone(pid) for pid in pids)
    assert supervisor.pids == []


def test_a_killed_worker_is_replaced_at_once() -> None:
    with Supervisor(workers=1, environment={}, command=SLEEP) as supervisor:
        eventually(lambda: supervisor.pids)
        (first,) = supervisor.pids
        began = time.monotonic()
        os.kill(first, signal.SIGKILL)
        eventually(lambda: supervisor.pids not in ([], [first]))
        assert time.monotonic() - began < 1


def test_a_worker_that_cannot_start_is_tried_again_ever_more_slowly(tmp_path: Path) -> None:
    log = tmp_path / "starts"
    command = (sys.executable, "-c", f"open({str(log)!r}, 'a').write('x'); raise SystemExit(3)")
    with Supervisor(workers=1, environment={}, command=command):
        time.sleep(3)
    assert 2 <= len(log.read_text()) <= 5


def test_the_environment_reaches_the_worker_and_the_command_line_does_not(tmp_path: Path) -> None:
    log = tmp_path / "seen"
    code = f"import os, time; open({str(log)!r}, 'w').write(os.environ['SECRET']); time.sleep(60)"
    with Supervisor(
        workers=1, environment={"SECRET": "word"}, command=(sys.executable, "-c", code)
    ) as supervisor:
        eventually(lambda: log.exists() and log.read_text() == "word")
        assert "word" not in psutil.Process(supervisor.pids[0]).cmdline()


def test_a_worker_that_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    code = (
        "import pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        f"pathlib.Path({str(ready)!r}).touch(); time.sleep(60)"
    )
    supervisor = Supervisor(
        workers=1, environment={}, command=(sys.executable, "-c", code), grace_s=0.3
    )
    with supervisor:
        eventually(ready.exists)
        (pid,) = supervisor.pids
        began = time.monotonic()
    assert time.monotonic() - began < 3
    assert gone(pid)


def test_workers_die_with_a_supervisor_that_is_killed() -> None:
    code = (
        "import time; from service.supervisor import Supervisor; import sys; "
        "it = Supervisor(workers=2, environment={}, "
        "command=(sys.executable, '-c', 'import time; time.sleep(60)')); it.start(); "
        "time.sleep(1); print(*it.pids, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()
    assert len(pids) == 2
    eventually(lambda: all(gone(pid) for pid in pids))


def test_a_worker_is_recognisable_by_its_command_line() -> None:
    assert any("worker" in part for part in WORKER)
