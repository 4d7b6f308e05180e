"""CSV files: typed cells, and every fault told by file, line and column."""

import contextlib
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.tables import BadTable, Notes, Row, read_header, read_rows


def table(folder: Path, text: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows(folder: Path, text: str | bytes, *columns: str) -> list[Row]:
    return list(read_rows(table(folder, text), columns=columns, source="the table of the test"))


def cell(text: str) -> Row:
    return Row(Path("t.csv"), 7, {"c": text})


def test_cells_are_read_by_column_with_the_line_they_stand_in(tmp_path: Path) -> None:
    read = rows(tmp_path, '\ufeffa,b\r\n1,x\r\n\r\n2,"y\nz"\r\n', "a", "b")
    assert [(row.line, row.whole("a"), row.text("b")) for row in read] == [
        (2, 1, "x"),
        (5, 2, "y\nz"),
    ]
    assert read_header(tmp_path / "table.csv", source="the table") == ["a", "b"]


@pytest.mark.parametrize("text", ["", " ", "nan", "NaN", "None", "NULL", "<NA>"])
def test_what_pandas_writes_for_nothing_is_nothing(text: str) -> None:
    row = cell(text)
    assert not row.has("c")
    assert row.maybe_number("c") is row.maybe_text("c") is row.maybe_flag("c") is None
    assert row.texts("c") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a,c\n1,2\n",
            "line 1, column 'b': expected this column once .* got only 'a, c'; give the",
        ),
        ("", "line 1, column 'a': .* got only 'an empty file'"),
        ("a,b,a\n", "line 1, column 'a': .* got it twice"),
        ("a;b\n1;2\n", "line 1, column 'a': .* commas between cells"),
        ("a,b\n1,2\n1,2,3\n", "line 3, column '.': expected 2 cells, got 3; export"),
        ("a,b\n1\n", "line 2, .* expected 2 cells, got 1"),
        (b"a,b\n1,\xff\n", "expected UTF-8 text"),
        ('a,b\n1,"x"y\n', "expected comma-separated cells"),
        ("a,b\n", "expected lines below the header, got none; give the whole of the table of the"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(BadTable, match=f"table.csv.*{message}"):
        rows(tmp_path, text, "a", "b")


def test_what_is_no_file_is_refused_with_what_was_meant(tmp_path: Path) -> None:
    path = table(tmp_path, "a\n1\n")
    for place, got in (
        (tmp_path, "a folder"),
        (tmp_path / "none.csv", "nothing of that name"),
        (path / "x.csv", "a file where its folder should be"),
    ):
        message = f"{place}: expected a CSV file: the table, got {got}; give the path of that file"
        with pytest.raises(BadTable, match=f"^{re.escape(message)}$") as caught:
            list(read_rows(place, columns=(), source="the table"))
        assert (caught.value.path, caught.value.line) == (place, None)
        with pytest.raises(BadTable, match=re.escape(message)):
            read_header(place, source="the table")


def test_numbers_flags_and_lists_are_parsed() -> None:
    assert cell("2.0").whole("c") == 2
    assert cell("-1.5").number("c") == -1.5
    assert [cell(text).maybe_flag("c") for text in ("0", "1", "True", "false")] == [0, 1, 1, 0]
    assert cell("['a', ' b ', 'nan']").texts("c") == ["a", "b"]
    assert cell("a plain text").texts("c") == ["a plain text"]
    assert cell("8099128854014801.0").identifier("c") == "8099128854014801"


@pytest.mark.parametrize(
    ("text", "method", "message"),
    [
        ("", "text", "expected a value, got nothing; correct the cell"),
        ("x", "number", "expected a number, got 'x'"),
        ("inf", "number", "expected a finite number, got 'inf'"),
        ("1.5", "whole", "expected a whole number, got '1.5'"),
        ("", "whole", "expected a whole number, got nothing"),
        ("2", "maybe_flag", "expected one of 0, 1, .* got '2'"),
        ("[1", "texts", "expected a list as Python writes it"),
        ("[1]", "texts", "expected a list of texts"),
        ("[__import__('os')]", "texts", "expected a list as Python writes it"),
        ("[" * 5000, "texts", "expected a list as Python writes it"),
        ("\u2028" + "x" * 99, "number", re.escape(r"got 'xxx") + r"x+\.\.\.'"),
    ],
)
def test_a_wrong_cell_is_told_by_line_and_column(text: str, method: str, message: str) -> None:
    with pytest.raises(BadTable, match=f"t.csv, line 7, column 'c': .*{message}") as caught:
        getattr(cell(text), method)("c")
    assert (caught.value.line, caught.value.column) == (7, "c")


def test_a_closed_list_is_named_in_the_refusal() -> None:
    known = {"CC": 1, "MLO": 2}
    assert cell("mlo").one_of("c", known) == 2
    with pytest.raises(BadTable, match="expected one of CC, MLO, got 'XX'"):
        cell("XX").maybe_one_of("c", known)
    with pytest.raises(BadTable, match="expected one of CC, MLO, got nothing"):
        cell("").one_of("c", known)


def test_what_was_noted_is_said_with_its_count() -> None:
    notes, said = Notes(), list[str]()
    for what in ("b", "a", "b"):
        notes.add(what)
    notes.tell(said.append, name="T", records=[1, 2, 3])
    assert said == ["T: 3 images", "T: 1 a", "T: 2 b"]


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=60))
def test_any_bytes_are_rows_or_a_refusal(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = table(Path(folder), b"a,b\n" + content)
        with contextlib.suppress(BadTable):
            for row in read_rows(path, columns=("a", "b"), source="the table"):
                assert set(row.cells) == {"a", "b"}
