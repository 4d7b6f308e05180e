"""One evaluation at work: a model, canvases, what is to be done, and where results go."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_store.runtime import ModelRuntime
from training.data.canvas_set import CanvasSet, to_json
from training.data.records import Split
from training.data.splits import SPLIT_SEED
from training.evaluate.config import EvaluateConfig
from training.evaluate.embeddings import Embedded, embed_canvases, graph_digest
from training.evaluate.tables import Measured
from training.models.from_version import tower_from_version
from training.models.image_encoder import ImageEncoder
from training.progress import Say, counter
from training.whole_file import whole_file

PLOTS, FITS, EMBEDDINGS = "plots", "fits", "embeddings"
NO_TEST = (
    "No image of this data is in a test split, so figures without training are of all images, and "
    "the model may have been trained on them."
)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What every part is given. Canvases of all splits; `out` is a folder of this run alone.

    `split_seed` cut the splits that the table does not bring; `doubts`: what else whoever reads the
    figures must be warned of.
    """

    runtime: ModelRuntime
    canvases: CanvasSet
    measured: Measured
    config: EvaluateConfig
    out: Path
    say: Say
    split_seed: int = SPLIT_SEED
    doubts: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What stands above the figures, on the screen and in the report."""
        return (*self.doubts, NO_TEST) if not self._test_rows else self.doubts

    @cached_property
    def _test_rows(self) -> list[int]:
        splits = [record.image.split for record in self.canvases.records]
        return [row for row, split in enumerate(splits) if split is Split.TEST]

    @cached_property
    def tested(self) -> NDArray[np.intp]:
        """Rows of the canvases that figures without training are told of: the test split's.

        Where there is none, all; `warnings` says so.
        """
        return np.array(self._test_rows or range(len(self.canvases)), np.intp)

    @cached_property
    def test_canvases(self) -> CanvasSet:
        """The canvases of `tested`."""
        records = tuple(self.canvases.records[row] for row in self.tested)
        return CanvasSet(self.canvases.folder, records)

    def embedded(self, *, tested: bool = False) -> Embedded:
        """Of all canvases, or of the tested alone; from disk where it was done before."""
        return embed_canvases(
            self.runtime,
            self.test_canvases if tested else self.canvases,
            cache=self.out / EMBEDDINGS,
            progress=counter(self.say, "embeddings"),
        )

    def tower(self) -> ImageEncoder:
        """The torch tower of the version. Raises from_version.NoTower."""
        return tower_from_version(self.runtime.version)

    def plot(self, name: str) -> Path:
        """Where a picture goes."""
        return self.out / PLOTS / f"{name}.png"

    def kept(self, name: str, make: Callable[[], NDArray[np.float64]]) -> NDArray[np.float64]:
        """An array that takes long to make, from disk where this run has made it before."""
        path = self.out / FITS / f"{name}-{self.identity[:12]}.npy"
        if not path.exists():
            made = make()
            with whole_file(path) as file:
                np.save(file, made)
        loaded: NDArray[np.float64] = np.load(path)
        return loaded

    @cached_property
    def identity(self) -> str:
        """Changes with the image graph, the configuration and all that is known of the canvases.

        A folder of phantoms is named after what they are drawn by, so its name counts, too.
        """
        digest = hashlib.sha256(graph_digest(self.runtime.version).encode())
        digest.update(self.config.digest.encode())
        digest.update(self.canvases.folder.name.encode())
        for record in self.canvases.records:
            digest.update(json.dumps(to_json(record), sort_keys=True).encode())
        return digest.hexdigest()

    def about(self) -> dict[str, str | int]:
        """What results.json and the report say of the run."""
        return {
            "model": self.runtime.version.key,
            "model digest": self.runtime.version.digest,
            "data": self.measured.words,
            "images": len(self.canvases),
            "preset": self.measured.preset,
            "configuration digest": self.config.digest,
            "seed": self.config.seed,
            "split seed": self.split_seed,
            "resamples": self.config.resamples,
            "run": self.identity[:16],
        }
