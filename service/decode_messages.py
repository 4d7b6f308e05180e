"""What parent and decode child say to each other: JSON headers and raw canvas bytes, no pickle.

The child runs decoders on bytes from outside, so the parent believes nothing it says: every reply
is checked against these types, and the canvas has the length that the recipe says.

A message is its header's length (4 bytes, big endian), the header, and after `decoded` a canvas of
height x width bytes. A child that is ready says so with a length of 0.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from model_store.dicom_input import Laterality, Limits, View
from model_store.geometry import Placement
from model_store.manifest import Recipe
from model_store.refusals import RefusalCode, WarningCode

LENGTH_BYTES = 4
LONGEST_HEADER = 1 << 20


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def framed(self) -> bytes:
        """Length and header."""
        header = self.model_dump_json().encode()
        return len(header).to_bytes(LENGTH_BYTES, "big") + header


class Request(_Message):
    """Make a canvas of this file."""

    path: Path
    recipe: Recipe
    limits: Limits


class Decoded(_Message):
    """A canvas follows."""

    status: Literal["decoded"] = "decoded"
    placement: Placement
    laterality: Laterality | None
    view: View | None
    sop_instance_uid: str = Field(max_length=64)
    study_instance_uid: str = Field(max_length=64)
    spacing_mm: tuple[float, float] | None
    warnings: tuple[WarningCode, ...]


class Rejected(_Message):
    """The image is refused."""

    status: Literal["refused"] = "refused"
    code: RefusalCode
    detail: str = Field(max_length=400)


class Failed(_Message):
    """An error that is ours: its type and place, never its text, which may quote the header."""

    status: Literal["failed"] = "failed"
    error: str = Field(max_length=200, pattern=r"^[\w.:/ -]*$")


Reply = Decoded | Rejected | Failed
REPLY: TypeAdapter[Reply] = TypeAdapter(
    Annotated[Decoded | Rejected | Failed, Field(discriminator="status")]
)
