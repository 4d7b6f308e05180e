"""CSV files with typed cells; a wrong one is refused by file, line and column.

A cell that is empty, or what pandas writes for that, is None. Knows nothing of mammography but its
words for sides and views.
"""

import ast
import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Never, TextIO, TypeVar

from training.progress import Say

EMPTY = frozenset({"", "nan", "none", "null", "na", "n/a", "<na>"})
SIDES = {"L": "L", "R": "R", "LEFT": "L", "RIGHT": "R"}
VIEWS = ("CC", "MLO", "ML", "LM", "LMO", "AT", "XCCL", "XCCM", "FB", "SIO", "ISO", "CV")
"""PS3.3 C.8.11.7 and what RSNA writes; AT is an axillary tail, LMO a lateral oblique."""
FLAGS = {"0": False, "1": True, "0.0": False, "1.0": True, "FALSE": False, "TRUE": True}
MAX_CELL = 1 << 20
MAX_SIDE_PX = 65535  # PS3.3 C.7.6.3: Rows (0028,0010) and Columns (0028,0011) are US
NOT_OPENED: Mapping[type[OSError], str] = {
    FileNotFoundError: "nothing of that name",
    IsADirectoryError: "a folder",
    NotADirectoryError: "a file where its folder should be",
}
T = TypeVar("T")


class BadTable(ValueError):
    """`path` of what could not be read; `line` (1 is the header) and `column` if it has them."""

    def __init__(
        self,
        path: Path,
        *,
        expected: str,
        got: str,
        advice: str,
        line: int | None = None,
        column: str | None = None,
    ) -> None:
        where = "" if line is None else f", line {line}, column {column!r}"
        super().__init__(f"{path}{where}: expected {expected}, got {got}; {advice}")
        self.path = path
        self.line = line
        self.column = column


@dataclass(slots=True)
class Notes:
    """What was changed or left out while reading, counted, to be said at the end."""

    counts: Counter[str] = field(default_factory=Counter)

    def add(self, what: str) -> None:
        """One more of it."""
        self.counts[what] += 1

    def tell(self, say: Say, *, name: str, records: Sequence[object]) -> None:
        """A line for the whole, and one for each thing noted."""
        say(f"{name}: {len(records)} images")
        for what, count in sorted(self.counts.items()):
            say(f"{name}: {count} {what}")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table, cells by column as text."""

    path: Path
    line: int
    cells: Mapping[str, str]

    def has(self, column: str) -> bool:
        """Whether the table has the column and the cell says something."""
        return self.maybe_text(column) is not None

    def maybe_text(self, column: str) -> str | None:
        """The text without space around it."""
        text = self.cells.get(column, "").strip()
        return None if text.lower() in EMPTY else text

    def text(self, column: str) -> str:
        """The same where it must not be empty."""
        text = self.maybe_text(column)
        if text is None:
            self.refuse(column, "a value")
        return text

    def identifier(self, column: str) -> str:
        """A name; what pandas made a float of a whole number is one again."""
        return self.text(column).removesuffix(".0")

    def maybe_one_of(self, column: str, known: Mapping[str, T]) -> T | None:
        """What `known` has under the cell, upper or lower case."""
        text = self.maybe_text(column)
        if text is None:
            return None
        if text.upper() not in known:
            self.refuse(column, f"one of {', '.join(known)}")
        return known[text.upper()]

    def one_of(self, column: str, known: Mapping[str, T]) -> T:
        """The same where it must not be empty."""
        value = self.maybe_one_of(column, known)
        if value is None:
            self.refuse(column, f"one of {', '.join(known)}")
        return value

    def maybe_number(self, column: str) -> float | None:
        """A finite number."""
        text = self.maybe_text(column)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            self.refuse(column, "a number")
        if not abs(value) < float("inf"):
            self.refuse(column, "a finite number")
        return value

    def number(self, column: str) -> float:
        """The same where it must not be empty."""
        value = self.maybe_number(column)
        if value is None:
            self.refuse(column, "a number")
        return value

    def maybe_whole(self, column: str) -> int | None:
        """A whole number; 2.0 is one."""
        value = self.maybe_number(column)
        if value is not None and value != int(value):
            self.refuse(column, "a whole number")
        return None if value is None else int(value)

    def whole(self, column: str) -> int:
        """The same where it must not be empty."""
        value = self.maybe_whole(column)
        if value is None:
            self.refuse(column, "a whole number")
        return value

    def side_px(self, column: str) -> int:
        """Height or width of an image in pixels."""
        value = self.whole(column)
        if not 1 <= value <= MAX_SIDE_PX:
            self.refuse(column, f"pixels, 1 to {MAX_SIDE_PX}")
        return value

    def maybe_flag(self, column: str) -> bool | None:
        """0, 1, True or False."""
        return self.maybe_one_of(column, FLAGS)

    def literal(self, column: str) -> object:
        """A Python list, tuple or number written as text; nothing is run."""
        text = self.text(column)
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            self.refuse(column, "a list as Python writes it")

    def texts(self, column: str) -> list[str]:
        """A list of texts, written as Python writes it; a single text is a list of one."""
        text = self.maybe_text(column)
        if text is None:
            return []
        if not text.startswith(("[", "(")):
            return [text]
        value = self.literal(column)
        if not isinstance(value, list | tuple) or not all(isinstance(t, str) for t in value):
            self.refuse(column, "a list of texts")
        return [str(item).strip() for item in value if str(item).strip().lower() not in EMPTY]

    def refuse(self, column: str, expected: str, advice: str = "correct the cell") -> Never:
        """Raise BadTable about a cell."""
        got = self.maybe_text(column)
        raise BadTable(
            self.path,
            line=self.line,
            column=column,
            expected=expected,
            got="nothing" if got is None else ascii(got if len(got) <= 60 else got[:57] + "..."),
            advice=advice,
        )


def read_rows(path: Path, *, columns: Sequence[str], source: str) -> Iterator[Row]:
    """Rows of a CSV file with a header. `source` names the file that was meant, for the message.

    Raises BadTable: there is no such file, a column is missing or there twice, a line has too many
    or too few cells, the header stands alone, the file is no UTF-8 text.
    """
    csv.field_size_limit(MAX_CELL)
    line, rows = 1, 0
    with _open(path, source=source) as file:
        reader = csv.reader(file, strict=True)
        try:
            header = [name.strip() for name in next(reader, [])]
            _check_header(path, header, columns=columns, source=source)
            for cells in reader:
                line = reader.line_num
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise _unreadable(path, line, f"{len(header)} cells", f"{len(cells)}")
                rows += 1
                yield Row(path, line, dict(zip(header, cells, strict=True)))
        except UnicodeDecodeError:
            raise _unreadable(path, line, "UTF-8 text", "other bytes after this line") from None
        except csv.Error as error:
            raise _unreadable(path, line, "comma-separated cells", str(error)) from None
    if not rows:
        advice = f"give the whole of {source}"
        raise BadTable(path, expected="lines below the header", got="none", advice=advice)


def read_header(path: Path, *, source: str) -> list[str]:
    """Names of a CSV file's columns; none of an empty file. Raises BadTable."""
    with _open(path, source=source) as file:
        try:
            return [name.strip() for name in next(csv.reader(file, strict=True), [])]
        except UnicodeDecodeError:
            raise _unreadable(path, 1, "UTF-8 text", "other bytes") from None
        except csv.Error as error:
            raise _unreadable(path, 1, "comma-separated cells", str(error)) from None


def tables_in(folder: Path, *names: str, owner: str) -> list[Path]:
    """Paths of the tables `names` of `owner`, which lie in one folder. Raises BadTable."""
    advice = f"give the folder that holds {' and '.join(names)}"
    if not folder.is_dir():
        got = "a file" if folder.exists() else NOT_OPENED[FileNotFoundError]
        raise BadTable(folder, expected=f"the folder of {owner}'s tables", got=got, advice=advice)
    paths = [folder / name for name in names]
    for path in paths:
        if not path.exists():
            got = NOT_OPENED[FileNotFoundError]
            raise BadTable(path, expected=f"{owner}'s {path.name}", got=got, advice=advice)
    return paths


def _open(path: Path, *, source: str) -> TextIO:
    try:
        return path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        got = NOT_OPENED.get(type(error), str(error.strerror))
        raise BadTable(
            path, expected=f"a CSV file: {source}", got=got, advice="give the path of that file"
        ) from None


def _check_header(path: Path, header: list[str], *, columns: Sequence[str], source: str) -> None:
    missing = [name for name in columns if name not in header]
    twice = [name for name, count in Counter(header).items() if count > 1 and name]
    if not missing and not twice:
        return
    found = ", ".join(header[:30]) or "an empty file"
    raise BadTable(
        path,
        line=1,
        column=(missing or twice)[0],
        expected="this column once in the header",
        got="it twice" if twice and not missing else f"only {found!a}",
        advice=f"give {source}, with commas between cells",
    )


def _unreadable(path: Path, line: int, expected: str, got: str) -> BadTable:
    return BadTable(
        path,
        line=line,
        column="*",
        expected=expected,
        got=got,
        advice="export the table anew as CSV",
    )
