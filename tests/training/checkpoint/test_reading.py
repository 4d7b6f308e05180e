"""Files of torch.save from outside: tensors and plain values come out, nothing in them is run."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from training.checkpoint.errors import Refused, Unreadable
from training.checkpoint.reading import plain, read_checkpoint


class Runs:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.system, (f"touch '{self.path}'",)


def saved(path: Path, content: object, **how: Any) -> Path:
    torch.save(content, path, **how)
    return path


@pytest.mark.parametrize("form", [{}, {"_use_new_zipfile_serialization": False}])
def test_a_pickle_that_runs_code_is_refused_by_name_and_has_not_run(
    tmp_path: Path, form: dict[str, bool]
) -> None:
    trace = tmp_path / "it-ran"
    path = saved(tmp_path / "bad.tar", {"model": {}, "config": Runs(trace)}, **form)
    with pytest.raises(Refused, match="system") as caught:
        read_checkpoint(path)
    assert any("system" in name for name in caught.value.asked)
    assert not trace.exists()
    with path.open("rb"):  # and it would have run where everything is unpickled
        torch.load(path, weights_only=False)
    assert trace.exists()


def test_a_plain_pickle_that_runs_code_is_refused_too(tmp_path: Path) -> None:
    trace = tmp_path / "it-ran"
    path = tmp_path / "bad.pkl"
    path.write_bytes(pickle.dumps({"model": Runs(trace)}))
    with pytest.raises((Refused, Unreadable)):
        read_checkpoint(path)
    assert not trace.exists()


def test_an_allowed_class_cannot_be_made_to_run_anything(tmp_path: Path) -> None:
    config = OmegaConf.create([1])
    config.__dict__["more"] = Runs(tmp_path / "it-ran")
    path = saved(tmp_path / "bad.tar", {"config": config})
    with pytest.raises(Refused, match="system"):
        read_checkpoint(path)
    assert not (tmp_path / "it-ran").exists()


def test_omegaconf_s_containers_come_out_as_plain_values(tmp_path: Path) -> None:
    content = {
        "list": OmegaConf.create([0.8, "x", None, [True, {"k": 3}]]),
        "dict": OmegaConf.create({"base": {"mean": 0.5}}),
        "loss": np.float64(1.5),
        "tensor": torch.arange(3),
    }
    stored = read_checkpoint(saved(tmp_path / "a.tar", content))
    assert plain(stored["list"]) == [0.8, "x", None, [True, {"k": 3}]]
    assert plain(stored["dict"]) == {"base": {"mean": 0.5}}
    assert torch.equal(stored["tensor"], torch.arange(3))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_file_that_is_cut_off_is_told_from_a_whole_one(tmp_path: Path, share: float) -> None:
    path = saved(tmp_path / "a.tar", {"model": {"w": torch.randn(500)}})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(Unreadable, match=r"a\.tar.*fetch it again"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"PK\x03\x04" + bytes(60)])
def test_what_torch_has_not_written_is_unreadable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(content)
    with pytest.raises(Unreadable, match="expected a file written by"):
        read_checkpoint(path)


def test_a_file_without_a_dictionary_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="dictionary"):
        read_checkpoint(saved(tmp_path / "a.tar", [torch.ones(2)]))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.tar"):
        read_checkpoint(tmp_path / "none.tar")
