"""The published form, recognised and rebuilt strictly; a small text tower and canvas."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import ModernBertConfig, ModernBertModel

from tests.training.checkpoint.published_form import (
    WORDS,
    draw,
    small_checkpoint,
    small_state,
    small_tokenizer,
)
from training.checkpoint.errors import TensorsDiffer, UnknownLayout
from training.checkpoint.published import Published, recognise
from training.checkpoint.recognise import open_checkpoint

State = dict[str, Tensor]
PATH = Path("b2-model-best-epoch-10.tar")


@pytest.fixture(scope="module")
def state() -> State:
    return small_state()


def found(state: State) -> Published:
    made = recognise(PATH, small_checkpoint(state))
    assert made is not None
    return made


def test_every_tensor_of_the_file_is_in_the_model(state: State, tmp_path: Path) -> None:
    model = found(state).build(small_tokenizer(tmp_path))
    stem = model.image.net.conv_stem.weight
    assert torch.equal(stem, state["image_encoder._conv_stem.weight"].sum(1, keepdim=True))
    deep = model.image.net.get_submodule("blocks.6.1.conv_pwl")
    assert torch.equal(deep.weight, state["image_encoder._blocks.22._project_conv.weight"])
    assert torch.equal(model.text.straight.weight, state["text_projection.projection.weight"])
    assert model.logit_scale.item() == pytest.approx(state["logit_scale"].item())
    assert not model.training


def test_the_recipe_and_the_length_of_sentences_are_the_file_s(state: State) -> None:
    made = found(state)
    assert (made.recipe.height_px, made.recipe.width_px, made.max_tokens) == (96, 64, 32)
    assert made.tower == "b2"
    assert made.family == "mammo-clip"


def without(name: str) -> Callable[[State], State]:
    return lambda state: {key: value for key, value in state.items() if key != name}


def added(name: str) -> Callable[[State], State]:
    return lambda state: state | {name: torch.ones(2)}


@pytest.mark.parametrize(
    ("change", "field", "name"),
    [
        (without("image_encoder._blocks.3._bn1.bias"), "missing", "_blocks.3._bn1.bias"),
        (without("text_projection.projection.bias"), "missing", "text_projection.projection.bias"),
        (without("logit_scale"), "missing", "logit_scale"),
        (added("image_projection.layer_norm.weight"), "surplus", "layer_norm.weight"),
        (added("image_encoder._bn1.bias"), "shapes", "image_encoder._bn1.bias"),
    ],
)
def test_what_is_missing_left_over_or_of_another_shape_is_listed_by_name(
    state: State, tmp_path: Path, change: Callable[[State], State], field: str, name: str
) -> None:
    made = found(change(state))
    with pytest.raises(TensorsDiffer, match=name) as caught:
        made.build(small_tokenizer(tmp_path))
    assert len(getattr(caught.value, field)) == 1


@pytest.mark.parametrize(
    "name",
    [
        "image_projection.projection.weight",
        "image_encoder._conv_head.weight",
        "text_encoder.text_encoder.encoder.layer.0.intermediate.dense.weight",
        "text_encoder.text_encoder.embeddings.position_embeddings.weight",
    ],
)
def test_tensors_that_tell_the_towers_are_named_when_they_are_missing(
    state: State, name: str
) -> None:
    with pytest.raises(TensorsDiffer, match=name):
        found(without(name)(state))


@pytest.mark.parametrize(
    ("part", "change", "told"),
    [
        ("base", {"mean": 0.5}, "normalised by mean"),
        ("base", {"std": "wide"}, "normalised by std"),
        ("base", {"image_size_h": 0}, "canvas"),
        ("base", {"text_max_length": 1000}, "text_max_length"),
        ("model", {"text_encoder": {"pooling": "attention"}}, "text pooling"),
        ("model", {"projection_head": {"name": "mlp"}}, "linear projections"),
    ],
)
def test_a_configuration_that_would_be_computed_otherwise_is_refused(
    state: State, part: str, change: dict[str, Any], told: str
) -> None:
    stored = small_checkpoint(state)
    stored["config"][part] |= change
    with pytest.raises(UnknownLayout, match=told):
        recognise(PATH, stored)


def test_a_modernbert_makes_it_mammo_fm(tmp_path: Path) -> None:
    kept = ("image_encoder.", "image_projection.", "logit_scale")
    given = {name: tensor for name, tensor in small_state().items() if name.startswith(kept)}
    base = ModernBertModel(
        ModernBertConfig(
            vocab_size=len(WORDS),
            hidden_size=64,
            num_hidden_layers=3,
            num_attention_heads=1,
            intermediate_size=96,
            pad_token_id=0,
            bos_token_id=2,
            eos_token_id=3,
            cls_token_id=2,
            sep_token_id=3,
        )
    ).eval()
    given |= {f"text_encoder.{name}": tensor for name, tensor in base.state_dict().items()}
    given["text_projection.projection.weight"] = draw("w", [512, 64])
    given["text_projection.projection.bias"] = draw("b", [512])
    made = found(given)
    assert made.family == "mammo-fm"
    model = made.build(small_tokenizer(tmp_path))
    ids = torch.tensor([[2, 5, 6, 3]])
    mask = torch.ones_like(ids)
    with torch.inference_mode():
        expected = base(input_ids=ids, attention_mask=mask).last_hidden_state[:, -1]
        torch.testing.assert_close(model.text.base(ids, mask), expected)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"state_dict": {"efficientnet._conv_stem.weight": torch.ones(1)}}, "RetinaNet detector"),
        ({"model": {"classifier.weight": torch.ones(1)}, "auroc": 0.9}, "fine-tuned for one"),
        ({"state_dict": {"img_encoder_q.model.x": torch.ones(1)}}, "MaMA"),
        ({"module.image_encoder.x": torch.ones(1)}, "image tower alone"),
        ({"weights": 1}, "got a dictionary of weights"),
    ],
)
def test_other_files_of_the_field_are_told_what_they_are(
    tmp_path: Path, content: dict[str, Any], told: str
) -> None:
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(UnknownLayout, match=told):
        open_checkpoint(path)


def test_another_image_tower_is_refused_with_the_known_ones() -> None:
    given = {"image_encoder._conv_head.weight": torch.ones(1280, 320, 1, 1)}
    given |= {"image_encoder._bn0.weight": torch.ones(3)}
    given |= {"image_projection.projection.weight": torch.ones(512, 1280)}
    with pytest.raises(UnknownLayout, match=r"b5 \(2048\), .*b2 \(1408\).* got 1280"):
        recognise(PATH, {"model": given})
