"""Files of torch.save from outside: tensors and plain values come out, nothing in them is run."""

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from training.checkpoint.errors import Damaged, OtherProtocol, Refused, Unreadable
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


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_plain_pickle_that_runs_code_is_refused_too(tmp_path: Path, protocol: int) -> None:
    trace = tmp_path / "it-ran"
    path = tmp_path / "bad.pkl"
    path.write_bytes(pickle.dumps({"model": Runs(trace)}, protocol))
    with pytest.raises(Refused, match=r"posix\.system"):
        read_checkpoint(path)
    assert not trace.exists()


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_code_is_refused_and_tensors_are_asked_for_again_in_another_protocol(
    tmp_path: Path, protocol: int
) -> None:
    content = {"model": {"w": torch.ones(2), "half": torch.ones(2).half()}}
    bad = {**content, "config": Runs(tmp_path / "it-ran")}
    path = saved(tmp_path / "bad.tar", bad, pickle_protocol=protocol)
    with pytest.raises(Refused, match=r"posix\.system"):
        read_checkpoint(path)
    if protocol > 3:  # 3 is read
        with pytest.raises(OtherProtocol, match=f"got protocol {protocol}; have it saved again"):
            read_checkpoint(saved(tmp_path / "a.tar", content, pickle_protocol=protocol))


def zipped(path: Path, body: bytes) -> Path:
    """A zip of torch's form around a pickle of these opcodes."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", b"\x80\x02" + body + b".")
        file.writestr("archive/version", "3\n")
        file.writestr("archive/byteorder", "little")
    return path


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        (b"(S'touch x'\nios\nsystem\n", "os.system"),
        (b"\x82\x01", "the extension 1"),
        (b"Pfoo\n", "the persistent id 'foo'"),
    ],
)
def test_rarer_ways_to_ask_for_an_object_are_refused(
    tmp_path: Path, body: bytes, asked: str
) -> None:
    with pytest.raises(Refused) as caught:
        read_checkpoint(zipped(tmp_path / "a.tar", body))
    assert caught.value.asked == (asked,)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"R", "IndexError"),
        (b"K\x01Q", "AssertionError"),
        (b"(U\x07storageK\x01tQ", "ValueError"),
        (b"K\x01K\x02b", "AttributeError"),
        (b"cbuiltins\nint\n(]tR", "TypeError"),
        (b"h\x05", "KeyError"),
        (b"X\x01\x00\x00\x00\xff", "UnicodeDecodeError"),
    ],
)
def test_a_pickle_of_nonsense_is_unreadable_for_its_reason(
    tmp_path: Path, body: bytes, kind: str
) -> None:
    with pytest.raises(Unreadable, match=f"got {kind}"):
        read_checkpoint(zipped(tmp_path / "a.tar", body))


def test_an_old_file_that_is_cut_within_its_first_bytes_is_unreadable(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tar", {"w": torch.ones(9)}, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(Unreadable):
            read_checkpoint(path)


def test_one_bit_that_fell_over_is_damage(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tar", {"model": {"w": torch.arange(5000.0)}})
    content = bytearray(path.read_bytes())
    content[content.index(torch.arange(5000.0).numpy().tobytes()) + 10_000] ^= 2
    path.write_bytes(content)
    with pytest.raises(Damaged, match=r"a\.tar is damaged: 1 of \d+ .*a/data/0; fetch it again"):
        read_checkpoint(path)


def test_a_zip_that_was_compressed_is_not_torch_s(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tar", {"model": {"w": torch.ones(500)}})
    with (
        zipfile.ZipFile(path) as file,
        zipfile.ZipFile(tmp_path / "b.tar", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in file.namelist():
            packed.writestr(name, file.read(name))
    with pytest.raises(Unreadable, match="compressed or encrypted"):
        read_checkpoint(tmp_path / "b.tar")


@pytest.mark.parametrize(
    "number", [np.float64(0.25), np.float32(0.25), np.int64(7), np.int32(7), np.bool_(True)]
)
def test_numpy_s_numbers_are_numbers(tmp_path: Path, number: np.generic) -> None:
    stored = read_checkpoint(saved(tmp_path / "a.tar", {"mean": number}))
    assert plain(stored["mean"]) == number.item()
    assert type(plain(stored["mean"])) is type(number.item())


def test_a_configuration_that_holds_itself_or_explodes_is_no_configuration() -> None:
    itself: list[object] = []
    itself.append(itself)
    with pytest.raises(ValueError, match="levels"):
        plain(itself)
    doubled: list[object] = []
    for _ in range(40):
        doubled = [doubled, doubled]
    with pytest.raises(ValueError, match="values"):
        plain(doubled)


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
