"""A file of torch.save -> tensors and plain values. Nothing in it is run.

torch's own weights-only unpickler reads it; the few classes that published files hold beside
tensors (omegaconf's lists, NumPy's scalars, Lightning's attribute dictionaries) are stood in for by
one inert class, so that not even their code is run, and omegaconf need not be installed.
"""

import pickle
import warnings
import zipfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from training.checkpoint.errors import Refused, Unreadable

CONTENT, VALUE = "_content", "_val"
"""Where omegaconf's containers and nodes keep what they hold."""


class Inert(dict[Any, Any]):
    """Stands for an object of a configuration class: keeps what was stored, does nothing."""

    state: Any = None

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()

    def __setstate__(self, state: object) -> None:
        self.state = state


INERT = (
    "omegaconf.listconfig.ListConfig",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.nodes.AnyNode",
    "omegaconf.nodes.BooleanNode",
    "omegaconf.nodes.FloatNode",
    "omegaconf.nodes.IntegerNode",
    "omegaconf.nodes.StringNode",
    "lightning_fabric.utilities.data.AttributeDict",
    "lightning.fabric.utilities.data.AttributeDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "typing.Any",
)
HARMLESS: dict[str, Callable[..., object]] = {
    "builtins.dict": dict,
    "builtins.list": list,
    "builtins.tuple": tuple,
    "builtins.int": int,
    "builtins.float": float,
    "builtins.str": str,
    "builtins.bool": bool,
    "collections.defaultdict": defaultdict,
    "numpy.dtype": np.dtype,
    "numpy.dtypes.Float32DType": type(np.dtype(np.float32)),
    "numpy.dtypes.Float64DType": type(np.dtype(np.float64)),
    "numpy.dtypes.Int64DType": type(np.dtype(np.int64)),
    "numpy.core.multiarray.scalar": Inert,
    "numpy._core.multiarray.scalar": Inert,
}
ALLOWED: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    *((Inert, name) for name in INERT),
    *((kind, name) for name, kind in HARMLESS.items()),
]


def read_checkpoint(path: Path) -> Mapping[str, Any]:
    """The dictionary in the file, tensors on the CPU and mapped from disk where the form allows it.

    Raises Refused for a pickle that asks for anything else, Unreadable for what torch.save has not
    written or what is cut off or holds no dictionary, FileNotFoundError.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    zipped = zipfile.is_zipfile(path)
    try:
        with safe_globals(ALLOWED), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of protocols it may not know: then it raises, too
            stored = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        asked = _asked(path) if zipped else []
        if asked or "global" in str(error).lower():
            raise Refused(path, asked or [_named(error)]) from error
        raise Unreadable(path, _first_line(error)) from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, AssertionError) as error:
        raise Unreadable(path, _first_line(error)) from error
    if not isinstance(stored, dict):
        raise Unreadable(path, f"a {type(stored).__name__} where a dictionary was expected")
    return stored


def plain(value: object) -> Any:
    """What a configuration holds, without the classes it was held in."""
    if isinstance(value, Inert):
        state = value.state if isinstance(value.state, dict) else {}
        return plain(state.get(CONTENT, state.get(VALUE, dict(value))))
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _asked(path: Path) -> list[str]:
    """Classes and functions that the pickle names and that are not allowed; reading runs none."""
    with safe_globals(ALLOWED):
        return sorted(get_unsafe_globals_in_checkpoint(path))


def _named(error: pickle.UnpicklingError) -> str:
    """The name in torch's message, else its first line."""
    _, found, rest = str(error).partition("GLOBAL ")
    return rest.split()[0] if found else _first_line(error)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200] or type(error).__name__
