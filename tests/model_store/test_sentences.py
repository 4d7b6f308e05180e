"""A report is split where a reader would split it, and not a character of it is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.sentences import pieces_of, report_sentences

REPORT = """EXAM: Bilateral screening mammogram.
COMPARISON: 12/03/2019, read by Dr. J. Smith.

FINDINGS: There is a mass measuring 1.5 cm. in the upper outer quadrant of the right breast
at middle depth, e.g. a fibroadenoma. The density is category C. The left breast is normal!
1. A 0.8 cm cluster of calcifications
2) No architectural distortion
- Skin thickening (see Fig. 2). "Stable." Compare no. 3 as well. Is there more? No.
IMPRESSION: BI-RADS 4. Biopsy recommended.
"""


def texts(report: str) -> list[str]:
    return [sentence.text for sentence in report_sentences(report)]


def test_a_whole_report_comes_apart_sentence_by_sentence() -> None:
    found = [(sentence.section, sentence.text) for sentence in report_sentences(REPORT)]
    assert found == [
        ("exam", "Bilateral screening mammogram."),
        ("comparison", "12/03/2019, read by Dr. J. Smith."),
        (
            "findings",
            "There is a mass measuring 1.5 cm. in the upper outer quadrant of the right breast "
            "at middle depth, e.g. a fibroadenoma.",
        ),
        ("findings", "The density is category C."),
        ("findings", "The left breast is normal!"),
        ("findings", "A 0.8 cm cluster of calcifications"),
        ("findings", "No architectural distortion"),
        ("findings", "Skin thickening (see Fig. 2)."),
        ("findings", '"Stable."'),
        ("findings", "Compare no. 3 as well."),
        ("findings", "Is there more?"),
        ("findings", "No."),
        ("impression", "BI-RADS 4."),
        ("impression", "Biopsy recommended."),
    ]


@pytest.mark.parametrize(
    "sentence",
    [
        "The mass measures 1.2 x 0.9 cm, i.e. it has grown.",
        "Compared to approx. 5 mm in 2019.",
        "A mass of 8 mm. at middle depth.",
        "Mass vs. asymmetry in the right breast.",
        "Seen at 3 p.m. in the clinic.",
        "Read by Dr. A. B. Jones.",
    ],
)
def test_a_full_stop_within_a_sentence_does_not_end_it(sentence: str) -> None:
    assert texts(sentence) == [sentence]


@pytest.mark.parametrize(
    "report",
    [
        "A mass of 8 mm. It is new.",
        "Is there a mass? It is new.",
        "There is none... It is new.",
        'He said "no mass." It is new.',
        "The answer is no. It is new.",
        "the breast is dense. it is new.",
        "No mass\n\nIt is new.",
        "No mass\n- It is new.",
        "No mass\nIMPRESSION:\nIt is new.",
        "No mass. IMPRESSION: It is new.",
        "No mass\nImpression\nIt is new.",
    ],
)
def test_two_sentences_come_apart(report: str) -> None:
    assert len(texts(report)) == 2


def test_a_line_that_is_only_wrapped_goes_on() -> None:
    assert texts("There is a mass\r\n  in the right\tbreast.") == [
        "There is a mass in the right breast."
    ]


@pytest.mark.parametrize("bullet", ["-", "*", "\u2022", "1.", "12)", "(3)", "a)"])
def test_a_list_is_one_sentence_an_item_without_its_bullet(bullet: str) -> None:
    assert texts(f"{bullet} There is a mass\n{bullet} No calcification") == [
        "There is a mass",
        "No calcification",
    ]


def test_a_side_that_reads_like_a_heading_stays_with_its_sentence() -> None:
    assert texts("RIGHT BREAST: There is a mass.") == ["RIGHT BREAST: There is a mass."]


def test_a_section_may_be_given_until_a_heading_says_another() -> None:
    found = report_sentences("A mass.\nIMPRESSION: BI-RADS 4.", section="findings")
    assert [sentence.section for sentence in found] == ["findings", "impression"]


@pytest.mark.parametrize("report", ["", " \n\t", "...", "1.\n2.", "- - -", "FINDINGS:"])
def test_what_holds_no_sentence_gives_none(report: str) -> None:
    assert texts(report) == []


LIKE_A_REPORT = st.lists(
    st.sampled_from(
        [*"aAbB19.,:;!?-*()\"' \n\r\t\u2022", "FINDINGS:", "Dr.", "e.g. ", "1. ", "cm"]
    ),
    max_size=60,
).map("".join)


@given(LIKE_A_REPORT | st.text(max_size=200))
def test_the_pieces_hold_every_character_that_is_not_space(report: str) -> None:
    pieces = pieces_of(report)
    assert "".join("".join(piece.text.split()) for piece in pieces) == "".join(report.split())
    for sentence in report_sentences(report):
        assert sentence.text == " ".join(sentence.text.split())
        assert any(character.isalpha() for character in sentence.text)
