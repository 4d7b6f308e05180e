"""Any folder of a BERT-family model as text tower, with each pooling, offline."""

from pathlib import Path

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

from training.config import ModelConfig
from training.models.bert import POOLINGS, Bert
from training.models.clip import Clip, pretrained, tokenizer_of

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "no", "mass", "there", "is", "a"]
IDS = torch.tensor([[2, 5, 6, 3, 0], [2, 7, 8, 9, 3]])
MASK = (IDS > 0).long()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT with a vocab.txt and no tokenizer.json, as Bio_ClinicalBERT is published."""
    path = tmp_path_factory.mktemp("bert")
    torch.manual_seed(1)
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    transformers.BertModel(config, add_pooling_layer=False).save_pretrained(path)
    (path / "vocab.txt").write_text("\n".join(WORDS))
    return path


def base(folder: Path, pooling: str = "eos", **changes: object) -> Bert:
    given = {"max_tokens": 16, "trainable": True} | changes
    made = Bert(folder, pooling=pooling, **given)  # type: ignore[arg-type]
    made.load()
    return made.eval()


def test_each_pooling_is_the_folder_s_model_with_its_tokens_pooled_so(folder: Path) -> None:
    model = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        tokens = model(input_ids=IDS, attention_mask=MASK).last_hidden_state
        expected = {
            "eos": torch.stack([tokens[0, 3], tokens[1, 4]]),
            "cls": tokens[:, 0],
            "mean": torch.stack([tokens[0, :4].mean(0), tokens[1].mean(0)]),
        }
        assert expected.keys() == POOLINGS.keys()
        for pooling, vectors in expected.items():
            torch.testing.assert_close(base(folder, pooling)(IDS, MASK), vectors)


def config(folder: Path, **changes: object) -> ModelConfig:
    given: dict[str, object] = {"image_weights": "none", "text": str(folder), "text_max_tokens": 16}
    return ModelConfig.model_validate(given | {"embedding_size": 8} | changes)


def test_a_base_that_learns_has_a_linear_projection_and_a_frozen_one_keeps_still(
    folder: Path,
) -> None:
    learns = pretrained(config(folder))
    assert not learns.text.is_frozen
    assert learns.text.bent is None
    learns.text(IDS, MASK).sum().backward()
    assert all(p.grad is not None for p in learns.text.parameters())  # none is left over for DDP
    frozen = pretrained(config(folder, text_trainable=False))
    assert frozen.text.is_frozen
    frozen.train()
    torch.testing.assert_close(frozen.text(IDS, MASK), frozen.text(IDS, MASK))  # no dropout


def test_the_tokenizer_comes_from_vocab_txt_where_there_is_no_tokenizer_json(folder: Path) -> None:
    tokenizer = tokenizer_of(Clip(config(folder)))
    ids, mask = tokenizer.encode(["no mass", "there is a mass"])
    assert ids.tolist() == [[2, 5, 6, 3, 0, 0], [2, 7, 8, 9, 6, 3]]
    assert mask.sum(1).tolist() == [4, 6]


def test_a_folder_s_own_tokenizer_json_is_taken(folder: Path) -> None:
    words = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, "[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    path = folder / "tokenizer.json"
    path.write_text(words.to_str())
    try:
        ids, _ = tokenizer_of(Clip(config(folder))).encode(["no mass"])
    finally:
        path.unlink()
    assert ids.tolist() == [[5, 6]]


def test_what_is_not_such_a_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no config\.json"):
        Clip(config(tmp_path))
    with pytest.raises(ValueError, match="reads 32 tokens at most, not 64"):
        Clip(config(folder, text_max_tokens=64))


def test_a_folder_that_lacks_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights.pop("encoder.layer.1.output.dense.weight")
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    broken = Bert(tmp_path, pooling="eos", max_tokens=16, trainable=True)
    with pytest.raises(ValueError, match=r"lacks 1 weights of BertModel, encoder\.layer\.1"):
        broken.load()
