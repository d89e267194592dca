"""The block ``figures`` of a job file: how its figures are drawn and in which files."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field

from engine.spec.block import Block, ListedSome
from engine.spec.table_layout import Text


class FigureLayout(Block):
    """Files, width and font of all figures of the job."""

    format: ListedSome[Literal["pdf", "png", "svg"]] = Field(
        ["pdf", "png"], description="files of each figure; the page shows PNG, which is there in any case"
    )
    width: float | None = Field(None, ge=8, le=60, description="width in cm; default: as each figure needs")
    font: Text | None = Field(
        None,
        description="name of an installed font, e.g. Times New Roman; characters that it lacks have another",
    )
    title: bool = Field(True, description="whether the title stands in the figure: captions have it in print")

    @property
    def choices(self) -> dict[str, object]:
        """The choices that are made, as plain data."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def __deepcopy__(self, memo: dict[int, object] | None = None) -> Self:
        """The layout itself, as it is frozen."""
        return self
