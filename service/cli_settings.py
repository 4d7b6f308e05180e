"""Settings of a command: from the environment, and a plain word where a value cannot be used."""

from typing import Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from service.settings import ENV_PREFIX, Settings


def settings_or_exit(**given: Any) -> Settings:
    """Settings, `given` before MAMMO_ variables; ends the command with the name of a bad one."""
    try:
        return Settings(**given)
    except ValidationError as error:
        for one in error.errors(include_url=False, include_input=False):
            name = f"{ENV_PREFIX}{'_'.join(map(str, one['loc'])).upper()}" if one["loc"] else ""
            words = one["msg"].removeprefix("Value error, ")
            Console(stderr=True, soft_wrap=True).print(f"[red]{name} {escape(words)}[/red]")
        raise typer.Exit(2) from error
