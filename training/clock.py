"""How long each part of a run took, kept on disk so that a resumed run still knows."""

import contextlib
import json
import resource
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from training.whole_file import whole_file


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds on the clock, and of processor time over all cores and child processes."""

    wall_s: float
    cpu_s: float


class Clock:
    """Times named parts. A part that was done before keeps its first time; one that was killed and
    resumed counts from its resumption."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.parts: dict[str, Spent] = {}
        if path.exists():
            read = json.loads(path.read_text())
            self.parts = {name: Spent(**spent) for name, spent in read.items()}

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time the block as `name`."""
        wall, cpu = time.perf_counter(), _cpu_s()
        yield
        if name not in self.parts:
            self.parts[name] = Spent(time.perf_counter() - wall, _cpu_s() - cpu)
            written = {part: asdict(spent) for part, spent in self.parts.items()}
            with whole_file(self._path) as file:
                file.write(json.dumps(written, indent=1).encode())

    def total(self) -> Spent:
        """All parts together."""
        spent = self.parts.values()
        return Spent(sum(s.wall_s for s in spent), sum(s.cpu_s for s in spent))


def _cpu_s() -> float:
    """User and system time of this process and of its children that have ended."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
