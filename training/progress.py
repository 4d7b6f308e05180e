"""Lines of progress: who has something to say calls a `Say`; only the CLI knows where it goes."""

from collections.abc import Callable

Say = Callable[[str], None]


def counter(say: Say, name: str, *, every: int = 200) -> Callable[[int, int], None]:
    """A function of (done, all) that says a line each `every` images or so, and at the end."""
    told = 0

    def tell(done: int, total: int) -> None:
        nonlocal told
        if done // every != told // every or done == total:  # done may come in any steps
            say(f"{name}: {done}/{total} images")
        told = done

    return tell
