"""golden.npz: what is reproduced, what is not, and what cannot be read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_store.errors import CorruptModel, GoldenMismatch
from model_store.runtime import ModelRuntime
from tests.tiny_model import make_tiny_model

NPY = b"\x93NUMPY\1\0F\0{'descr': '|u1', 'fortran_order': False, 'shape': (1,)}".ljust(79) + b"\n\0"


@pytest.mark.parametrize(("graph", "tower"), [("image.onnx", "image"), ("text.onnx", "text")])
def test_other_weights_do_not_reproduce_the_golden_file(
    tmp_path: Path, graph: str, tower: str
) -> None:
    version = make_tiny_model(tmp_path, version="1", seed=0)
    other = make_tiny_model(tmp_path, version="2", seed=1)
    version.file(graph).write_bytes(other.file(graph).read_bytes())
    runtime = ModelRuntime.load(version, threads=1, verify=False)
    with pytest.raises(GoldenMismatch, match=f"{tower} embeddings: expected cosine"):
        runtime.check_golden()


def test_a_golden_file_of_another_size_of_canvas_is_a_mismatch(tmp_path: Path) -> None:
    version = make_tiny_model(tmp_path)
    larger = make_tiny_model(tmp_path, version="2", height=80)
    version.file("golden.npz").write_bytes(larger.file("golden.npz").read_bytes())
    runtime = ModelRuntime.load(version, threads=1, verify=False)
    with pytest.raises(GoldenMismatch, match=r"takes uint8 canvases \(N, 64, 48\)"):
        runtime.check_golden()


@pytest.mark.parametrize("content", [b"", b"PK\3\4 broken", b"not a zip", NPY])
def test_a_golden_file_that_cannot_be_read_says_what_it_must_hold(
    tmp_path: Path, content: bytes
) -> None:
    version = make_tiny_model(tmp_path)
    version.file("golden.npz").write_bytes(content)
    runtime = ModelRuntime.load(version, threads=1, verify=False)
    with pytest.raises(CorruptModel, match="expected arrays image, image_embedding, sentences"):
        runtime.check_golden()


def test_a_golden_file_of_another_embedding_size_is_a_mismatch(tmp_path: Path) -> None:
    version = make_tiny_model(tmp_path)
    with np.load(version.file("golden.npz")) as stored:
        changed = {**stored, "text_embedding": stored["text_embedding"][:, :8]}
    np.savez(version.file("golden.npz"), **changed)
    runtime = ModelRuntime.load(version, threads=1, verify=False)
    with pytest.raises(
        GoldenMismatch, match=r"text embeddings: expected shape \(2, 8\), got \(2, 16\)"
    ):
        runtime.check_golden()


def test_a_golden_file_without_text_is_refused(tmp_path: Path) -> None:
    version = make_tiny_model(tmp_path)
    with np.load(version.file("golden.npz")) as golden:
        kept = {key: golden[key] for key in ("image", "image_embedding")}
    np.savez(version.file("golden.npz"), **kept)
    runtime = ModelRuntime.load(version, threads=1, verify=False)
    with pytest.raises(CorruptModel, match="sentences"):
        runtime.check_golden()


def test_an_empty_golden_file_proves_nothing_and_is_refused(tmp_path: Path) -> None:
    version = make_tiny_model(tmp_path)
    with np.load(version.file("golden.npz")) as golden:
        none = {key: golden[key][:0] for key in golden.files}
    np.savez(version.file("golden.npz"), **none)
    runtime = ModelRuntime.load(version, threads=1, verify=False)
    with pytest.raises(CorruptModel, match="expected images and sentences, got none"):
        runtime.check_golden()


@pytest.mark.parametrize(
    "changes",
    [
        {"image": np.uint8(3)},
        {"sentences": np.array("a mass")},
        {"image_embedding": np.full((2, 16), "a")},
        {"text_embedding": np.zeros((2, 16), np.complex64)},
    ],
    ids=["one number", "one sentence", "words", "complex"],
)
def test_golden_arrays_of_another_kind_are_a_corrupt_file(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    version = make_tiny_model(tmp_path)
    with np.load(version.file("golden.npz")) as stored:
        changed = {**stored, **changes}
    np.savez(version.file("golden.npz"), **changed)
    runtime = ModelRuntime.load(version, threads=1, verify=False)
    with pytest.raises(CorruptModel):
        runtime.check_golden()


def test_an_embedding_of_zeros_is_a_mismatch(tmp_path: Path) -> None:
    version = make_tiny_model(tmp_path)
    with np.load(version.file("golden.npz")) as stored:
        changed = {**stored, "image_embedding": np.zeros_like(stored["image_embedding"])}
    np.savez(version.file("golden.npz"), **changed)
    runtime = ModelRuntime.load(version, threads=1, verify=False)
    with pytest.raises(GoldenMismatch, match="image embeddings: expected cosine"):
        runtime.check_golden()
