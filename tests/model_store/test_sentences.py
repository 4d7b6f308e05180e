"""A report is split where a reader would split it, and not a character of it is lost."""

import json
import re
import subprocess
import sys
from collections import Counter

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
        "Seen by J. Smith.",
        "Seen by C. Smith.",
        "Read by J.R. Smith.",
        "A U.S. guided biopsy is advised.",
        "Compared to Jan. 3, 2020.",
        "A mass in the R. breast and in the L. Breast.",
        "4. Biopsy recommended.",
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
        "Nothing was seen in the U.S. It is new.",
        "The density is C. It is new.",
        "None is seen on the R. It is new.",
        "It was read in Jan. It is new.",
    ],
)
def test_two_sentences_come_apart(report: str) -> None:
    assert len(texts(report)) == 2


def test_a_line_that_is_only_wrapped_goes_on() -> None:
    assert texts("There is a mass\r\n  in the right\tbreast.") == [
        "There is a mass in the right breast."
    ]


@pytest.mark.parametrize(
    "bullets",
    ["--", "**", "\u2022\u2022", "\uf0b7\uf0b7", ("1.", "2."), ("1)", "2)"), ("(1)", "(2)"),
     ("a)", "b)"), ("A.", "B.")],
)  # fmt: skip
def test_a_list_is_one_sentence_an_item_without_its_bullet(bullets: tuple[str, str]) -> None:
    first, second = bullets
    assert texts(f"{first} There is a mass\n{second} no calcification") == [
        "There is a mass",
        "no calcification",
    ]


@pytest.mark.parametrize(
    "report",
    [
        "-No mass\n-no calc\n-No asymmetry",
        "\u2022No mass\n\u2022no calc\n\u2022No asymmetry",
        "1.No mass\n2.no calc\n3.No asymmetry",
        "1)No mass\n2)no calc\n3)No asymmetry",
    ],
)
def test_a_bullet_or_number_of_a_list_needs_no_space_behind_it(report: str) -> None:
    assert texts(report) == ["No mass", "no calc", "No asymmetry"]


@pytest.mark.parametrize(
    ("report", "sentences"),
    [
        ("R. breast: mass. L. breast: normal.", ["R. breast: mass.", "L. breast: normal."]),
        ("R. breast: mass\nL. breast: none", ["R. breast: mass", "L. breast: none"]),
        ("R) MLO: a mass\nL) MLO: none", ["R) MLO: a mass", "L) MLO: none"]),
        ("BI-RADS\n4. Biopsy recommended.", ["BI-RADS 4.", "Biopsy recommended."]),
        ("BI-RADS:\n1. Negative.", ["BI-RADS: 1.", "Negative."]),
        ("Density is\nC. There is a mass.", ["Density is C.", "There is a mass."]),
        ("Density is\nA. There is a mass.", ["Density is A.", "There is a mass."]),
        ("ASSESSMENT:\n2. Benign.", ["2. Benign."]),
        ("1. A cyst.\nASSESSMENT:\n2. Benign.", ["1. A cyst.", "2. Benign."]),
        (
            "Right BI-RADS\n1. Negative.\nLeft BI-RADS\n2. Benign.",
            ["Right BI-RADS 1.", "Negative.", "Left BI-RADS 2.", "Benign."],
        ),
        ("IMPRESSION: 4.", ["4."]),
        ("COMPARISON: 12/03/2019.", ["12/03/2019."]),
        ("None is there on\nexamination\nof today", ["None is there on examination of today"]),
    ],
)
def test_a_side_a_category_or_a_date_is_no_marker(report: str, sentences: list[str]) -> None:
    assert texts(report) == sentences


@pytest.mark.parametrize(
    "report",
    ["There is a mass\nNo calcification\nBI-RADS 4", "A mass on the left\nNo calc\nStable"],
)
def test_lines_without_full_stops_that_begin_with_a_capital_are_sentences(report: str) -> None:
    assert texts(report) == report.split("\n")


@pytest.mark.parametrize(
    "report",
    [
        "It was read by Dr.\nSmith today",
        "It was compared to\nJanuary 2020",
        "It is of BI-RADS\nCategory 4",
        "A mass is seen in the Right\nBreast",
        "Right breast:\nMass",
        "A MASS IS SEEN BESIDE A\nSCAR OF THE BREAST",
        "In the outer quadrant of the breast there is a mass which was there\nNovember last",
    ],
)
def test_a_capital_begins_no_sentence_where_the_line_may_be_wrapped(report: str) -> None:
    assert texts(report) == [report.replace("\n", " ")]


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
        [
            *"aAbB19.,:;!?-*()\"' \n\r\t\u2022",
            "FINDINGS:",
            "Dr.",
            "e.g. ",
            "1. ",
            "cm",
            "\n1.",
            "\n2.",
            "\nR. ",
            "is\nC. ",
        ]
    ),
    max_size=60,
).map("".join)


LIST_MARKER = re.compile(r"\(?(\d{1,2}|[a-zA-Z])[.)]")


@given(LIKE_A_REPORT | st.text(max_size=200))
def test_the_pieces_hold_every_character_that_is_not_space(report: str) -> None:
    pieces = pieces_of(report)
    assert "".join("".join(piece.text.split()) for piece in pieces) == "".join(report.split())
    for sentence in report_sentences(report):
        assert sentence.text == " ".join(sentence.text.split())
        assert any(character.isalnum() for character in sentence.text)


@given(LIKE_A_REPORT | st.text(max_size=200))
def test_no_word_is_lost_but_headings_and_markers_of_lists_that_count_up(report: str) -> None:
    told = "".join(sentence.text for sentence in report_sentences(report))
    headings = "".join(piece.text for piece in pieces_of(report) if piece.kind == "heading")
    markers = [piece.text for piece in pieces_of(report) if piece.kind == "marker"]
    counted = [found[1] for text in markers if (found := LIST_MARKER.fullmatch(text))]
    lost = letters(report) - letters(told) - letters(headings)
    assert lost == letters("".join(counted))
    assert set(counted) <= {"1", "2", "a", "b", "A", "B"} or len(set(counted)) > 1


def letters(text: str) -> Counter[str]:
    return Counter(character for character in text if character.isalnum())


RUNS = [
    ".",
    "1.",
    "1. ",
    "R. ",
    "\n",
    "- ",
    "-",
    " ",
    ". ",
    '."',
    "FINDINGS: ",
    ". FINDINGS ",
    "A\n",
    "Aa\n",
    "-a\n",
    "1.a",
    "(",
    "\u2022",
    "* ",
    ".) ",
    "CLINICAL ",
    "bi-",
    "of ",
    "\u0301",
]


def test_whatever_repeats_itself_is_split_and_does_not_hang() -> None:
    """One step too many a character, squared, is minutes at this length: it would never end."""
    script = (
        "import json, sys\n"
        "from model_store.sentences import report_sentences\n"
        "for run in json.loads(sys.argv[1]):\n"
        "    report_sentences('There is ' + run * (100_000 // len(run)) + 'x')\n"
    )
    asked = json.dumps(RUNS)
    subprocess.run([sys.executable, "-c", script, asked], timeout=120, check=True)
