"""Real processes: small Python programs in place of the worker."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from model_store.providers import cuda_devices
from service.supervisor import WORKER, Supervisor
from tests.service.queue_helpers import eventually
from tests.tiny_model import make_tiny_model

pytestmark = pytest.mark.system
no_device = pytest.mark.skipif(cuda_devices() > 0, reason="there is a CUDA device")

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


def test_a_worker_whose_settings_are_wrong_is_not_tried_again_and_ends_the_others(
    tmp_path: Path,
) -> None:
    log = tmp_path / "starts"
    code = (
        "import os, time; "
        f"first = not os.path.exists({str(log)!r}); open({str(log)!r}, 'a').write('x'); "
        "first or os._exit(2); time.sleep(60)"
    )
    command = (sys.executable, "-c", code)
    with Supervisor(workers=1, environment={}, command=command) as supervisor:
        eventually(log.exists)
        (pid,) = supervisor.pids
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: supervisor.gave_up)
        time.sleep(1)
        assert log.read_text() == "xx"
        assert supervisor.pids == []
    with Supervisor(workers=2, environment={}, command=command) as supervisor:
        eventually(lambda: supervisor.gave_up)
        eventually(lambda: supervisor.pids == [])


@no_device
def test_serve_ends_with_2_and_the_workers_line_where_its_provider_is_not_there(
    tmp_path: Path,
) -> None:
    make_tiny_model(tmp_path / "models")
    asked = {
        "MAMMO_MODELS": str(tmp_path / "models"),
        "MAMMO_DATA": str(tmp_path / "data"),
        "MAMMO_PROVIDER": "cuda",
        "MAMMO_PORT": "0",
    }
    done = subprocess.run(
        [sys.executable, "-m", "service", "serve"],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    told = done.stderr + done.stdout
    assert told.count("MAMMO_PROVIDER: provider 'cuda' is not available") == 1
    assert "ended by itself" not in told


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
