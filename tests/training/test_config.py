"""Configuration: typed, frozen, and nothing in it is ignored."""

from pathlib import Path

import pytest
from pydantic import ValidationError

import training
from training.config import DataSource, ModelConfig, PretrainConfig
from training.demo_config import DemoConfig

CONFIGS = Path(training.__file__).parent / "configs"
DEMO = CONFIGS / "demo.toml"
PRETRAINING = ("mammo_clip_b5", "mammo_clip_b2", "mammo_clip_b5_vindr")


def test_the_demo_configuration_reads_and_opens_with_its_command() -> None:
    config = DemoConfig.named("demo")
    assert (config.recipe.height_px, config.recipe.width_px) == (1520, 912)
    assert "mammoserve-train demo" in DEMO.read_text()


def test_an_unknown_key_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(DEMO.read_text().replace("epochs = ", "epoch = ", 1))
    with pytest.raises(ValidationError, match=r"crops\.epoch\n"):
        DemoConfig.read(path)


def test_a_value_out_of_range_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(DEMO.read_text().replace("size_px = 256", "size_px = 257"))
    with pytest.raises(ValidationError, match="multiple of 32"):
        DemoConfig.read(path)


def test_a_configuration_cannot_be_changed() -> None:
    config = DemoConfig.named("demo")
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 1  # type: ignore[misc]


@pytest.mark.parametrize("name", PRETRAINING)
def test_a_pretraining_configuration_reads_and_opens_with_all_it_must_say(name: str) -> None:
    config = PretrainConfig.named(name)
    assert (config.model.image, config.model.pooling) == (name.split("_")[2], "mean")
    assert (config.learning_rate, config.weight_decay, config.epochs) == (5e-5, 1e-4, 15)
    assert (config.image_image, config.text_text, config.model.embedding_size) == (1.0, 0.5, 512)
    assert (config.recipe.height_px, config.recipe.width_px) == (1520, 912)
    opening = (CONFIGS / f"{name}.toml").read_text().split("\n\n")[0]
    for said in (
        f"mammoserve-train pretrain {name} --work",
        "torchrun --nnodes 2",
        "Hardware:",
        "Expected time",
        "Expected result (the authors'",
        "We have not run this configuration",
    ):
        assert said in opening, said


def test_reports_and_labels_are_sources_of_one_run() -> None:
    assert [s.kind for s in PretrainConfig.named("mammo_clip_b5_vindr").data] == [
        "reports",
        "vindr",
    ]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("epochs = 15", "epoch = 15"), r"epoch\n"),
        (('pooling = "mean"\n', 'poling = "mean"\n'), r"model\.poling\n"),
        (("scale = [", "scales = ["), r"augment\.scales\n"),
        (("table = ", "tables = "), r"data\.0\.tables\n"),
        (('image = "b5"', 'image = "b7"'), "there are lite0, b0, b2, b5"),
        (('pooling = "mean"', 'pooling = "max"'), "there are mean, smooth-maximum"),
        (('text_pooling = "eos"', 'text_pooling = "last"'), "there are eos, mean, cls"),
        (('text = "weights/Bio_ClinicalBERT"', 'text = "bert"'), "there is minilm, and any folder"),
        (('table = "data/reports.csv"', ""), "needs table = its file or folder"),
        (('kind = "reports"', 'kind = "phantom"'), "needs studies = how many"),
        (
            ("table = ", 'path = "{patient_id}/{image}"\ntable = '),
            r"path: expected none but \{patient",
        ),
        (('precision = "16-mixed"', 'precision = "fp16"'), "bf16-mixed"),
    ],
)
def test_a_wrong_key_or_name_is_refused_and_the_known_are_listed(
    change: tuple[str, str], named: str, tmp_path: Path
) -> None:
    text = (CONFIGS / "mammo_clip_b5.toml").read_text()
    assert change[0] in text
    path = tmp_path / "wrong.toml"
    path.write_text(text.replace(*change))
    with pytest.raises(ValidationError, match=named):
        PretrainConfig.read(path)


def test_two_sources_of_one_kind_need_names(tmp_path: Path) -> None:
    text = (CONFIGS / "mammo_clip_b5.toml").read_text()
    path = tmp_path / "twice.toml"
    path.write_text(text + text[text.index("[[data]]") :])
    with pytest.raises(ValidationError, match="called alike, give them names"):
        PretrainConfig.read(path)


def test_a_model_configuration_of_before_still_means_the_demo_s_towers() -> None:
    config = ModelConfig(embedding_size=256, text_layers=5)
    assert (config.image, config.pooling, config.text) == ("lite0", "smooth-maximum", "minilm")


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("{patient_id}/{image}", r"none but \{patient\}, \{study\}, \{image\} in braces"),
        ("{}/{image}", "none but"),
        ("{patient.name}/{image}", "none but"),
        ("{patient!r}/{image}", "none but"),
        ("{patient:>9}/{image}", "none but"),
        ("{patient/{image}", "expected"),
        ("{patient}/image}", "Single '}'"),
        ("{patient}/{study}", "or all images are one"),
    ],
)
def test_a_path_that_could_not_name_an_image_is_refused(path: str, named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        DataSource(kind="reports", table="reports.csv", path=path)


def test_a_path_may_name_patient_study_and_image() -> None:
    source = DataSource(kind="reports", table="x.csv", path="png/{study}/{patient}_{image}")
    assert source.path == "png/{study}/{patient}_{image}"


def test_ours_are_those_that_can_be_read_as_what_is_asked_for() -> None:
    assert PretrainConfig.ours() == sorted(PRETRAINING)
    assert DemoConfig.ours() == ["demo"]
    with pytest.raises(FileNotFoundError, match=r"called 'demo'; ours are mammo_clip_b2, [^']*$"):
        PretrainConfig.named("demo")
