"""Shapes of the answers that hold heat maps. Heat is told as a share of the map's `hottest`.

Places are in stored pixels, continuous as in DICOM's SCOORD: column 0 is the left edge of the
first column, column 0.5 the middle of it.
"""

from typing import Literal

from pydantic import Field

from service.schemas import RESEARCH_USE, Answer, FileResult, FindingScore, ModelUsed, Timing


class PixelBox(Answer):
    """Edges in stored pixels: columns to the right, rows downwards, as the file holds them."""

    left_column: float
    top_row: float
    right_column: float
    bottom_row: float


class MillimetreBox(Answer):
    """The same edges in millimetres from the image's top left corner, in the breast's plane."""

    left_mm: float
    top_mm: float
    right_mm: float
    bottom_mm: float


class HeatBoxResult(Answer):
    """One hot region."""

    pixels: PixelBox
    mm: MillimetreBox | None = Field(
        description="null where the file gives no spacing; Imager Pixel Spacing is divided by the "
        "magnification"
    )
    heat: float = Field(ge=0, description="the most in the box, as a share of `hottest`")


class Channel(Answer):
    """A feature channel of the image tower that speaks of the sentence, and its part in the map."""

    channel: int = Field(ge=0)
    weight: float
    similarity: float = Field(description="cosine of the channel's embedding and the sentence's")


class Grid(Answer):
    """The heat map itself, cell by cell."""

    rows: int
    columns: int
    values: list[list[float]] | str = Field(
        description="shares of `hottest`, rows from the top; base64 as asked by `encoding`"
    )
    region: PixelBox = Field(
        description="what the cells divide evenly; it may reach beyond the image"
    )


class Overlay(Answer):
    """A picture of the analysed region, heat and boxes drawn where the finding is present."""

    png: str = Field(description="base64")
    width_px: int
    height_px: int
    region: PixelBox


class Located(Answer):
    """Where a sentence is grounded in one image."""

    present: bool = Field(
        description="the score is at its threshold, or at 0.5 without one: what boxes depend on"
    )
    head: str = Field(description="of Mammo-FActOR: the finding's own, or `*`")
    hottest: float = Field(ge=0, description="largest heat of the map, in the features' unit")
    channels: list[Channel] = Field(description="those added up, best first")
    boxes: list[HeatBoxResult] = Field(description="best first; none where it is not present")
    grid: Grid | None = None
    overlay: Overlay | None = None


class HeatMapResult(Located, FindingScore):
    """One question's score on one image, and where."""


class HeatImage(FileResult):
    """What became of one file, and its heat maps."""

    heat_maps: list[HeatMapResult] = Field(default=[])


class HeatmapAnswer(Answer):
    """Answer of POST /v1/heatmap."""

    id: str
    model: ModelUsed
    prompts_digest: str
    images: list[HeatImage]
    timing: Timing
    note: str = RESEARCH_USE


class RawScore(Answer):
    """How well one image answers to a sentence."""

    image: int = Field(ge=0, description="place in `images`")
    score: float = Field(ge=0, le=1, description="uncalibrated: only fit for ranking")


class SentenceOnImage(Located, RawScore):
    """One sentence on one image."""


class GroundedSentence(Answer):
    """One sentence of the report, and where it is grounded."""

    text: str
    section: str | None = Field(description="heading it stands under, in small letters")
    not_grounded: Literal["too_long"] | None = Field(
        description="why no image was asked for it: `too_long` = more than 512 characters"
    )
    best_image: int | None = Field(description="place in `images` of the highest score")
    images: list[SentenceOnImage]


class GroundAnswer(Answer):
    """Answer of POST /v1/ground."""

    id: str
    model: ModelUsed
    prompts_digest: str = Field(description="of the sentences that were grounded")
    negative: list[str] = Field(description="what each sentence is held against")
    images: list[FileResult]
    sentences: list[GroundedSentence]
    timing: Timing
    note: str = RESEARCH_USE
