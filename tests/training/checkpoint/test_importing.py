"""A checkpoint file becomes a version that loads, or nothing is left of it."""

import errno
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from model_store.errors import LicenceNotAccepted
from model_store.graphs import EMBEDDING, FEATURES
from model_store.manifest import SEAL
from model_store.runtime import ModelRuntime
from model_store.store import ModelStore, ModelVersion
from tests.tiny_model import make_tiny_model
from tests.training.checkpoint.published_form import (
    SMALL_CANVAS,
    small_checkpoint,
    small_state,
    small_tokenizer,
)
from tests.training.pretrain_factory import silent, small_run
from training.checkpoint import importing
from training.checkpoint.importing import import_checkpoint, publish_next
from training.checkpoint.staging import staging_in
from training.checkpoint.tokenizers_of import NoTokenizer, fetch_tokenizer
from training.cli import app
from training.pretrain import pretrain

NAME = "mammo-clip-b2"
SENTENCES = ["no suspicious mass", "there is a mass"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("published") / "b2-model-best-epoch-10.tar"
    torch.save(small_checkpoint(small_state()), path)
    return path


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def imported(file: Path, store: Path, tokenizer: Path | None, **changes: object) -> ModelVersion:
    lines: list[str] = []
    given: dict[str, object] = {"prompts": "mammography", "licence": None} | changes
    return import_checkpoint(
        file,
        name=NAME,
        tokenizer=tokenizer,
        store=ModelStore(store),
        say=lines.append,
        **given,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def version(file: Path, tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    return imported(file, tmp_path_factory.mktemp("store"), tokenizer)


@pytest.mark.slow
def test_it_loads_and_computes_what_torch_does(version: ModelVersion, tokenizer: Path) -> None:
    from training.checkpoint.published import recognise

    runtime = ModelRuntime.load(version, threads=0, accept_licences=frozenset({NAME}))
    found = recognise(Path("a.tar"), small_checkpoint(small_state()))
    assert found is not None
    model = found.build(tokenizer)
    canvases = np.random.default_rng(1).integers(0, 256, (2, *SMALL_CANVAS), dtype=np.uint8)
    with torch.inference_mode():
        expected = model.image(torch.from_numpy(canvases))
    got = runtime.run_images(canvases, outputs=(EMBEDDING, FEATURES))
    assert np.abs(got[EMBEDDING] - expected.embedding.numpy()).max() < 1e-5
    scale = float(expected.features.abs().max())
    assert np.abs(got[FEATURES] - expected.features.numpy()).max() < 1e-4 * scale
    assert runtime.embed_texts(SENTENCES).shape == (2, 512)


@pytest.mark.slow
def test_its_terms_forbid_serving_until_the_operator_accepts_them(version: ModelVersion) -> None:
    assert version.manifest.family == "mammo-clip"
    assert version.manifest.recipe.height_px == SMALL_CANVAS[0]
    assert version.manifest.made_by["checkpoint_epoch"] == 7
    assert "deployment is strictly prohibited" in version.manifest.licence.terms
    assert version.manifest.licence.terms in (version.path / "MODEL_CARD.md").read_text()
    with pytest.raises(LicenceNotAccepted, match=NAME):
        ModelRuntime.load(version, threads=0)


@pytest.mark.slow
def test_the_command_publishes_the_next_version_and_says_what_it_took(
    file: Path, tokenizer: Path, tmp_path: Path
) -> None:
    given = ["import", str(file), "--name", NAME, "--tokenizer", str(tokenizer)]
    for number in ("1", "2"):
        result = CliRunner().invoke(app, [*given, "--store", str(tmp_path)])
        assert result.exit_code == 0, result.output
        assert f"published {NAME}/{number}" in result.output
    assert "peak memory" in result.output
    assert f"MAMMO_ACCEPT_LICENCE={NAME}" in result.output


def refused(file: Path, store: Path, tokenizer: Path, *, name: str = NAME) -> str:
    """What the command says of an import that fails, on one line."""
    given = [str(file), "--name", name, "--tokenizer", str(tokenizer), "--store", str(store)]
    result = CliRunner().invoke(app, ["import", *given], env={"COLUMNS": "1000"})
    assert result.exit_code == 2
    assert "Error" in result.output
    assert isinstance(result.exception, SystemExit)
    return result.output


def test_nothing_is_left_of_an_import_that_fails(tokenizer: Path, tmp_path: Path) -> None:
    state = {name: t for name, t in small_state().items() if name != "logit_scale"}
    path = tmp_path / "bad.tar"
    torch.save(small_checkpoint(state), path)
    assert "logit_scale" in refused(path, tmp_path / "store", tokenizer)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("out of words")]
)
def test_a_full_disk_or_an_export_that_breaks_is_one_line_and_leaves_nothing(
    file: Path,
    tokenizer: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    def write_files(model: object, staging: Path, **_: object) -> float:
        (staging / "image.onnx").write_bytes(b"half")
        assert staging.is_relative_to(tmp_path / "store")
        assert not ModelStore(tmp_path / "store").names()
        raise error

    monkeypatch.setattr(importing, "write_files", write_files)
    (tmp_path / "store").mkdir()
    assert str(error) in refused(file, tmp_path / "store", tokenizer)
    assert not list((tmp_path / "store").iterdir())


def test_the_name_and_the_store_are_looked_at_before_the_file_is_read(
    tokenizer: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.tar").write_bytes(b"not a checkpoint")
    assert "expected a name" in refused(tmp_path / "a.tar", tmp_path, tokenizer, name="../x")
    inside = tmp_path / "a.tar" / "store"
    assert "Not a directory" in refused(tmp_path / "a.tar", inside, tokenizer)


def test_what_a_killed_import_left_is_swept_and_a_living_one_s_is_not(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from training.checkpoint.staging import staging_in\n"
        "with staging_in(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'image.onnx').write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [path.name[:8] for path in tmp_path.iterdir()] == [".import-"]
    with staging_in(tmp_path) as one, staging_in(tmp_path) as other:
        assert one.is_dir()
        assert {path.name for path in tmp_path.iterdir()} == {one.parent.name, other.parent.name}
        assert ModelStore(tmp_path).names() == []
    assert not list(tmp_path.iterdir())


def test_of_two_imports_at_once_the_later_takes_the_next_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ModelStore(tmp_path / "store")
    make_tiny_model(store.root, name="tiny")
    first = store.find("tiny")
    staging = shutil.copytree(first.path, tmp_path / "staging")
    (staging / SEAL).unlink()
    seen = [[], ["1"]]  # as if the other had published after the first look
    monkeypatch.setattr(store, "versions", lambda _: seen.pop(0) if seen else ["1", "2"])
    made = publish_next(store, staging, first.manifest, card=lambda m: f"# {m.name}/{m.version}")
    assert made.key == "tiny/2"
    assert (made.path / "MODEL_CARD.md").read_text() == "# tiny/2"


def test_without_a_tokenizer_it_is_said_which_files_to_fetch(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(NoTokenizer, match=r"vocab\.txt of emilyalsentzer/Bio_ClinicalBERT"):
        imported(file, tmp_path / "store", None)
    with pytest.raises(NoTokenizer, match=r"tokenizer\.json of answerdotai/ModernBERT-base"):
        fetch_tokenizer("mammo-fm")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("readme.txt", "", "neither tokenizer.json nor vocab.txt"),
        ("vocab.txt", "\n".join(["[PAD]", "[UNK]", *map(str, range(2000))]), "knows 20"),
        ("tokenizer.json", "{", "cannot be read"),
    ],
)
def test_a_tokenizer_of_another_model_is_refused(
    file: Path, tmp_path: Path, name: str, content: str, told: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(NoTokenizer, match=told):
        imported(file, tmp_path / "store", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model.pt", "last.ckpt"])
def test_a_run_of_our_own_pretraining_is_imported_from_either_of_its_files(
    tmp_path: Path, name: str
) -> None:
    work = tmp_path / "run"
    pretrain(small_run(tmp_path, epochs=1), work=work, say=silent)
    made = imported(work / name, tmp_path / "store", None)
    assert made.manifest.family == "mammoserve"
    assert made.manifest.licence.serving
    ModelRuntime.load(made, threads=0)
