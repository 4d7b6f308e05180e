"""A real model version in a few kilobytes: ONNX graphs, tokenizer, golden file, no torch.

Every part of the contract is there (uint8 in, normalisation inside the graph, `features`, free
batch dimension), so whatever runs this runs a large model. Deterministic by seed.
"""

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from model_store.arrays import F32, U8
from model_store.golden import sample_channels
from model_store.manifest import Factor, Finding, Licence, Manifest, Metric, Recipe, TensorSpec
from model_store.store import ModelStore, ModelVersion, sha256_of
from tests.tiny_factor import factor_graph, factor_spec
from tests.tiny_graphs import (
    CHANNELS,
    EMBEDDING_SIZE,
    MEAN,
    STD,
    STRIDE,
    image_graph,
    text_graph,
)

__all__ = [
    "CHANNELS",
    "EMBEDDING_SIZE",
    "FINDINGS",
    "MEAN",
    "STD",
    "STRIDE",
    "make_tiny_model",
    "run_graph",
    "tensor_specs",
    "tiny_canvases",
    "write_factor",
    "write_golden",
    "write_graphs",
]

DESCRIPTION = "A tiny model for tests; its numbers mean nothing."
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = ["no", "there", "is", "a", "mass", "suspicious", "calcification", "breast", "normal"]
FINDINGS = (
    Finding(name="mass", positive=("there is a mass", "mass"), negative=("no mass",)),
    Finding(
        name="suspicious calcification",
        positive=("suspicious calcification",),
        negative=("no suspicious calcification", "normal breast"),
    ),
)
OPEN = Licence(name="Apache-2.0", terms="For tests.")
NO_SERVING = Licence(name="No-Serving-1", terms="Hosting is prohibited.", serving=False)
GOLDEN_SENTENCES = ("there is a mass", "no suspicious calcification in the breast")


def make_tiny_model(
    root: Path,
    *,
    name: str = "tiny",
    version: str = "1",
    height: int = 64,
    width: int = 48,
    seed: int = 0,
    findings: Sequence[Finding] = FINDINGS,
    licence: Licence | None = None,
    serving: bool = True,
    metrics: Sequence[Metric] = (),
    text_max_tokens: int = 32,
    logit_scale: float = math.log(10),
    factor: bool = True,
) -> ModelVersion:
    """Build and publish a version below `root`; height and width are multiples of 16 px.

    Without `serving` its licence forbids serving, unless another one is given.
    With `factor` it has factor.onnx: a head for its first finding, and one for any sentence.
    """
    heads = (*(one.name for one in findings[:1]), "*") if factor else ()
    with tempfile.TemporaryDirectory(prefix="tiny-model-") as folder:
        staging = Path(folder)
        _write_files(staging, height=height, width=width, heads=len(heads), seed=seed)
        manifest = Manifest(
            name=name,
            version=version,
            licence=licence or (OPEN if serving else NO_SERVING),
            **_always(height=height, width=width),
            text_max_tokens=text_max_tokens,
            logit_scale=logit_scale,
            findings=tuple(findings),
            factor=_factor(heads, _features(height, width)),
            files={path.name: sha256_of(path) for path in sorted(staging.iterdir())},
            made_by={"seed": seed},
            metrics=tuple(metrics),
        )
        (staging / "manifest.json").write_text(manifest.model_dump_json(indent=2) + "\n")
        return ModelStore(root).publish(staging)


def _write_files(directory: Path, *, height: int, width: int, heads: int, seed: int) -> None:
    """All but manifest.json; factor.onnx where there are heads."""
    write_graphs(directory, height=height, width=width, seed=seed)
    if heads:
        write_factor(directory, height=height, width=width, heads=heads, seed=seed)
    write_golden(directory, height=height, width=width, seed=seed)
    (directory / "MODEL_CARD.md").write_text(f"# {DESCRIPTION}\n")


def _always(*, height: int, width: int) -> dict[str, object]:
    """Fields of the manifest that are the same for every model of a size."""
    return {
        "family": "tiny",
        "description": DESCRIPTION,
        "recipe": Recipe(height_px=height, width_px=width),
        "embedding_size": EMBEDDING_SIZE,
        "default_negative": ("normal breast",),
        **tensor_specs(height=height, width=width),
    }


def _factor(heads: Sequence[str], features: TensorSpec) -> Factor | None:
    return factor_spec(heads, features=features, size=EMBEDDING_SIZE) if heads else None


def tensor_specs(*, height: int, width: int) -> dict[str, object]:
    """The manifest's four fields that describe the graphs."""
    return {
        "image_input": TensorSpec(name="image", dtype="uint8", shape=("n", height, width)),
        "image_outputs": (
            TensorSpec(name="embedding", dtype="float32", shape=("n", EMBEDDING_SIZE)),
            _features(height, width),
        ),
        "text_inputs": (
            TensorSpec(name="input_ids", dtype="int64", shape=("n", "l")),
            TensorSpec(name="attention_mask", dtype="int64", shape=("n", "l")),
        ),
        "text_outputs": (
            TensorSpec(name="text_embedding", dtype="float32", shape=("n", EMBEDDING_SIZE)),
        ),
    }


def _features(height: int, width: int) -> TensorSpec:
    cells = (height // STRIDE, width // STRIDE)
    return TensorSpec(name="features", dtype="float32", shape=("n", CHANNELS, *cells))


def tiny_canvases(n: int, *, height: int = 64, width: int = 48, seed: int = 0) -> U8:
    """(n, height, width) uint8: a bright half ellipse on black with noise, all different."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    inside = ((rows - height / 2) / (height / 2)) ** 2 + (columns / (width * 0.8)) ** 2 < 1
    noise = rng.integers(40, 256, size=(n, height, width), dtype=np.uint8)
    return np.where(inside, noise, 0).astype(np.uint8)


def write_graphs(directory: Path, *, height: int, width: int, seed: int) -> None:
    """image.onnx, text.onnx and tokenizer.json."""
    rng = np.random.default_rng(seed)
    tokenizer = _tokenizer()
    _save(image_graph(height, width, rng), directory / "image.onnx")
    _save(text_graph(tokenizer.get_vocab_size(), rng), directory / "text.onnx")
    tokenizer.save(str(directory / "tokenizer.json"))


def write_factor(directory: Path, *, height: int, width: int, heads: int, seed: int) -> None:
    """factor.onnx: two linear maps a head over a channel's cells."""
    features = (CHANNELS, height // STRIDE, width // STRIDE)
    rng = np.random.default_rng([seed, 1])
    _save(factor_graph(features, heads, EMBEDDING_SIZE, rng), directory / "factor.onnx")


def write_golden(directory: Path, *, height: int, width: int, seed: int) -> None:
    """golden.npz: what the graphs beside it answer, by plain onnxruntime and tokenizers."""
    canvases = tiny_canvases(2, height=height, width=width, seed=seed)
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    encoded = [tokenizer.encode(sentence) for sentence in GOLDEN_SENTENCES]
    texts = [
        run_graph(
            directory / "text.onnx",
            "text_embedding",
            input_ids=np.array([one.ids], dtype=np.int64),
            attention_mask=np.array([one.attention_mask], dtype=np.int64),
        )
        for one in encoded
    ]
    np.savez(
        directory / "golden.npz",
        image=canvases,
        image_embedding=run_graph(directory / "image.onnx", "embedding", image=canvases),
        sentences=np.array(GOLDEN_SENTENCES),
        text_embedding=np.concatenate(texts),
        **_factor_entries(directory, canvases),
    )


def _factor_entries(directory: Path, canvases: U8) -> dict[str, np.ndarray]:
    if not (directory / "factor.onnx").exists():
        return {}
    features = run_graph(directory / "image.onnx", "features", image=canvases)
    channels = sample_channels(CHANNELS)
    embeddings = run_graph(directory / "factor.onnx", "channel_embeddings", features=features)
    return {"factor_channels": channels, "factor_embedding": embeddings[:, :, channels]}


def run_graph(path: Path, output: str, **inputs: np.ndarray) -> F32:
    """One output of a graph by plain onnxruntime: the judge of model_store.runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run([output], inputs)[0], dtype=np.float32)


def _tokenizer() -> Tokenizer:
    """WordPiece that falls back to single letters: every sentence has its own tokens."""
    pieces = [*SPECIALS, *WORDS, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    return tokenizer


def _save(graph: onnx.GraphProto, path: Path) -> None:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, path)
