"""`mammoserve models`: real stores, exit codes, and messages an operator can act on."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from model_store.manifest import Metric
from model_store.store import ModelStore, ModelVersion
from service.cli_models import models_app
from tests.tiny_model import make_tiny_model

EVERY_FILE = (
    "manifest.json",
    "manifest.json.sha256",
    "image.onnx",
    "text.onnx",
    "factor.onnx",
    "tokenizer.json",
    "golden.npz",
    "MODEL_CARD.md",
)


@pytest.fixture
def version(tmp_path: Path) -> ModelVersion:
    return make_tiny_model(tmp_path / "models")


def _run(root: Path, *words: str) -> Result:
    environment = {"MAMMO_MODELS": str(root), "COLUMNS": "200", "NO_COLOR": "1"}
    return CliRunner().invoke(models_app, list(words), env=environment, catch_exceptions=False)


def _root(version: ModelVersion) -> Path:
    return version.path.parent.parent


def test_list_shows_each_version_with_its_licence(version: ModelVersion) -> None:
    make_tiny_model(_root(version), version="2")
    result = _run(_root(version), "list")
    assert result.exit_code == 0
    assert "tiny/1" in result.stdout
    assert "tiny/2" in result.stdout
    assert "Apache-2.0" in result.stdout
    assert version.digest[:12] in result.stdout


def test_list_as_json_holds_the_whole_digest_and_the_size(version: ModelVersion) -> None:
    result = _run(_root(version), "list", "--json")
    (row,) = json.loads(result.stdout)
    files = [version.file(name) for name in version.manifest.files]
    assert row["digest"] == version.digest
    assert row["bytes"] == sum(path.stat().st_size for path in files)
    assert row["findings"] == ["mass", "suspicious calcification"]


def test_list_says_which_models_may_not_be_served(tmp_path: Path) -> None:
    make_tiny_model(tmp_path, serving=False)
    assert "No-Serving-1 (no serving)" in _run(tmp_path, "list").stdout
    (row,) = json.loads(_run(tmp_path, "list", "--json").stdout)
    assert (row["licence"], row["serving"]) == ("No-Serving-1", False)


def test_show_says_the_terms_and_which_setting_accepts_them(tmp_path: Path) -> None:
    make_tiny_model(tmp_path, serving=False)
    shown = _run(tmp_path, "show").stdout
    assert "No-Serving-1: Hosting is prohibited." in shown
    assert "only when the operator accepts its terms: MAMMO_ACCEPT_LICENCE=tiny" in shown


def test_list_of_an_empty_store_is_no_error_and_names_the_folder(tmp_path: Path) -> None:
    result = _run(tmp_path / "none", "list")
    assert result.exit_code == 0
    assert f"no models below {tmp_path / 'none'}" in result.stdout
    assert json.loads(_run(tmp_path / "none", "list", "--json").stdout) == []


def test_list_shows_a_damaged_version_beside_the_good_ones(version: ModelVersion) -> None:
    make_tiny_model(_root(version), version="2").file("manifest.json").write_text("{")
    result = _run(_root(version), "list")
    assert result.exit_code == 1
    assert "Apache-2.0" in result.stdout
    assert "expected a valid manifest" in result.stdout
    rows = json.loads(_run(_root(version), "list", "--json").stdout)
    assert ["error" in row for row in rows] == [False, True]


def test_the_option_goes_before_the_environment(version: ModelVersion, tmp_path: Path) -> None:
    result = _run(tmp_path / "none", "list", "--models", str(_root(version)), "--json")
    assert len(json.loads(result.stdout)) == 1


def test_show_prints_findings_recipe_and_digest(version: ModelVersion) -> None:
    result = _run(_root(version), "show", "tiny")
    assert result.exit_code == 0
    for text in (version.digest, "mammo-clip, 64 x 48 px", "there is a mass; mass", "seed"):
        assert text in result.stdout


def test_show_prints_metrics_with_their_interval(tmp_path: Path) -> None:
    metric = Metric(name="AUC mass", value=0.951, low=0.93, high=0.968, n=400, data="phantoms")
    make_tiny_model(tmp_path, metrics=(metric,))
    shown = _run(tmp_path, "show").stdout
    for text in ("AUC mass", "0.951", "0.930 to 0.968", "400", "phantoms"):
        assert text in shown


def test_show_as_json_is_the_manifest(version: ModelVersion) -> None:
    shown = json.loads(_run(_root(version), "show", "tiny/1", "--json").stdout)
    assert shown["digest"] == version.digest
    assert shown["manifest"] == version.manifest.model_dump(mode="json")


def test_show_of_an_unknown_model_lists_the_known_on_stderr(version: ModelVersion) -> None:
    result = _run(_root(version), "show", "other")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "no model 'other'; known: tiny" in result.stderr


def test_an_error_as_json_is_on_stdout(version: ModelVersion) -> None:
    result = _run(_root(version), "show", "tiny/7", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"error": "no model 'tiny/7'; known: tiny/1"}


def test_verify_passes_on_good_versions(version: ModelVersion) -> None:
    make_tiny_model(_root(version), version="2")
    result = _run(_root(version), "verify")
    assert result.exit_code == 0
    assert "ok  tiny/1  6 files and the manifest by sha256, golden check passed" in result.stdout
    assert "ok  tiny/2" in result.stdout


@pytest.mark.parametrize("name", EVERY_FILE)
def test_verify_fails_when_one_byte_of_any_file_is_changed(
    version: ModelVersion, name: str
) -> None:
    path = version.file(name)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    result = _run(_root(version), "verify")
    assert result.exit_code == 1
    (report,) = json.loads(_run(_root(version), "verify", "--json").stdout)
    assert report["ok"] is False
    assert report["file"] in (name, name.removesuffix(".sha256"))
    for part in (report["file"], report["expected"], report["got"]):
        assert part in result.stdout
    assert report["expected"] != report["got"]


def test_verify_runs_the_golden_inputs(tmp_path: Path) -> None:
    """A version whose files are as listed, but whose graph is not what made golden.npz."""
    good, other = make_tiny_model(tmp_path / "a"), make_tiny_model(tmp_path / "b", seed=1)
    graph = other.file("image.onnx").read_bytes()
    staging = _republished(good, tmp_path / "c", image_onnx=graph)
    result = _run(staging, "verify")
    assert result.exit_code == 1
    assert "golden.npz is not reproduced: image embeddings: expected cosine" in result.stdout


def _republished(version: ModelVersion, root: Path, *, image_onnx: bytes) -> Path:
    """The version with another graph, its manifest and seal made to agree."""
    staging = shutil.copytree(version.path, root.with_suffix(".staging"))
    (staging / "manifest.json.sha256").unlink()
    (staging / "image.onnx").write_bytes(image_onnx)
    manifest = json.loads((staging / "manifest.json").read_text())
    manifest["files"]["image.onnx"] = hashlib.sha256(image_onnx).hexdigest()
    (staging / "manifest.json").write_text(json.dumps(manifest))
    ModelStore(root).publish(staging)
    return root


def test_verify_of_one_version_leaves_the_others_alone(version: ModelVersion) -> None:
    make_tiny_model(_root(version), version="2").file("image.onnx").write_bytes(b"x")
    assert _run(_root(version), "verify", "tiny/1").exit_code == 0
    assert _run(_root(version), "verify", "tiny/2").exit_code == 1
    assert _run(_root(version), "verify", "tiny").exit_code == 1


@pytest.mark.parametrize("asked", ["other", "tiny/9", "../tiny", ""])
def test_verify_of_what_is_not_there_fails(version: ModelVersion, asked: str) -> None:
    result = _run(_root(version), "verify", asked)
    assert result.exit_code == 1
    assert "known: tiny" in result.stderr


def test_verify_of_an_empty_store_fails(tmp_path: Path) -> None:
    result = _run(tmp_path, "verify")
    assert result.exit_code == 1
    assert "the store is empty" in result.stderr


def test_a_licence_that_forbids_serving_does_not_forbid_verifying(tmp_path: Path) -> None:
    make_tiny_model(tmp_path, serving=False)
    assert _run(tmp_path, "verify").exit_code == 0


def test_the_command_line_alone_loads_no_onnxruntime() -> None:
    code = "import service.cli_models, sys; sys.exit('onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
