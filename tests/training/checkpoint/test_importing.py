"""A checkpoint file becomes a version that loads, or nothing is left of it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from model_store.errors import LicenceNotAccepted
from model_store.graphs import EMBEDDING, FEATURES
from model_store.runtime import ModelRuntime
from model_store.store import ModelStore, ModelVersion
from tests.training.checkpoint.published_form import (
    SMALL_CANVAS,
    small_checkpoint,
    small_state,
    small_tokenizer,
)
from tests.training.pretrain_factory import silent, small_run
from training.checkpoint.importing import import_checkpoint
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


def test_nothing_is_left_of_an_import_that_fails(tokenizer: Path, tmp_path: Path) -> None:
    state = {name: t for name, t in small_state().items() if name != "logit_scale"}
    path = tmp_path / "bad.tar"
    torch.save(small_checkpoint(state), path)
    result = CliRunner().invoke(
        app,
        [
            "import",
            str(path),
            "--name",
            NAME,
            "--tokenizer",
            str(tokenizer),
            "--store",
            str(tmp_path / "store"),
        ],
    )
    assert result.exit_code == 2
    assert "logit_scale" in result.output
    assert not (tmp_path / "store" / NAME).exists()


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
