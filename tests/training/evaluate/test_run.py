"""The whole evaluation, from VinDr's tables to the report, with a real tower."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from model_store.store import ModelStore
from tests.tiny_model import make_tiny_model
from tests.training.evaluate.tables import make_tower_model, write_tables
from training.alone import alone_in
from training.cli_evaluate import app
from training.evaluate.config import QUICK, EvaluateConfig
from training.evaluate.evaluation import Evaluation
from training.evaluate.opened import BadData, DataOptions, open_data
from training.evaluate.run import PARTS, REPORT, RESULTS, TABLES, run_parts
from training.evaluate.start import Choice, start

SMALL = EvaluateConfig(
    resamples=50,
    probe=QUICK.probe.model_copy(update={"draws": 2, "strengths": (0.01,)}),
    finetune=QUICK.finetune.model_copy(
        update={
            "epochs": 1,
            "height_px": 64,
            "width_px": 64,
            "fractions": (0.5,),
            "targets": ("mass", "suspicious calcification"),
            "max_train": 24,
            "max_test": 24,
        }
    ),
    detect=QUICK.detect.model_copy(
        update={"epochs": 1, "size_px": 64, "max_train": 8, "max_test": None, "augment": False}
    ),
    overlays=2,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    root = tmp_path_factory.mktemp("tower")
    make_tower_model(root)
    return ModelStore(root / "store")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tables(tmp_path_factory.mktemp("tables"), patients=40)


def opened(model: ModelStore, tables: Path, out: Path, said: list[str]) -> Evaluation:
    options = DataOptions("vindr", work=tables / "canvases", csv=tables, images=tables)
    choice = Choice("tower", model, threads=1, config=SMALL)
    return start(choice, options, out=out, say=said.append)


@pytest.mark.slow
def test_all_parts_run_unattended_and_are_not_done_again(
    model: ModelStore, tables: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    evaluation = opened(model, tables, tmp_path, said)
    printed = run_parts(evaluation, list(PARTS))
    out = tmp_path / "tower-1" / "vindr"
    done = json.loads((out / RESULTS).read_text())
    assert list(done["parts"]) == list(PARTS)
    figures = {
        (f["part"], f["target"], f["setting"], f["metric"]): f
        for part in done["parts"].values()
        for f in part
    }
    for key in (
        ("zero-shot", "mass", "zero-shot", "AUC"),
        ("zero-shot", "density", "zero-shot", "accuracy"),
        ("linear-probe", "mass", "LP 50%", "AUC"),
        ("linear-probe", "density", "LP 100%", "accuracy"),
        ("finetune", "mass", "FT 50%", "AUC"),
        ("detect", "mass", "frozen 100%", "mAP@0.5, positive images"),
        ("detect", "mass", "FT 100%", "mAP@0.5, all images"),
        ("localisation", "mass", "Grad-CAM", "pointing game"),
    ):
        figure = figures[key]
        assert figure["value"] is not None, (key, figure["note"])
        assert 0 <= figure["low"] <= figure["high"] <= 1
        assert figure["n"] > 0
    for key, why in (
        (("zero-shot", "suspicious calcification", "zero-shot", "AUC"), "0 of 40 known"),
        (("linear-probe", "malignancy", "LP 10%", "AUC"), "nothing is known of malignancy"),
        (("finetune", "suspicious calcification", "FT 50%", "AUC"), "all of one class"),
        (("detect", "suspicious calcification", "FT 100%", "mAP@0.5, positive images"), "0 images"),
        (("retrieval", "everything", "", ""), "0 breasts with a report"),
    ):
        assert figures[key]["value"] is None
        assert why in figures[key]["note"]
    titles = [table.title for table in printed]
    assert "VinDr-Mammo, mass, AUC" in titles
    assert "RSNA, malignancy, AUC" in titles  # phantoms stand beside every table
    assert all("Not comparable: phantoms." in t.notes[0] for t in printed if "VinDr" in t.title)
    said.clear()
    again = run_parts(opened(model, tables, tmp_path, said), list(PARTS))
    assert again == printed
    assert sum("done before" in line for line in said) == len(PARTS)
    _check_report(out)


def _check_report(out: Path) -> None:
    page = (out / REPORT).read_text()
    assert page.count("data:image/png;base64,") == len(list((out / "plots").glob("*.png"))) >= 5
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "<script" not in page
    assert "No figure here says anything about real mammograms" in page
    assert "| LP 10% | .34 |" in (out / TABLES).read_text()


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_and_another_configuration_starts_anew(
    model: ModelStore, tables: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    evaluation = opened(model, tables, tmp_path, said)
    run_parts(evaluation, ["zero-shot"])
    run_parts(evaluation, ["zero-shot", "linear-probe"])
    assert [line for line in said if line.endswith("begins")] == [
        "zero-shot: begins",
        "linear-probe: begins",
    ]
    other = Evaluation(
        runtime=evaluation.runtime,
        canvases=evaluation.canvases,
        measured=evaluation.measured,
        config=SMALL.model_copy(update={"seed": 11}),
        out=evaluation.out,
        say=said.append,
    )
    said.clear()
    run_parts(other, ["zero-shot"])
    assert "zero-shot: begins" in said


def test_a_version_without_a_torch_tower_says_why_in_the_table(
    tables: Path, tmp_path: Path
) -> None:
    make_tiny_model(tmp_path / "models", height=96, width=64)
    arguments = ["--model", "tiny", "--store", f"{tmp_path}/models", "--out", f"{tmp_path}/out"]
    arguments += ["--data", "vindr", "--csv", str(tables), "--images", str(tables)]
    result = CliRunner().invoke(app, ["finetune", *arguments, "--threads", "1"])
    assert result.exit_code == 0, result.output
    done = json.loads((tmp_path / "out" / "tiny-1" / "vindr" / RESULTS).read_text())
    (figure,) = done["parts"]["finetune"]
    assert figure["value"] is None
    assert "manifest.json does not say in made_by" in figure["note"]
    zero = CliRunner().invoke(app, ["zero-shot", *arguments, "--threads", "1"])
    assert zero.exit_code == 0, zero.output
    assert "always the commonest class: 0." in zero.output.replace("\n", " ")
    assert "written: " in zero.output


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--data", "ddsm"], "no data called 'ddsm'"),
        (["--data", "vindr"], "needs --csv"),
        (["--preset", "huge"], "no preset 'huge'"),
        (["--model", "other"], "no model 'other'"),
        (["--data", "vindr", "--csv", "nowhere", "--images", "."], "breast-level_annotations.csv"),
    ],
)
def test_what_cannot_be_opened_is_a_usage_error(
    tmp_path: Path, arguments: list[str], why: str
) -> None:
    make_tiny_model(tmp_path / "models")
    given = ["--model", "tiny", "--store", f"{tmp_path}/models", "--out", f"{tmp_path}/out"]
    result = CliRunner().invoke(app, ["zero-shot", *given, *arguments])
    assert result.exit_code == 2
    assert why in re.sub(r"[│\s]+", " ", result.output)


def test_a_folder_in_use_is_a_usage_error(tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "models")
    given = ["--model", "tiny", "--store", f"{tmp_path}/models", "--out", f"{tmp_path}/out"]
    with alone_in(tmp_path / "out"):
        result = CliRunner().invoke(app, ["zero-shot", *given])
    assert result.exit_code == 2
    assert "another run is at work" in result.output


def test_tables_of_real_studies_are_not_called_phantoms(tmp_path: Path) -> None:
    folder = write_tables(tmp_path, patients=4, drawn=False)
    options = DataOptions("vindr", work=tmp_path / "work", csv=folder, images=folder)
    from tests.training.evaluate.tables import RECIPE

    canvases, measured = open_data(options, recipe=RECIPE, seed=1, say=lambda _: None)
    assert len(canvases) == 16
    assert measured.words == "VinDr-Mammo, 16 of 16 images, 0 of them test"
    assert not measured.phantoms
    assert measured.comparable("vindr")
    assert not measured.comparable("rsna")


def test_a_table_without_any_image_is_refused(tmp_path: Path) -> None:
    folder = write_tables(tmp_path, patients=1)
    from tests.training.evaluate.tables import RECIPE

    options = DataOptions("vindr", work=tmp_path / "work", csv=folder, images=tmp_path / "none")
    with pytest.raises(BadData, match="none of the 4 images of the table could be read"):
        open_data(options, recipe=RECIPE, seed=1, say=lambda _: None)
