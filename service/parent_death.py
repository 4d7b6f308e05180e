"""Run a command that dies with its parent: `python -I -S parent_death.py PARENT_PID COMMAND...`.

A tiny program between fork and exec, because code of the parent must not run there once it has
threads. The command keeps this process id. Linux only; elsewhere the command just runs.
"""

import os
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h
SIGKILL = 9


def command(argv: list[str]) -> list[str]:
    """`argv` such that it dies with this process (exactly: with the thread that starts it)."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *argv]


def _main() -> None:
    parent, argv = int(sys.argv[1]), sys.argv[2:]
    os.umask(0o077)
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)
        if os.getppid() != parent:  # it died before this line
            sys.exit(1)
    os.execvp(argv[0], argv)  # noqa: S606 - the parent chose the command


if __name__ == "__main__":
    _main()
