"""Lines of progress: who has something to say calls a `Say`; only the CLI knows where it goes."""

from collections.abc import Callable

Say = Callable[[str], None]


def counter(say: Say, name: str, *, every: int = 200) -> Callable[[int, int], None]:
    """A function of (done, all) that says a line now and then, and at the end."""

    def tell(done: int, total: int) -> None:
        if done % every == 0 or done == total:
            say(f"{name}: {done}/{total} images")

    return tell
