"""The command `mammoserve`. Each verb has its own file; settings come from MAMMO_ variables."""

import signal
import threading
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from service import logs
from service.catalog import Catalog
from service.cli_classify import classify
from service.cli_heat import ground, heatmap
from service.cli_models import models_app
from service.cli_pull import pull
from service.cli_render import render
from service.cli_settings import settings_or_exit
from service.client import ClientError
from service.demo import run_demo
from service.queue.embedded import EmbeddedServerError
from service.serving import Serving, ServingError
from service.settings import Settings
from service.supervisor import WRONG_SETTINGS
from service.version import VERSION

FIRST_READY_S = 24 * 3600.0

app = typer.Typer(
    name="mammoserve",
    help="Zero-shot questions about mammograms over REST. Research use only.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("classify")(classify)
app.command("heatmap")(heatmap)
app.command("ground")(ground)
app.command("render")(render)
models_app.command("pull")(pull)
app.add_typer(models_app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(VERSION)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Zero-shot questions about mammograms over REST. Research use only."""


@app.command()
def serve() -> None:
    """Serve until SIGTERM or Ctrl-C; starts a private queue where MAMMO_REDIS_URL is unset."""
    settings = _settings()
    stop = _stop_on_signals()
    try:
        with Serving(settings) as serving:
            threading.Thread(target=_announce, args=(serving,), daemon=True).start()
            while serving.alive and not stop.wait(0.5):
                pass
    except (ServingError, EmbeddedServerError) as error:
        _fail(str(error))
    if serving.wrong_settings:
        raise typer.Exit(WRONG_SETTINGS)  # the worker has said why
    if not stop.is_set():
        _fail("the HTTP server ended by itself; its log says why")


@app.command()
def worker() -> None:
    """Run one worker for the queue at MAMMO_REDIS_URL, on a machine of its own if you like."""
    from service.queue.worker import run_worker  # here: only this process needs onnxruntime

    settings = _settings()
    Catalog(settings.models, accepted=settings.accept_licence).log_refused()
    raise typer.Exit(run_worker(settings))


@app.command()
def demo() -> None:
    """Score a real four-view study and keep serving, where there is a terminal."""
    settings = _settings(default_level="error")
    stop = _stop_on_signals()
    try:
        run_demo(settings, stop)
    except (ServingError, EmbeddedServerError, ClientError) as error:
        _fail(str(error))


def _announce(serving: Serving) -> None:
    """The ready line, once."""
    if serving.wait_ready(FIRST_READY_S):
        typer.echo(f"mammoserve ready on {serving.url}")


def _settings(*, default_level: str | None = None) -> Settings:
    """From the environment; logging is set up by them."""
    settings = settings_or_exit()
    if default_level is not None and "log_level" not in settings.model_fields_set:
        settings = settings.model_copy(update={"log_level": default_level})
    logs.configure(settings)
    return settings


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt  # the second one does not wait
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return stop


def _fail(message: str) -> None:
    Console(stderr=True, soft_wrap=True).print(f"[red]{escape(message)}[/red]")
    raise typer.Exit(1)
