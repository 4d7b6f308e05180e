"""What a pickle asks for, told from its opcodes. Nothing of it is run, and nothing is made."""

import pickletools
import re
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

PICKLES = 5  # one after another in the old form: magic, protocol, machine, object, storages
PUTS = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE")
IS_NAME = re.compile(r"[\w.]+ [\w.]+")  # what begins with no protocol may be any text
GETS = ("GET", "BINGET", "LONG_BINGET")


@dataclass(slots=True)
class Asked:
    """`names`: of classes and functions, and of what stands for them; `protocol`: the highest."""

    names: set[str] = field(default_factory=set)
    protocol: int = 0


def asked_of(stream: BinaryIO) -> Asked:
    """What the pickles at the stream's start ask for, up to where they end or make no sense."""
    asked = Asked()
    try:
        for _ in range(PICKLES):
            asked.names.update(_names(stream, asked))
    except Exception:  # noqa: BLE001, S110  whatever nonsense raises: what came before it counts
        pass
    return asked


def _names(stream: BinaryIO, asked: Asked) -> Iterator[str]:
    """Of one pickle. STACK_GLOBAL takes the two strings that came to the stack last."""
    words: list[str] = []
    memo: dict[int, str | None] = {}
    last: str | None = None  # what the opcode before has brought, where it was a string
    for opcode, argument, _ in pickletools.genops(stream):
        kind: str = opcode.name
        told: Any = argument
        if kind in PUTS:
            memo[len(memo) if told is None else told] = last
            continue
        last = memo.get(told) if kind in GETS else told if isinstance(told, str) else None
        if kind == "STACK_GLOBAL":
            yield ".".join(words) or "a class without a name"
        elif kind in NAMING and (asked.protocol or IS_NAME.fullmatch(str(told))):
            yield NAMING[kind](told)
        elif kind == "PROTO":
            asked.protocol = max(asked.protocol, told)
        elif last is not None:
            words = [*words[-1:], last]


def _today(told: str) -> str:
    """`module name`, as protocol 2 writes it with names of Python 2."""
    module, _, name = told.partition(" ")
    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    return f"{module}.{name}"


def _extension(code: int) -> str:
    return f"the extension {code}"


NAMING: dict[str, Callable[[Any], str]] = {
    "GLOBAL": _today,
    "INST": _today,
    "EXT1": _extension,
    "EXT2": _extension,
    "EXT4": _extension,
    "PERSID": lambda told: f"the persistent id {told!r}",
}
