"""The architecture of a text base from the shapes of its tensors.

Published files name their text model, but the name is a path on the authors' cluster or a model of
a hub; the shapes say what has to be built.
"""

from collections.abc import Mapping

from torch import Tensor
from transformers import BertConfig, ModernBertConfig, PretrainedConfig

from training.checkpoint.errors import TensorsDiffer
from training.checkpoint.tensors import numbers_in

HEAD_WIDTH = 64  # of attention, in every BERT and ModernBERT that was published
BERT, MODERNBERT = "embeddings.word_embeddings.weight", "embeddings.tok_embeddings.weight"
WORDS = {BERT: "BERT", MODERNBERT: "ModernBERT"}
"""The table of words by which each base is known."""


def text_architecture(given: Mapping[str, Tensor], prefix: str) -> PretrainedConfig:
    """Configuration of the base below `prefix`, one of WORDS being there.

    TensorsDiffer where a tensor that tells its size is missing.
    """
    shapes = _Shapes(given, prefix)
    made = _bert(shapes) if prefix + BERT in given else _modernbert(shapes)
    _check_size(made, held=numbers_in(given))
    return made


def _check_size(made: PretrainedConfig, *, held: int) -> None:
    """TensorsDiffer for a tower larger than the file: it would be made before it is compared."""
    block = 4 * made.hidden_size**2 + 2 * made.hidden_size * made.intermediate_size
    words = made.vocab_size + (made.max_position_embeddings if made.model_type == "bert" else 0)
    least = made.hidden_size * words + made.num_hidden_layers * block
    if made.hidden_size % HEAD_WIDTH or least > held:
        told = f"a text tower {made.hidden_size} wide of {least} weights for {held} in the file"
        raise TensorsDiffer("a text tower", missing=[], surplus=[], shapes=[told])


class _Shapes:
    """Shapes of the tensors below a prefix."""

    def __init__(self, given: Mapping[str, Tensor], prefix: str) -> None:
        self._given, self._prefix = given, prefix

    def __getitem__(self, name: str) -> tuple[int, ...]:
        whole = self._prefix + name
        if whole not in self._given:
            raise TensorsDiffer("a text tower", missing=[whole], surplus=[], shapes=[])
        shape = tuple(self._given[whole].shape)
        if len(shape) != 2:
            told = f"{whole} {shape} for two dimensions"
            raise TensorsDiffer("a text tower", missing=[], surplus=[], shapes=[told])
        return shape

    def layers(self, below: str) -> int:
        """Different numbers that follow `below`."""
        start = self._prefix + below
        named = (name.removeprefix(start) for name in self._given if name.startswith(start))
        return len({name.split(".")[0] for name in named})


def _bert(shapes: _Shapes) -> PretrainedConfig:
    vocabulary, width = shapes[BERT]
    return BertConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=shapes.layers("encoder.layer."),
        num_attention_heads=width // HEAD_WIDTH,
        intermediate_size=shapes["encoder.layer.0.intermediate.dense.weight"][0],
        max_position_embeddings=shapes["embeddings.position_embeddings.weight"][0],
        type_vocab_size=shapes["embeddings.token_type_embeddings.weight"][0],
    )


def _modernbert(shapes: _Shapes) -> PretrainedConfig:
    """Rotary angles and the width of local attention leave no tensor: those of ModernBERT-base."""
    vocabulary, width = shapes[MODERNBERT]
    return ModernBertConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=shapes.layers("layers."),
        num_attention_heads=width // HEAD_WIDTH,
        intermediate_size=shapes["layers.0.mlp.Wo.weight"][1],
        pad_token_id=None,  # special tokens are the tokenizer's matter
        bos_token_id=None,
        eos_token_id=None,
        cls_token_id=None,
        sep_token_id=None,
    )
