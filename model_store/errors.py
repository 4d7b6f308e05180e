"""What can be wrong with a model version; an operator sets it right, never a caller.

StoreError
  ModelNotFound       no such name or version; lists the known ones
  AlreadyPublished    a version is never changed; publish the next number
  CorruptModel        a file is not what the manifest says
    GraphMismatch     a graph cannot be loaded, or its inputs or outputs are other ones
  GoldenMismatch      the graphs do not reproduce golden.npz
  LicenceNotAccepted  the weights' terms forbid serving and the operator has not said otherwise
"""

from collections.abc import Sequence


class StoreError(Exception):
    """Something about a model version that an operator has to set right."""


class ModelNotFound(StoreError):
    """No such model or version; `known` lists what there is ("name" or "name/version")."""

    def __init__(self, asked: str, known: Sequence[str]) -> None:
        there = f"known: {', '.join(known)}" if known else "the store is empty"
        super().__init__(f"no model {asked}; {there}")
        self.asked = asked
        self.known = list(known)


class AlreadyPublished(StoreError):
    """A published version is never changed."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} is published already and never changes: publish the next version")
        self.key = key


class CorruptModel(StoreError):
    """`file` of a version should be `expected`, but is `got`."""

    def __init__(self, key: str, file: str, *, expected: str, got: str) -> None:
        super().__init__(f"{key}: {file}: expected {expected}, got {got}")
        self.key = key
        self.file = file
        self.expected = expected
        self.got = got


class GraphMismatch(CorruptModel):
    """A graph cannot be loaded, or its inputs or outputs are not those of the manifest."""


class GoldenMismatch(StoreError):
    """The loaded graphs do not reproduce golden.npz: other weights, or a machine that errs."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: golden.npz is not reproduced: {reason}")
        self.key = key
        self.reason = reason


class LicenceNotAccepted(StoreError):
    """The licence of the weights forbids serving, and nobody has accepted it for this model."""

    def __init__(self, key: str, *, licence: str, terms: str) -> None:
        name = key.partition("/")[0]
        super().__init__(
            f"{key}: its licence {licence!r} does not allow serving ({terms}); "
            f"if you have the right to serve it, name {name!r} among the accepted licences "
            "(MAMMO_ACCEPT_LICENCE of the service, --accept-licence of mammoserve-train)"
        )
        self.key = key
        self.licence = licence
        self.terms = terms
