"""Tensors of a file, held against what a model can take before anything is computed of them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from training.checkpoint.errors import BadTensors, TensorsDiffer, UnknownLayout

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
WHOLE = {"num_batches_tracked": torch.int64, "position_ids": torch.int64, "levels": torch.int8}
"""Last part of a name -> its dtype: counters, and MiniLM's weights of eight bits (own runs)."""


def checked_state(path: Path, state: Mapping[object, object]) -> dict[str, Tensor]:
    """The same, each a dense tensor of finite floats that lies in the file as a whole.

    Raises UnknownLayout for a name that is none, BadTensors.
    """
    sound: dict[str, Tensor] = {}
    wrong: list[str] = []
    for name, value in state.items():
        if not isinstance(name, str):
            raise UnknownLayout(path, f"expected names of tensors, got a {type(name).__name__}")
        reason = _reason(name, value)
        if reason:
            wrong.append(f"{name} ({reason})")
        elif isinstance(value, Tensor):
            sound[name] = value.detach()
    if wrong:
        raise BadTensors(path, wrong)
    return sound


def _reason(name: str, value: object) -> str:
    """Why it cannot be computed with; empty where it can."""
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}, no tensor"
    if value.layout != torch.strided or value.is_quantized or value.is_meta or value.is_nested:
        return "sparse, quantised or without values"
    whole = WHOLE.get(name.rpartition(".")[2]) == value.dtype
    if value.dtype not in FLOATS and not whole:
        return f"of {value.dtype}"
    if value.numel() == 0:
        return "empty"
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        return f"{tuple(value.shape)} of a few repeated numbers"
    return "" if whole or bool(torch.isfinite(value.float()).all()) else "NaN or infinite"


def numbers_in(state: Mapping[str, Tensor]) -> int:
    """How many the file holds for them; shared ones count once."""
    held = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
        // tensor.element_size()
        for tensor in state.values()
    }
    return sum(held.values())


def check_shapes(
    what: str,
    wanted: Mapping[str, Sequence[int]],
    given: Mapping[str, Tensor],
    *,
    ignored: tuple[str, ...] = (),
) -> None:
    """TensorsDiffer unless names and shapes are those wanted; `ignored`: starts of other names."""
    surplus = [name for name in given.keys() - wanted.keys() if not name.startswith(ignored)]
    missing = sorted(wanted.keys() - given.keys())
    shapes = list(_other_shapes(wanted, given))
    if missing or surplus or shapes:
        raise TensorsDiffer(what, missing=missing, surplus=sorted(surplus), shapes=shapes)


def _other_shapes(
    wanted: Mapping[str, Sequence[int]], given: Mapping[str, Tensor]
) -> Iterator[str]:
    for name in sorted(wanted.keys() & given.keys()):
        if tuple(given[name].shape) != tuple(wanted[name]):
            yield f"{name} {tuple(given[name].shape)} for {tuple(wanted[name])}"
