"""What is wrong with a checkpoint file. Each message says what was expected, and what to do."""

from collections.abc import Sequence
from pathlib import Path

SHOWN = 12


class CheckpointError(ValueError):
    """The base of all."""


class Unreadable(CheckpointError):
    """No file that torch has written, or not the whole of one."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path.name}: expected a file written by torch.save, got {reason}; if it was "
            "downloaded, compare its size with the source's and fetch it again. A published .tar "
            "is read as it is: do not unpack it"
        )


class Damaged(CheckpointError):
    """The file's own checksums say that bytes of it were changed."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path.name} is damaged: {reason}; fetch it again")


class OtherProtocol(CheckpointError):
    """Nothing bad is asked for, but in a form of pickle that is not read."""

    def __init__(self, path: Path, protocol: int) -> None:
        super().__init__(
            f"{path.name}: expected a pickle of protocol 2, as torch.save writes unless it is told "
            f"otherwise, got protocol {protocol}; have it saved again without pickle_protocol"
        )


class BadTensors(CheckpointError):
    """Tensors that nothing can be computed with."""

    def __init__(self, path: Path, wrong: Sequence[str]) -> None:
        super().__init__(
            f"{path.name}: expected dense tensors of finite floats, {len(wrong)} are none: "
            f"{_listed(wrong)}"
        )
        self.wrong = tuple(wrong)


class Refused(CheckpointError):
    """The pickle in the file asks for something that is neither a tensor nor plain configuration.

    Nothing of it was run.
    """

    def __init__(self, path: Path, asked: Sequence[str]) -> None:
        super().__init__(
            f"{path.name}: refused, and nothing of it was run: its pickle asks for "
            f"{_listed(asked)}, where only tensors and plain configuration are read. Do not load "
            "it with other tools either, unless you trust who made it"
        )
        self.asked = tuple(asked)


class UnknownLayout(CheckpointError):
    """A readable file that holds no model this package knows."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path.name}: {reason}")


class TensorsDiffer(CheckpointError):
    """Names or shapes are not those of the model that the file seems to be of."""

    def __init__(
        self, model: str, *, missing: Sequence[str], surplus: Sequence[str], shapes: Sequence[str]
    ) -> None:
        parts = {"missing": missing, "surplus": surplus, "of another shape": shapes}
        told = [f"{len(names)} {what}: {_listed(names)}" for what, names in parts.items() if names]
        super().__init__(
            f"not the tensors of {model}. {'; '.join(told)}. The file is damaged, or of a model "
            "with other towers or heads"
        )
        self.missing, self.surplus, self.shapes = tuple(missing), tuple(surplus), tuple(shapes)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
