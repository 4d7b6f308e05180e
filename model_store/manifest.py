"""manifest.json of a model version: frozen, typed, and the only place that says what a model is.

Knows nothing of how files are found (store) or run (runtime).
"""

import hashlib
import json
import math
import re
import unicodedata
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

DIGEST = r"^[0-9a-f]{64}$"
NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""Of a file beside manifest.json; it is a name on every disk and in every address."""
FILES = ("image.onnx", "text.onnx", "tokenizer.json", "golden.npz", "MODEL_CARD.md")
"""Files that every version has beside manifest.json."""
FACTOR = "factor.onnx"
"""There where `factor` says how its channels are used, and nowhere else."""
ANY_SENTENCE = "*"
"""Name of the head that serves every sentence."""
MANIFEST = "manifest.json"
UNPRINTED = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's categories of what steers a terminal, turns a line around or begins another one."""
SEAL = "manifest.json.sha256"
"""`sha256sum` line of manifest.json, written by publish. It finds accidents, not an attacker:
who can rewrite the manifest can rewrite the seal too."""


class Frozen(BaseModel):
    """Immutable; an unknown key is an error, and so is a number that is not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def canonical(self) -> bytes:
        """The same bytes for the same content: what a digest is taken of."""
        return json.dumps(
            self.model_dump(mode="json"), sort_keys=True, separators=(",", ":")
        ).encode()

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON, 64 hex digits."""
        return hashlib.sha256(self.canonical()).hexdigest()


class Recipe(Frozen):
    """How a canvas is made of a Mammogram; `render` holds one function for each name."""

    name: Literal["mammo-clip"] = "mammo-clip"
    height_px: int = Field(1520, ge=32, le=8192)
    width_px: int = Field(912, ge=32, le=8192)


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)) for every finite x; never overflows."""
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    return math.exp(x) / (1 + math.exp(x))


class TensorSpec(Frozen):
    """One input or output of an ONNX graph; a string in `shape` is a free dimension."""

    name: str
    dtype: Literal["uint8", "uint16", "int64", "float32"]
    shape: tuple[int | str, ...]


class Calibration(Frozen):
    """probability = sigmoid(slope * logit(score) + intercept).

    "platt": both are fitted (Platt 1999); "temperature": slope = 1 / temperature and no intercept
    (Guo et al. 2017), which leaves a score of one half where it is.
    """

    method: Literal["platt", "temperature"] = "platt"
    slope: float = Field(gt=0)
    intercept: float = 0.0

    @model_validator(mode="after")
    def _temperature_shifts_nothing(self) -> Self:
        if self.method == "temperature" and self.intercept != 0:
            raise ValueError(
                f"a temperature has no intercept, got {self.intercept}; the method is platt"
            )
        return self

    def apply(self, score: float) -> float:
        """Raw score in 0..1 -> calibrated probability in 0..1."""
        clipped = min(max(score, 1e-7), 1 - 1e-7)
        return self.apply_to_logit(math.log(clipped / (1 - clipped)))

    def apply_to_logit(self, logit: float) -> float:
        """The same from logit(score), where a score next to 0 or 1 still keeps its rank."""
        return sigmoid(self.slope * logit + self.intercept)


Sentences = tuple[str, ...]


class Finding(Frozen):
    """A named question with its prompt ensembles."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9 _-]{0,63}$")
    positive: Sentences = Field(min_length=1)
    negative: Sentences = Field(min_length=1)
    calibration: Calibration | None = None
    threshold: float | None = Field(None, ge=0, le=1)

    @model_validator(mode="after")
    def _threshold_needs_calibration(self) -> Self:
        if self.threshold is not None and self.calibration is None:
            raise ValueError(
                f"finding {self.name!r} has a threshold but no calibration: fit one or drop both"
            )
        return self


class Aggregation(Frozen):
    """How image scores become breast scores, and those a study score."""

    views: Literal["mean", "max"] = "mean"
    breasts: Literal["max", "mean"] = "max"


class Metric(Frozen):
    """A measured figure with its 95 % interval, n and data; None: too few patients for one."""

    name: str
    value: float
    low: float | None
    high: float | None
    n: int = Field(ge=1)
    data: str

    @property
    def interval(self) -> str:
        """In words, for tables."""
        if self.low is None or self.high is None:
            return "no interval"
        return f"{self.low:.3f} to {self.high:.3f}"


class Licence(Frozen):
    """Terms of the weights. `serving` False: loaded only on the operator's explicit word."""

    name: str
    terms: str
    serving: bool = True

    @field_validator("name", "terms")
    @classmethod
    def _is_printed_as_it_is(cls, words: str) -> str:
        """These go to an operator's terminal and log, where some characters are commands."""
        found = [letter for letter in words if unicodedata.category(letter) in UNPRINTED]
        if found:
            raise ValueError(f"expected one line of plain text, got {found[0]!a} in it")
        return words


class Factor(Frozen):
    """Mammo-FActOR of a version: factor.onnx, and how its channels become a heat map and boxes.

    `heads` in the order of the graph's axis K; a head is named as a finding, or `*`, which serves
    any sentence. Choices that the paper leaves open are data here: model_store.factor names them.
    """

    input: "TensorSpec"
    output: "TensorSpec"
    heads: tuple[str, ...] = Field(min_length=1)
    top_channels: int = Field(3, ge=1, description="K: channels that are added up")
    weighting: Literal["plain", "softmax"] = "plain"
    quantile: float = Field(0.95, gt=0, lt=1, description="of the heat inside the breast")
    floor: float = Field(0.5, ge=0, lt=1, description="share of the maximum that a box reaches")
    origin: tuple[float, float] = Field(
        (0.5, 0.5),
        description="(row, column) centre of the tower's first cell on the canvas, cells",
    )


class Manifest(Frozen):
    """A model version, whole. Digest of this object = digest of the model."""

    schema_version: Literal[1] = 1
    name: str = Field(pattern=NAME)
    version: str = Field(pattern=r"^[0-9]{1,9}$")
    family: str
    description: str
    licence: Licence
    recipe: Recipe
    image_input: TensorSpec
    image_outputs: tuple[TensorSpec, ...]
    text_inputs: tuple[TensorSpec, ...]
    text_outputs: tuple[TensorSpec, ...]
    embedding_size: int = Field(ge=1)
    text_max_tokens: int = Field(ge=4, le=8192)
    logit_scale: float = Field(
        ge=-20, le=20, description="log of the factor, as the papers store it"
    )
    findings: tuple[Finding, ...]
    default_negative: Sentences = Field(
        min_length=1, description="opposes a user's sentence that brings no negative of its own"
    )
    aggregation: Aggregation = Aggregation()
    factor: Factor | None = None
    files: dict[str, str]
    made_by: dict[str, str | int | float | bool]
    metrics: tuple[Metric, ...] = ()

    def may_be_served(self, accepted: frozenset[str]) -> bool:
        """Whether the licence allows serving, or the operator has `accepted` it by this name."""
        return self.licence.serving or self.name in accepted

    @field_validator("files")
    @classmethod
    def _every_file_by_sha256(cls, files: dict[str, str]) -> dict[str, str]:
        missing = [name for name in FILES if name not in files]
        if missing:
            raise ValueError(f"manifest names no sha256 for {', '.join(missing)}")
        for name, digest in files.items():
            if not FILE_NAME.fullmatch(name) or name in (MANIFEST, SEAL):
                raise ValueError(f"{name!r} is not the plain name of a file beside the manifest")
            if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
                raise ValueError(f"sha256 of {name!r} is not 64 hex digits")
        return files

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [finding.name for finding in self.findings]
        if len(names) != len(set(names)):
            raise ValueError("two findings share a name")
        return self

    @model_validator(mode="after")
    def _factor_comes_with_its_file(self) -> Self:
        if (self.factor is not None) != (FACTOR in self.files):
            raise ValueError(f"{FACTOR} in `files` and the entry `factor` belong together")
        heads = self.factor.heads if self.factor else ()
        known = {ANY_SENTENCE, *(finding.name for finding in self.findings)}
        if len(heads) != len(set(heads)) or not known.issuperset(heads):
            raise ValueError(f"a head is named as a finding or {ANY_SENTENCE}, and only once")
        return self
