"""Where the time of a request went."""

import time

from service.schemas import Timing

STAGES = ("upload", "decode", "queue", "score")


class Stopwatch:
    """Each `lap` ends a stage; a stage that did not run took no time."""

    def __init__(self, upload_s: float = 0) -> None:
        self._stages = dict.fromkeys(STAGES, 0.0)
        self._stages["upload"] = upload_s
        self._began = self._last = time.perf_counter()
        self._upload_s = upload_s

    def lap(self, stage: str) -> None:
        """The stage ends now."""
        now = time.perf_counter()
        self._stages[stage] = now - self._last
        self._last = now

    def timing(self) -> Timing:
        """All stages, in milliseconds."""
        total_s = self._upload_s + time.perf_counter() - self._began
        laps = {f"{stage}_ms": _ms(seconds) for stage, seconds in self._stages.items()}
        return Timing(**laps, total_ms=_ms(total_s))


def server_timing(timing: Timing) -> str:
    """The same for the Server-Timing header."""
    laps = [f"{stage};dur={getattr(timing, f'{stage}_ms'):g}" for stage in (*STAGES, "total")]
    return ", ".join(laps)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)
