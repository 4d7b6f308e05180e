"""Which model version a request means. Knows nothing of HTTP, queues or pixels."""

import contextlib
import logging
from collections.abc import Iterable
from pathlib import Path

from model_store.errors import ModelNotFound, StoreError
from model_store.store import ModelStore, ModelVersion
from service.errors import ErrorItem, LicenceNotAccepted, NoWorker, UnknownModel

logger = logging.getLogger(__name__)


class Catalog:
    """The store below `root`, with the default that the operator has named, if any.

    `accepted`: names of models whose licence forbids serving and whose terms are accepted.
    """

    def __init__(
        self, root: Path, *, default: str | None = None, accepted: Iterable[str] = ()
    ) -> None:
        self.store = ModelStore(root)
        self.accepted = frozenset(accepted)
        self._default = default
        self._read: dict[str, ModelVersion] = {}

    def names(self) -> list[str]:
        """Models in the store, sorted."""
        return self.store.names()

    def readable(self) -> list[ModelVersion]:
        """The newest version of each model whose files can be read; the others are logged."""
        found: list[ModelVersion] = []
        for name in self.names():
            with contextlib.suppress(UnknownModel, NoWorker):
                found.append(self.find(name))
        return found

    def is_default(self, name: str) -> bool:
        """Whether this model answers a request that names none."""
        if self._default is not None:
            return name == self._default.partition("/")[0]
        return name in self.names()[:1]

    def default(self) -> ModelVersion:
        """What answers where a request names no model. Raises UnknownModel in an empty store."""
        if self._default is not None:
            return self.find(self._default)
        names = self.names()
        if not names:
            raise UnknownModel("The service has no model yet.")
        return self.find(names[0])

    def find(self, asked: str | None) -> ModelVersion:
        """`name`, `name/version` or None. Raises UnknownModel, which lists the known ones."""
        if asked is None:
            return self.default()
        name, _, version = asked.partition("/")
        known = self.names()
        if name not in known:
            raise _unknown(known)
        versions = self.store.versions(name)
        if not version and "/" not in asked:
            version = versions[-1]
        if version not in versions:
            raise _unknown([f"{name}/{one}" for one in versions])
        return self._version(name, version)

    def served(self, asked: str | None) -> ModelVersion:
        """The same for what is to be run. Raises LicenceNotAccepted too."""
        version = self.find(asked)
        if not self.may_serve(version):
            raise LicenceNotAccepted(f"Not served: {how_to_accept(version)}.")
        return version

    def may_serve(self, version: ModelVersion) -> bool:
        """Whether its licence allows it or the operator has accepted its terms."""
        return version.manifest.may_be_served(self.accepted)

    def log_refused(self) -> None:
        """One line for each model that is not served for its licence, and one for accepted names
        that no model has: the operator meant something by them.
        """
        known = self.names()
        unknown = sorted(self.accepted.difference(known))
        if unknown:
            logger.warning(
                "MAMMO_ACCEPT_LICENCE: expected names of models, got %s; name each as it is "
                "written, without its version; there are: %s",
                ", ".join(map(repr, unknown)),
                ", ".join(known) or "none",
            )
        for version in self.readable():
            if not self.may_serve(version):
                logger.warning("not served: %s", how_to_accept(version))

    def _version(self, name: str, version: str) -> ModelVersion:
        """A published version never changes, so it is read once."""
        key = f"{name}/{version}"
        if key not in self._read:
            try:
                self._read[key] = self.store.find(name, version)
            except ModelNotFound as error:  # removed between listing and reading
                raise _unknown(error.known) from error
            except StoreError as error:
                logger.error("%s", error)
                raise NoWorker("This model's files cannot be read; see the log.") from error
        return self._read[key]


def how_to_accept(version: ModelVersion) -> str:
    """Why a model is not served, where its terms are read, and which setting accepts them."""
    name, licence = version.manifest.name, version.manifest.licence.name
    return (
        f"the licence of {version.key} ({licence}) forbids serving without the operator's word; "
        f"read its terms (mammoserve models show {version.key}, GET /v1/models/{version.key}) "
        f"and, where you have the right to serve it, set MAMMO_ACCEPT_LICENCE={name}"
    )


def _unknown(known: list[str]) -> UnknownModel:
    listed = ", ".join(known) or "none"
    return UnknownModel(
        f"There is no such model; known: {listed}.",
        errors=[ErrorItem(message=f"known: {listed}", parameter="model")],
    )
