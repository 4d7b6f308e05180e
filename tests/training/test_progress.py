"""Progress is told now and then, however it is counted."""

from training.progress import counter


def told(*steps: int) -> list[str]:
    said: list[str] = []
    tell = counter(said.append, "canvases")
    for done in steps:
        tell(done, 1000)
    return [line.split()[1] for line in said]


def test_a_line_is_said_whenever_two_hundred_more_are_done_in_whatever_steps() -> None:
    assert told(*range(1, 1001)) == [f"{n}/1000" for n in (200, 400, 600, 800, 1000)]
    assert told(*range(64, 1000, 64), 1000) == [f"{n}/1000" for n in (256, 448, 640, 832, 1000)]


def test_a_run_that_goes_on_tells_where_it_stands() -> None:
    assert told(730, 740, 1000) == ["730/1000", "1000/1000"]
