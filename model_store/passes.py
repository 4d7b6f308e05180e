"""Passes of the image graph: padded to a fixed size, bound to the device, cut again.

Knows nothing of onnxruntime itself: it is given a session.
"""

import bisect
import logging
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from model_store.arrays import F32, U8
from model_store.graphs import EMBEDDING, IMAGE, Session
from model_store.providers import ON_GPU, Plan, Provider, ProviderUnavailable

logger = logging.getLogger(__name__)


class ImagePasses:
    """An image graph run by a plan. Calls may come from several threads.

    With `another`, every size but the smallest gets a session of its own from it: ONNX Runtime's
    CUDA plans all convolutions anew where a session meets another shape than the last time, which
    took 0.5 s and more at each change (docs/gpu.md).
    """

    def __init__(
        self, session: Session, plan: Plan, another: Callable[[], Session] | None = None
    ) -> None:
        self._session = session
        self._another = another
        self._provider = plan.provider
        self._of_size: dict[int, Session] = {}
        self._run = _bound if plan.bound else _plain
        self.sizes = plan.sizes
        """Images that a pass may hold, ascending; () = as many as it is given."""

    def warm_up(self, shape: tuple[int, int]) -> None:
        """Run each fixed size once on black canvases of `shape` (H, W).

        A size that fails, and all above it, are given up: a device without the memory for sixteen
        images serves eight. What the smallest size raises is raised; on a GPU it is
        ProviderUnavailable, for ONNX Runtime looks for cuDNN at the first pass only.
        """
        for index, size in enumerate(self.sizes):
            try:
                session = self._session
                if self._another is not None and index:
                    session = self._another()
                self._run(session, np.zeros((size, *shape), np.uint8), (EMBEDDING,))
                self._of_size[size] = session
            except Exception as error:  # ONNX Runtime's errors share no narrower base
                if index == 0:
                    self._refuse(error)
                    raise
                logger.warning("no passes of %d images: %s", size, type(error).__name__)
                self.sizes = self.sizes[:index]
                return

    def _refuse(self, error: Exception) -> None:
        if self._provider in ON_GPU:
            reason = f"its first pass failed: {error}"
            raise ProviderUnavailable(
                self._provider, usable=(Provider.CPU,), reason=reason
            ) from error

    def run(self, canvases: U8, outputs: Sequence[str], *, most: int) -> Iterator[list[F32]]:
        """(N, H, W) in passes of at most `most` images -> of each pass the named outputs.

        A pass is filled up to the next fixed size with its last canvas, which the graph takes as
        surely as the others, and the rows of those are cut off again.
        """
        if self.sizes:
            most = min(most, self.sizes[-1])
        for start in range(0, len(canvases), most):
            piece = np.ascontiguousarray(canvases[start : start + most])
            filled = self._filled(piece)
            session = self._of_size.get(len(filled), self._session)
            found = self._run(session, filled, outputs)
            yield [values[: len(piece)] for values in found]

    def _filled(self, piece: U8) -> U8:
        if not self.sizes:
            return piece
        size = self.sizes[bisect.bisect_left(self.sizes, len(piece))]
        if size == len(piece):
            return piece
        return np.concatenate([piece, np.repeat(piece[-1:], size - len(piece), axis=0)])


def _plain(session: Session, canvases: U8, outputs: Sequence[str]) -> list[F32]:
    return session.run(list(outputs), {IMAGE: canvases})


def _bound(session: Session, canvases: U8, outputs: Sequence[str]) -> list[F32]:
    """Canvases go up once, at binding; what is not bound is not computed or stays on the device."""
    binding = session.io_binding()
    binding.bind_cpu_input(IMAGE, canvases)
    for name in outputs:
        binding.bind_output(name)
    binding.synchronize_inputs()
    session.run_with_iobinding(binding)
    copied: list[F32] = binding.copy_outputs_to_cpu()
    return copied
