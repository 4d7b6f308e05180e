"""What a variant is not made of, and of how many studies it is not; told before work begins."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from model_store.manifest import MANIFEST
from model_store.store import ModelStore, ModelVersion
from tests.tiny_model import make_tiny_model
from training.cli import app
from training.cli_variant import MIN_STUDIES
from training.data.canvas_set import CanvasSet
from training.variants.agreement import Bounds
from training.variants.kind import Kind
from training.variants.variant import VariantOfVariant, make_variant


@pytest.fixture
def a_variant(tmp_path: Path) -> ModelVersion:
    """tiny-fp16/1, published below `store`."""
    made = make_tiny_model(tmp_path / "made")
    staging = tmp_path / "staging"
    shutil.copytree(made.path, staging, ignore=shutil.ignore_patterns("*.sha256"))
    facts = {**made.manifest.made_by, "variant_of": "tiny/1", "precision": "fp16"}
    manifest = made.manifest.model_copy(update={"name": "tiny-fp16", "made_by": facts})
    (staging / MANIFEST).write_text(manifest.model_dump_json())
    return ModelStore(tmp_path / "store").publish(staging)


def run(folder: Path, *words: str) -> Result:
    places = ["--store", str(folder / "store"), "--work", str(folder / "work")]
    return CliRunner().invoke(
        app, ["variant", *words, *places], env={"NO_COLOR": "1", "COLUMNS": "300"}
    )


@pytest.mark.parametrize("kind", list(Kind))
def test_a_variant_of_a_variant_is_refused_with_what_to_make_it_of(
    a_variant: ModelVersion, tmp_path: Path, kind: Kind
) -> None:
    none = CanvasSet(tmp_path, ())
    told = "expected a version that is no variant, got tiny-fp16/1, which is one of tiny/1; make"
    with pytest.raises(VariantOfVariant, match=told):
        make_variant(
            ModelStore(tmp_path / "store"),
            a_variant,
            kind,
            calibration=none,
            test=none,
            data="none",
            bounds=Bounds(),
            say=str,
        )


def test_the_command_refuses_a_variant_before_it_draws_a_phantom(
    a_variant: ModelVersion, tmp_path: Path
) -> None:
    result = run(tmp_path, "--model", a_variant.key, "--kind", "int8")
    assert result.exit_code == 2
    assert "make the variant of tiny/1" in result.stderr
    assert not (tmp_path / "work").exists()


def test_the_fewest_studies_are_those_of_which_one_pair_may_change_its_rank() -> None:
    def one_pair(studies: int) -> float:
        images = 4 * studies
        return 2 / (images * (images - 1))

    assert one_pair(MIN_STUDIES) <= Bounds().flips < one_pair(MIN_STUDIES - 1)


def test_fewer_studies_than_the_bound_of_ranks_can_be_kept_on_are_refused(tmp_path: Path) -> None:
    result = run(tmp_path, "--model", "tiny", "--kind", "fp16", "--studies", "2")
    assert result.exit_code == 2
    assert "'--studies': Input should be greater than or equal to 3" in result.stderr
