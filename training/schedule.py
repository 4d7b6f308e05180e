"""Learning rates over a run. Knows nothing of optimisers."""

import math
from collections.abc import Callable


def learning_rate_factor(total: int, *, warmup_steps: int) -> Callable[[int], float]:
    """Step -> factor: linear warm-up, then a cosine to zero at the last of `total` steps."""

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        done = (step - warmup_steps) / max(total - warmup_steps, 1)
        return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    return factor
