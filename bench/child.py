"""One way of a benchmark in a process of its own, which prints its answer as the last line."""

import json
import subprocess
import sys
from typing import Any


def answer_of(module: str, *arguments: str, given: str = "", limit_s: float) -> dict[str, Any]:
    """What `python -m module arguments` answers as JSON; {"failed": why} where it does not.

    `given`: its standard input. `limit_s`: seconds until it is given up.
    """
    command = [sys.executable, "-m", module, *arguments]
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"more than {limit_s:g} s"}
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["?"])[-1][:300]}
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer
