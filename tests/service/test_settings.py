"""Settings come from the environment, and docs/settings.md tells the truth about each."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from model_store.providers import Provider
from service.cli import app
from service.settings import Settings, default_data_dir

DOC = Path(__file__).parents[2] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("MAMMO_")]:
        monkeypatch.delenv(name)


def documented() -> dict[str, list[str]]:
    rows = [line for line in DOC.read_text().splitlines() if line.startswith("| `MAMMO_")]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {row[0].strip("`"): row[1:] for row in cells}


def shown(name: str) -> str:
    field = Settings.model_fields[name]
    if name == "models":
        return "`model_store/models` of the checkout"
    if name == "data":
        return "`$XDG_DATA_HOME/mammoserve`"
    if field.default is None or field.default == ():
        return "unset"
    return f"`{str(field.default).lower() if field.default in (True, False) else field.default}`"


def test_every_setting_is_documented_with_its_default_and_description() -> None:
    expected = {
        f"MAMMO_{name.upper()}": [shown(name), field.description]
        for name, field in Settings.model_fields.items()
    }
    assert documented() == expected


def test_a_variable_of_the_environment_sets_its_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAMMO_MAX_BATCH", "3")
    monkeypatch.setenv("MAMMO_ACCEPT_LICENCE", "mammo-clip-b5, mama")
    settings = Settings()
    assert settings.max_batch == 3
    assert settings.accept_licence == ("mammo-clip-b5", "mama")


def test_the_former_name_of_a_setting_is_an_error_that_says_the_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAMMO_ACCEPT_LICENCES", "mama")
    with pytest.raises(ValidationError, match="expected MAMMO_ACCEPT_LICENCE, got MAMMO_ACC"):
        Settings()
    result = CliRunner().invoke(app, ["serve"])
    assert result.exit_code == 2
    assert "rename the variable to MAMMO_ACCEPT_LICENCE" in result.stderr


def test_a_former_name_that_is_empty_asks_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAMMO_ACCEPT_LICENCES", "")
    assert Settings().accept_licence == ()


def test_an_empty_redis_url_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAMMO_REDIS_URL", "")
    assert Settings().redis_url is None


def test_an_empty_provider_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAMMO_PROVIDER", "")
    assert Settings().provider is Provider.AUTO


def test_a_redis_password_does_not_show_in_repr() -> None:
    assert "hunter2" not in repr(Settings(redis_url="redis://:hunter2@localhost:1/0"))


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1  # type: ignore[misc]


def test_an_unknown_setting_is_an_error() -> None:
    with pytest.raises(ValidationError, match="max_bach"):
        Settings(max_bach=1)  # type: ignore[call-arg]


def test_a_default_deadline_beyond_the_longest_is_an_error() -> None:
    with pytest.raises(ValidationError, match="max_deadline_s"):
        Settings(deadline_s=400)


def test_data_lies_where_xdg_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_data_dir() == tmp_path / "mammoserve"


def test_a_worker_reads_back_the_settings_it_was_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = Settings(data=tmp_path, max_batch=2, accept_licence=("a", "b"), log_json=True)
    for name, value in given.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings() == given


@pytest.mark.parametrize(
    "url", ["canary", "http://:canary@h", "redis://:canary@h:x/0", "redis://h:99999", "unix://"]
)
def test_a_queue_address_that_is_none_is_refused_without_its_password(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAMMO_REDIS_URL", url)
    with pytest.raises(ValidationError, match="expected redis://") as caught:
        Settings()
    assert "canary" not in str(
        caught.value.errors(include_url=False, include_input=False)[0]["msg"]
    )


def test_a_log_level_is_known_in_capitals_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAMMO_LOG_LEVEL", "DEBUG")
    assert Settings().log_level == "debug"
