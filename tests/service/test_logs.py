"""Log lines carry the request's id and nothing of what a request carries."""

import io
import json
import logging
import warnings
from collections.abc import Iterator

import pytest

from service import logs
from service.settings import Settings

SECRET = "DOE^JANE"


@pytest.fixture(autouse=True)
def logging_is_put_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    yield
    root.handlers[:], root.level = handlers, level


def lines(*, as_json: bool = False) -> io.StringIO:
    stream = io.StringIO()
    logs.configure(Settings(log_json=as_json), stream=stream)
    return stream


def fail() -> None:
    raise ValueError(f"Invalid value for VR UI: {SECRET}")


def test_a_line_of_text_says_when_how_bad_where_and_for_which_request() -> None:
    stream = lines()
    token = logs.request_id.set("abc")
    logging.getLogger("service.x").warning("%d images", 4)
    logs.request_id.reset(token)
    when, rest = stream.getvalue().split(" ", 1)
    assert when.endswith("Z")
    assert rest == "warning service.x [abc] 4 images\n"


def test_a_line_of_json_holds_the_same() -> None:
    stream = lines(as_json=True)
    logging.getLogger("service.x").error("a\nb")
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {"level": "error", "logger": "service.x", "request_id": "-", "message": "a\nb"}


def test_text_cannot_forge_a_second_line() -> None:
    stream = lines()
    logging.getLogger("x").error("a\nb\r\nc")
    assert stream.getvalue().count("\n") == 1


@pytest.mark.parametrize("as_json", [False, True])
def test_an_exception_shows_its_type_and_place_but_not_its_words(as_json: bool) -> None:
    stream = lines(as_json=as_json)
    try:
        fail()
    except ValueError:
        logging.getLogger("x").exception("failed")
    assert SECRET not in stream.getvalue()
    assert "ValueError at test_logs.py:" in stream.getvalue()


def test_a_warning_shows_its_kind_but_not_its_words() -> None:
    stream = lines()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = logs._warning
        warnings.warn(f"Invalid value {SECRET}", UserWarning, stacklevel=1)
    assert SECRET not in stream.getvalue()
    assert "UserWarning at test_logs.py" in stream.getvalue()


@pytest.mark.parametrize("name", ["pydicom", "python_multipart.multipart", "uvicorn.access"])
def test_loggers_that_quote_are_silent(name: str) -> None:
    stream = lines()
    logging.getLogger(name).error("%s", SECRET)
    assert stream.getvalue() == ""
