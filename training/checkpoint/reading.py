"""A file of torch.save -> tensors and plain values. Nothing in it is run.

torch's own weights-only unpickler reads it; the few classes that published files hold beside
tensors (omegaconf's lists, NumPy's scalars, Lightning's attribute dictionaries) are stood in for by
one inert class, so that not even their code is run, and omegaconf need not be installed.
"""

import io
import pickle
import reprlib
import struct
import warnings
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import repeat
from pathlib import Path
from typing import Any

import torch
from torch._weights_only_unpickler import _get_allowed_globals
from torch.serialization import safe_globals

from training.checkpoint.errors import CheckpointError, OtherProtocol, Refused, Unreadable
from training.checkpoint.opcodes import Asked, asked_of
from training.checkpoint.records import check_records

CONTENT, VALUE = "_content", "_val"
"""Where omegaconf's containers and nodes keep what they hold."""
DEEPEST, MOST_VALUES = 64, 100_000
PROTOCOL = 2  # of pickle, the only one that torch's unpickler knows in full
FORMS = {"f4": "<f", "f8": "<d", "i4": "<i", "i8": "<q", "b1": "<?"}
"""NumPy's dtypes, of little-endian machines, as struct reads them."""


class Inert(dict[Any, Any]):
    """Stands for an object of a configuration class: keeps what was stored, does nothing."""

    state: Any = None

    def __init__(self, *given: object, **_: object) -> None:
        super().__init__()
        self.given = given

    def __setstate__(self, state: object) -> None:
        self.state = state


class Scalar(Inert):
    """Stands for a number of NumPy's: its dtype, and its bytes."""

    def number(self) -> object:
        """It, where it is a plain one; else itself."""
        dtype, data = self.given if len(self.given) == 2 else (None, None)
        kind = dtype.given[0] if isinstance(dtype, Inert) and dtype.given else None
        form = FORMS.get(kind) if isinstance(kind, str) else None
        if form is None or not isinstance(data, bytes) or len(data) != struct.calcsize(form):
            return self
        return struct.unpack(form, data)[0]

    def __repr__(self) -> str:
        return "a number of NumPy's that is not read"


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
    "numpy.dtype",
    "numpy.dtypes.Float32DType",
    "numpy.dtypes.Float64DType",
    "numpy.dtypes.Int64DType",
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
    "numpy.core.multiarray.scalar": Scalar,
    "numpy._core.multiarray.scalar": Scalar,
}
ALLOWED: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    *((Inert, name) for name in INERT),
    *((kind, name) for name, kind in HARMLESS.items()),
]


def read_checkpoint(path: Path) -> Mapping[str, Any]:
    """The dictionary in the file, tensors on the CPU and mapped from disk where the form allows it.

    Raises Refused for a pickle that asks for anything else, OtherProtocol, Damaged where a checksum
    is not right, Unreadable for what torch.save has not written or what is cut off or holds no
    dictionary, FileNotFoundError.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    zipped = zipfile.is_zipfile(path)
    if zipped:
        check_records(path)
    try:
        with safe_globals(ALLOWED), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of protocols it may not know: then it raises, too
            stored = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:
        raise _fault(path, error, zipped=zipped) from error
    if not isinstance(stored, dict):
        raise Unreadable(path, f"a {type(stored).__name__} where a dictionary was expected")
    return stored


def plain(value: object) -> Any:
    """What a configuration holds, without the classes it was held in.

    ValueError where it holds itself, or more than any configuration does.
    """
    return _plain(value, repeat(None, MOST_VALUES), depth=0)


def plain_count(value: object) -> int | None:
    """A number of epochs or steps; None for anything else."""
    number = value.number() if isinstance(value, Scalar) else value
    if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**53:
        return number
    return None


def shown(value: object) -> str:
    """It in a message: short, whatever it is."""
    try:
        return reprlib.repr(value)[:200]
    except ValueError:  # of a number with thousands of digits
        return f"a {type(value).__name__}"


def _plain(value: object, left: Iterator[None], *, depth: int) -> Any:
    if depth > DEEPEST or next(left, 0) is not None:
        raise ValueError(f"more than {DEEPEST} levels or {MOST_VALUES} values")
    if isinstance(value, Scalar):
        return value.number()
    if isinstance(value, Inert):
        state = value.state if isinstance(value.state, dict) else {}
        return _plain(state.get(CONTENT, state.get(VALUE, dict(value))), left, depth=depth + 1)
    if isinstance(value, Mapping):
        return {key: _plain(item, left, depth=depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, left, depth=depth + 1) for item in value]
    return value


def _fault(path: Path, error: Exception, *, zipped: bool) -> CheckpointError:
    """What torch.load has run into, in our words."""
    asked = _asked(path, zipped=zipped)
    known = _get_allowed_globals().keys() | set(INERT) | HARMLESS.keys()
    names = sorted(asked.names - known)
    if names:
        return Refused(path, names)
    if isinstance(error, pickle.UnpicklingError) and asked.protocol > PROTOCOL:
        return OtherProtocol(path, asked.protocol)
    return Unreadable(path, _line(error))


def _asked(path: Path, *, zipped: bool) -> Asked:
    """Nothing where the pickle is not found."""
    if not zipped:
        with path.open("rb") as stream:
            return asked_of(stream)
    try:
        with zipfile.ZipFile(path) as file:
            name = next(name for name in file.namelist() if name.endswith("/data.pkl"))
            return asked_of(io.BytesIO(file.read(name)))
    except (StopIteration, zipfile.BadZipFile):
        return Asked()


def _line(error: Exception) -> str:
    """The line of torch's message that tells the reason, with the error's class."""
    _, _, told = str(error).rpartition("WeightsUnpickler error: ")
    first = told.strip().split("\n")[0][:200]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
