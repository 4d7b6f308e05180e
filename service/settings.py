"""Every setting of the service, from the environment: MAMMO_PORT is `port`, and so on.

One frozen object, made at the rim (cli) and passed on. docs/settings.md is held to it by a test.
"""

import os
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

import model_store
from model_store.providers import Provider

ENV_PREFIX = "MAMMO_"
MIB = 1024 * 1024
FORMER_NAMES = {"MAMMO_ACCEPT_LICENCES": "MAMMO_ACCEPT_LICENCE"}
"""Variables that were renamed: a start with one of them set ends with the new name."""


def default_data_dir() -> Path:
    """$XDG_DATA_HOME/mammoserve, or ~/.local/share/mammoserve."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "mammoserve"


def default_models_dir() -> Path:
    """The models that came with the checkout."""
    return Path(model_store.__file__).parent / "models"


class Settings(BaseSettings):
    """`Settings(max_batch=4)` in a test, `MAMMO_MAX_BATCH=4` in production."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(
        default=8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one."
    )
    models: Path = Field(
        default_factory=default_models_dir,
        description="Folder of model versions, NAME/VERSION/manifest.json below it.",
    )
    model: str | None = Field(
        default=None,
        description="Model that answers when a request names none, as NAME or NAME/VERSION. "
        "Unset: the only one, or the first by name.",
    )
    accept_licence: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Comma-separated names of models whose licence forbids serving and whose "
        "terms you have read and accepted; no other such model is loaded.",
    )
    data: Path = Field(
        default_factory=default_data_dir,
        description="Folder for uploads in flight and for the private queue's file.",
    )
    redis_url: str | None = Field(
        default=None,
        repr=False,
        description="Redis or Valkey to queue in, as redis://[:password@]host:port/0. "
        "Unset: a private one is started.",
    )
    workers: int = Field(
        default=1, ge=0, le=64, description="Worker processes that `serve` starts."
    )
    worker_threads: int = Field(
        default=0,
        ge=0,
        le=1024,
        description="Threads of one worker's model sessions; 0 is all cores.",
    )
    provider: Provider = Field(
        default=Provider.AUTO,
        description="Where models run: auto, cpu, cuda or tensorrt. auto is CUDA where it is "
        "installed and a device is there, else the CPU; one that is named must be available.",
    )
    engine_cache: Path | None = Field(
        default=None,
        description="Folder where TensorRT keeps its engines, one folder a model digest. "
        "Unset: engines below MAMMO_DATA.",
    )
    decode_processes: int = Field(
        default=0, ge=0, le=256, description="Child processes that decode DICOM; 0 is one a core."
    )
    decode_memory_mb: int = Field(
        default=2048, ge=256, description="Memory limit of one decode child, MiB."
    )
    decode_timeout_s: float = Field(
        default=20,
        gt=0,
        description="Seconds one image may take to decode before its child is killed.",
    )
    max_request_mb: int = Field(default=512, ge=1, description="Largest request body, MiB.")
    max_file_mb: int = Field(default=256, ge=1, description="Largest single file, MiB, unzipped.")
    max_files: int = Field(default=64, ge=1, le=10_000, description="Most files in one request.")
    max_uploads: int = Field(
        default=64, ge=1, description="Requests with a body handled at the same time; more get 429."
    )
    upload_idle_s: float = Field(
        default=30,
        gt=0,
        description="Seconds without a byte of the body before an upload is given up.",
    )
    deadline_s: float = Field(
        default=60,
        gt=0,
        description="Seconds a request may wait for its answer when it names none.",
    )
    max_deadline_s: float = Field(
        default=300, gt=0, description="Longest deadline a request may ask for."
    )
    queue_max_images: int = Field(
        default=256,
        ge=1,
        description="Images and sentences that may wait or run; more get 429. One API process "
        "holds at most twice as many images.",
    )
    max_batch: int = Field(
        default=8, ge=1, le=256, description="Most images in one pass of the model."
    )
    batch_wait_ms: float = Field(
        default=5, ge=0, description="Milliseconds a worker waits to fill a batch that is not full."
    )
    lease_s: float = Field(
        default=5,
        gt=0,
        description="Seconds without a sign of life until a worker's items go to another.",
    )
    result_ttl_s: int = Field(
        default=600, ge=1, description="Seconds a job and its blobs may stay."
    )
    cache_ttl_s: int = Field(
        default=86_400, ge=0, description="Seconds an embedding or a heat map stays cached."
    )
    queue_memory_mb: int = Field(
        default=1024, ge=64, description="Memory limit of the private queue, cache included, MiB."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log line to write."
    )
    log_json: bool = Field(default=False, description="One JSON object a log line instead of text.")

    @field_validator("accept_licence", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("redis_url", "model", "engine_cache", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("provider", mode="before")
    @classmethod
    def _empty_is_auto(cls, value: object) -> object:
        return Provider.AUTO if value == "" else value

    @field_validator("log_level", "provider", mode="before")
    @classmethod
    def _any_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("redis_url")
    @classmethod
    def _usable_url(cls, value: str | None) -> str | None:
        """Its words stay out of the message: there is a password in it."""
        try:
            usable = value is None or _is_redis_url(value)
        except ValueError:
            usable = False
        if not usable:
            raise ValueError("expected redis://, rediss:// or unix://, as redis://host:6379/0")
        return value

    @model_validator(mode="before")
    @classmethod
    def _no_former_name(cls, values: object) -> object:
        """pydantic sees only variables that are settings: a former name would do nothing."""
        for former, name in FORMER_NAMES.items():
            if os.environ.get(former):
                raise ValueError(
                    f"expected {name}, got {former}, which is its former name and is no longer "
                    f"read; rename the variable to {name}"
                )
        return values

    @model_validator(mode="after")
    def _limits_agree(self) -> "Settings":
        if self.deadline_s > self.max_deadline_s:
            raise ValueError("deadline_s is longer than max_deadline_s: raise the second")
        return self

    @property
    def uploads(self) -> Path:
        """Where a request's files lie while it runs."""
        return self.data / "uploads"

    @property
    def engines(self) -> Path:
        """Where TensorRT keeps its engines."""
        return self.engine_cache or self.data / "engines"

    def environment(self) -> dict[str, str]:
        """These settings as MAMMO_ variables: how a worker process is given them."""
        values = self.model_dump(mode="json", exclude_none=True)
        values["accept_licence"] = ",".join(self.accept_licence)
        return {f"{ENV_PREFIX}{name.upper()}": str(value) for name, value in values.items()}


def _is_redis_url(url: str) -> bool:
    """Raises ValueError for a port that is none."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return bool(parts.path)
    return parts.scheme in ("redis", "rediss") and parts.port != 0
