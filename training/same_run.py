"""Whether a run that is found in a folder is the one that is asked for, by its settings."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from training.run import AnotherRun


def check_same_run(
    found: Mapping[str, Any] | None, asked: Mapping[str, Any], *, where: Path
) -> None:
    """Raise AnotherRun, naming what differs, unless `where` holds a run of the settings `asked`."""
    if found == asked:
        return
    if found is None:
        raise AnotherRun(
            f"the run in {where} does not say what it was configured as; give this one another "
            "--work"
        )
    was, now = dict(_flat(found)), dict(_flat(asked))
    differing = ", ".join(
        f"{key} was {_told(was, key)} and is {_told(now, key)}"
        for key in sorted(was | now)
        if _told(was, key) != _told(now, key)
    )
    raise AnotherRun(
        f"{where} holds a run of another configuration: {differing}; give this one another --work"
    )


def _flat(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """("model.image", "b5") and so on; lists are values."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield above + key, value


def _told(settings: Mapping[str, Any], key: str) -> str:
    return repr(settings[key]) if key in settings else "not there"
