"""What parent and decode child say to each other: JSON headers and raw canvas bytes, no pickle.

The child runs decoders on bytes from outside, so the parent believes nothing it says: every reply
is checked against these types, the canvas has the length that the recipe says, and a reply names
its request: what a child left in the socket can never be taken for the answer to another image.

A message is its header's length (4 bytes, big endian), the header, and after `decoded` a canvas of
height x width bytes. A child that is ready says so with a length of 0.
"""

import secrets
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from model_store.dicom_input import Laterality, Limits, View
from model_store.geometry import Placement
from model_store.manifest import Recipe
from model_store.refusals import RefusalCode, WarningCode

LENGTH_BYTES = 4
LONGEST_HEADER = 1 << 20
TOKEN_CHARACTERS = 32


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def framed(self) -> bytes:
        """Length and header."""
        header = self.model_dump_json().encode()
        return len(header).to_bytes(LENGTH_BYTES, "big") + header


class Request(_Message):
    """Make a canvas of this file."""

    token: str = Field(default_factory=lambda: secrets.token_hex(TOKEN_CHARACTERS // 2))
    path: Path
    recipe: Recipe
    limits: Limits


class _Answer(_Message):
    """`token` is the request's: unguessable, so nothing that was said before can bear it."""

    token: str = Field(min_length=TOKEN_CHARACTERS, max_length=TOKEN_CHARACTERS)


class Decoded(_Answer):
    """A canvas follows."""

    status: Literal["decoded"] = "decoded"
    placement: Placement
    laterality: Laterality | None
    view: View | None
    sop_instance_uid: str = Field(max_length=64)
    study_instance_uid: str = Field(max_length=64)
    spacing_mm: tuple[float, float] | None
    warnings: tuple[WarningCode, ...]


class Rejected(_Answer):
    """The image is refused."""

    status: Literal["refused"] = "refused"
    code: RefusalCode
    detail: str = Field(max_length=400)


class Failed(_Answer):
    """An error that is ours: its type and place, never its text, which may quote the header."""

    status: Literal["failed"] = "failed"
    error: str = Field(max_length=200, pattern=r"^[\w.:/ -]*$")


Reply = Decoded | Rejected | Failed
REPLY: TypeAdapter[Reply] = TypeAdapter(
    Annotated[Decoded | Rejected | Failed, Field(discriminator="status")]
)
