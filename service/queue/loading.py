"""Which models a worker serves, loaded and checked against their golden files."""

import logging

from model_store.errors import LicenceNotAccepted
from model_store.providers import Execution
from model_store.runtime import ModelRuntime
from model_store.store import ModelStore, ModelVersion, StoreError
from service.queue.batching import Served
from service.queue.looking import looker
from service.settings import Settings

logger = logging.getLogger(__name__)


def served_versions(settings: Settings) -> list[ModelVersion]:
    """The newest version of every name, and the default if it names an older one."""
    store = ModelStore(settings.models)
    versions: dict[str, ModelVersion] = {}
    asked: list[tuple[str, str | None]] = [(name, None) for name in store.names()]
    if settings.model is not None:
        default_name, _, default_version = settings.model.partition("/")
        asked.append((default_name, default_version or None))
    for name, version in asked:
        try:
            found = store.find(name, version)
        except StoreError as error:
            logger.error("not served: %s", error)
        else:
            versions[found.key] = found
    return list(versions.values())


def load_models(settings: Settings) -> list[Served]:
    """Every version that loads and reproduces its golden file; the others are logged.

    Those whose licence is not accepted at level debug only: see Catalog.log_refused.
    Raises ProviderUnavailable: where one is asked for by name, another would hide a fault.
    """
    execution = Execution(
        provider=settings.provider, max_batch=settings.max_batch, engines=settings.engines
    )
    loaded: list[Served] = []
    for version in served_versions(settings):
        try:
            runtime = ModelRuntime.load(
                version,
                threads=settings.worker_threads,
                accept_licences=frozenset(settings.accept_licence),
                execution=execution,
            )
        except LicenceNotAccepted as error:
            logger.debug("not loaded: %s", error)  # whoever started the worker has said it
            continue
        except StoreError as error:
            logger.error("not served: %s", error)
            continue
        loaded.append(_served(runtime))
    return loaded


def _served(runtime: ModelRuntime) -> Served:
    version = runtime.version
    logger.info(
        "%s runs on %s, %s a pass",
        version.key,
        ", ".join(runtime.providers),
        " or ".join(map(str, runtime.batch_sizes or (runtime.preferred_batch,))),
    )
    recipe = version.manifest.recipe
    return Served(
        key=version.key,
        digest=version.digest,
        shape=(recipe.height_px, recipe.width_px),
        executor=runtime,
        look=looker(runtime),
    )
