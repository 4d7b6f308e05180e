"""Features of canvases by the frozen image.onnx, computed once and kept on disk as float16.

The graph is a constant: nothing of the tower can move while Mammo-FActOR learns. 3.6 MB an image of
1280 x 48 x 29 (B5: 5.7 MB), so `images` bounds what is kept. Knows nothing of sentences.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_store.graphs import FEATURES
from model_store.runtime import ModelRuntime
from model_store.store import sha256_of
from training.data.canvas_set import CanvasSet
from training.progress import Say, counter

F16 = NDArray[np.float16]
LARGEST = float(np.finfo(np.float16).max)
EVERY = 32  # images after which is written down how far the pass has come


def cache_features(runtime: ModelRuntime, canvases: CanvasSet, *, folder: Path, say: Say) -> F16:
    """(V, C, h, w) float16 on disk, mapped; a pass that was killed goes on where it was.

    The cache is of these canvases in this order and of this image.onnx; of others it is made anew.
    Values beyond float16 are cut to its largest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "image.onnx": sha256_of(runtime.version.file("image.onnx")),
        "folder": str(canvases.folder.resolve()),
        "files": [record.file for record in canvases.records],
    }
    (shape,) = (s.shape for s in runtime.manifest.image_outputs if s.name == FEATURES)
    path, note = folder / "features.npy", folder / "features.json"
    done = _done(note, about) if path.exists() else 0
    size = (len(canvases), *(int(length) for length in shape[1:]))
    features: F16 = np.lib.format.open_memmap(
        path, mode="r+" if done else "w+", dtype=np.float16, shape=size
    )
    tell = counter(say, "factor: features")
    for row in range(done, len(canvases)):
        canvas = np.asarray(canvases.canvas(canvases.records[row]))
        made = runtime.run_images(canvas[np.newaxis], outputs=(FEATURES,))[FEATURES][0]
        features[row] = np.clip(made, -LARGEST, LARGEST)
        if (row + 1) % EVERY == 0 or row + 1 == len(canvases):
            features.flush()  # type: ignore[attr-defined]
            _write(note, about, row + 1)
        tell(row + 1, len(canvases))
    return features


def _done(note: Path, about: Mapping[str, object]) -> int:
    """Rows that are there of this very pass."""
    if not note.exists():
        return 0
    stored = json.loads(note.read_text(encoding="utf-8"))
    return int(stored["done"]) if stored["about"] == about else 0


def _write(note: Path, about: Mapping[str, object], done: int) -> None:
    partial = note.with_suffix(".part")
    partial.write_text(json.dumps({"about": about, "done": done}), encoding="utf-8")
    partial.rename(note)
