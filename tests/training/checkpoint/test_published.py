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
from training.checkpoint.errors import BadTensors, TensorsDiffer, UnknownLayout
from training.checkpoint.published import Published, recognise
from training.checkpoint.recognise import open_checkpoint
from training.checkpoint.tensors import checked_state
from training.config import ModelConfig
from training.models.clip import Clip

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
        ("base", {"mean": float("nan")}, "normalised by mean .* got nan"),
        ("base", {"std": 10**400}, "normalised by std"),
        ("base", {"std": 10**5000}, "normalised by std .* got a int"),
        ("base", {"text_max_length": 64}, "at most 40, the positions"),
        ("model", {"text_encoder": {"pooling": ["eos"]}}, r"text pooling .* \['eos'\]"),
        ("model", {"text_encoder": "bert"}, "text_encoder to be a dictionary"),
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


@pytest.mark.parametrize("odd", ["abc", [1], 3, None])
def test_a_configuration_that_is_no_dictionary_is_refused_not_passed_over(
    state: State, odd: object
) -> None:
    with pytest.raises(UnknownLayout, match="config to be a dictionary"):
        recognise(PATH, small_checkpoint(state) | {"config": odd})
    stored = small_checkpoint(state)
    stored["config"]["base"] = odd
    with pytest.raises(UnknownLayout, match="base to be a dictionary"):
        recognise(PATH, stored)


def test_a_configuration_that_holds_itself_is_refused(state: State) -> None:
    stored = small_checkpoint(state)
    stored["config"]["transform"] = stored["config"]
    with pytest.raises(UnknownLayout, match="its config cannot be one: more than"):
        recognise(PATH, stored)


CONVOLUTION = "image_encoder._conv_head.weight"
TEXT = "text_encoder.text_encoder."
BAD_VALUES: dict[str, Callable[[Tensor], object]] = {
    "a str, no tensor": lambda _: "x",
    "sparse": lambda tensor: tensor.to_sparse(),
    "without values": lambda tensor: tensor.to("meta"),
    "of torch.int64": lambda tensor: tensor.long(),
    "of torch.bool": lambda tensor: tensor.bool(),
    "of torch.complex64": lambda tensor: tensor.to(torch.complex64),
    "of torch.float8_e4m3fn": lambda tensor: tensor.to(torch.float8_e4m3fn),
    "empty": lambda tensor: tensor[:0],
    "of a few repeated numbers": lambda tensor: tensor[:1].expand(10**9, -1, -1, -1),
    "NaN or infinite": lambda tensor: tensor * float("nan"),
}


@pytest.mark.parametrize("reason", BAD_VALUES)
def test_what_nothing_can_be_computed_with_is_named_before_anything_is_built(
    state: State, reason: str
) -> None:
    bad = small_checkpoint({**state, CONVOLUTION: BAD_VALUES[reason](state[CONVOLUTION])})  # type: ignore[dict-item]
    with pytest.raises(BadTensors, match=reason) as caught:
        recognise(PATH, bad)
    assert len(caught.value.wrong) == 1
    assert caught.value.wrong[0].startswith(CONVOLUTION)


def test_an_infinite_temperature_or_one_beyond_float32_is_refused(state: State) -> None:
    for value in (torch.tensor(torch.inf), torch.tensor(1e300, dtype=torch.float64)):
        with pytest.raises(BadTensors, match="logit_scale"):
            found({**state, "logit_scale": value})


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_are_taken(state: State, kind: torch.dtype) -> None:
    assert found({**state, CONVOLUTION: state[CONVOLUTION].to(kind)}).tower == "b2"


def test_every_tensor_of_our_own_default_model_is_taken() -> None:
    state = Clip(ModelConfig()).state_dict()
    assert checked_state(PATH, state).keys() == state.keys()


def test_a_name_that_is_no_name_is_refused(state: State) -> None:
    with pytest.raises(UnknownLayout, match="names of tensors, got a int"):
        found({**state, 5: torch.ones(1)})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        (CONVOLUTION, ()),
        ("image_projection.projection.weight", ()),
        ("image_projection.projection.weight", (512, 3)),
        (TEXT + "embeddings.word_embeddings.weight", (11,)),
        (TEXT + "embeddings.word_embeddings.weight", (1, 640_000)),
        (TEXT + "embeddings.word_embeddings.weight", (11, 65)),
        (TEXT + "encoder.layer.0.intermediate.dense.weight", (10**7, 1)),
    ],
)
def test_shapes_that_tell_no_tower_or_one_larger_than_the_file_build_nothing(
    state: State, name: str, shape: tuple[int, ...]
) -> None:
    with pytest.raises(
        (TensorsDiffer, UnknownLayout), match=r"weights for|two dim|channels|for \("
    ):
        found({**state, name: torch.ones(shape)})


def test_a_stem_of_another_shape_is_told_before_it_is_summed(state: State, tmp_path: Path) -> None:
    for shape in ((3,), (32, 5, 3, 3)):
        made = found({**state, "image_encoder._conv_stem.weight": torch.ones(shape)})
        with pytest.raises(TensorsDiffer, match=r"_conv_stem\.weight .* for \(32, 1, 3, 3\)"):
            made.build(small_tokenizer(tmp_path))


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
