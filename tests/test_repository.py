"""What README, CHANGELOG, Makefile and locks promise of each other."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))


def test_the_newest_entry_of_the_changelog_is_the_version_of_the_package():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    released = re.findall(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert released[0] == version


def test_readme_fits_on_130_lines():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130


def test_every_make_word_of_the_readme_is_a_target():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(
        re.findall(r"^make ([a-z]+)|`make ([a-z]+)", (ROOT / "README.md").read_text(), re.M)
    )
    assert {first or second for first, second in named} <= targets


def test_every_file_that_the_readme_links_is_there():
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_names_hashes_and_never_an_index(lock: Path):
    text = lock.read_text()
    assert "--hash=sha256:" in text
    assert re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host", text) is None


@pytest.mark.parametrize("name", ["cpu.lock", "gpu.lock"])
def test_the_serving_install_holds_no_torch(name: str):
    packages = re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements" / name).read_text(), re.M)
    assert "fastapi" in packages
    assert {"torch", "timm", "transformers", "lightning"}.isdisjoint(packages)


@pytest.mark.parametrize("name", ["cpu.lock", "gpu.lock"])
def test_the_serving_install_can_fetch_models(name: str):
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = {re.split("[<>=]", requirement)[0] for requirement in extra["hub"]}
    packages = re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements" / name).read_text(), re.M)
    assert wanted <= set(packages)


@pytest.mark.parametrize(("name", "package"), [("cpu", "onnxruntime"), ("gpu", "onnxruntime-gpu")])
def test_a_serving_install_has_exactly_one_onnx_runtime(name: str, package: str):
    text = (ROOT / "requirements" / f"{name}.lock").read_text()
    assert re.findall(r"^(onnxruntime[a-z-]*)==", text, re.M) == [package]


def test_no_tracked_file_names_a_path_of_one_machine():
    tracked = subprocess.run(
        [
            "git",
            "grep",
            "-lE",
            r"(^|[^A-Za-z0-9_.])/(work|root)/",
            "--",
            ".",
            ":!tests/test_repository.py",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert tracked.stdout == ""


def test_no_dicom_file_is_tracked():
    tracked = subprocess.run(
        ["git", "ls-files", "*.dcm", "*.DCM"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert tracked.stdout == ""
