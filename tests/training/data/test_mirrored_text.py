"""What a report says of a side and of the clock face, seen in a mirror; and what is not guessed."""

import pytest

from training.data.mirrored_text import mirrored_text


@pytest.mark.parametrize(
    ("text", "mirrored"),
    [
        ("LEFT breast; Right, bright", "RIGHT breast; Left, bright"),
        ("left breast at 2 o'clock, LT breast", "right breast at 10 o'clock, RT breast"),
        ("A left-sided mass, rightward of it a clip", "A right-sided mass, leftward of it a clip"),
        ("Rt. breast and lt axilla, (LT) CC", "Lt. breast and rt axilla, (RT) CC"),
        ("L CC, R-MLO, LCC and RMLO, L breast", "R CC, L-MLO, RCC and LMLO, R breast"),
        ("RUOQ mass, r/o malignancy", "LUOQ mass, r/o malignancy"),
        ("no mass, benign lymph node", "no mass, benign lymph node"),
    ],
)
def test_every_word_of_a_side_changes_and_keeps_its_capitals(text: str, mirrored: str) -> None:
    assert mirrored_text(text) == mirrored
    assert mirrored_text(mirrored) == text


@pytest.mark.parametrize(
    ("hour", "other"),
    [
        ("12", "12"),
        ("6", "6"),
        ("1", "11"),
        ("9", "3"),
        ("02", "10"),
        ("2:30", "9:30"),
        ("12:30", "11:30"),
        ("3:00", "9:00"),
        ("2-3", "9-10"),
        ("11 - 1", "11 - 1"),
        ("2:30 to 4", "8 to 9:30"),
        ("2, 3 and 4", None),
        ("Two", "Ten"),
        ("twelve", "twelve"),
        ("14", None),
        ("2.5", None),
        ("half past two", None),
    ],
)
@pytest.mark.parametrize("clock", [" o'clock", "-o\u2019clock", " oclock"])
def test_hours_go_round_the_other_way_or_the_text_is_refused(
    hour: str, other: str | None, clock: str
) -> None:
    expected = None if other is None else f"at {other}{clock} in the right breast"
    assert mirrored_text(f"at {hour}{clock} in the left breast") == expected


def test_a_mirrored_hour_lies_across_the_midline() -> None:
    """By hand: the sine of the hand's angle changes its sign, the cosine stays."""
    texts = [mirrored_text(f"{hour} o'clock") for hour in range(1, 13)]
    assert texts == [f"{hour} o'clock" for hour in (11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 12)]


@pytest.mark.parametrize(
    "text",
    [
        "status post RT",
        "density L > R",
        "L/R comparison",
        "discussed by telephone at 2:30",
        "rotated clockwise",
        "the clip was left in place",
        "at a right angle to the skin",
        "Lt",
    ],
)
def test_what_may_tell_of_a_side_and_is_not_understood_is_not_guessed(text: str) -> None:
    assert mirrored_text(text) is None
