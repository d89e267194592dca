"""The block ``table`` of a job file: how its regression table is printed."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field

from engine.spec.block import MOST_NAMES, Block, Listed, ListedSome
from engine.spec.error_codes import ErrorKind


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is no regular expression ({error})") from None
    return text


Pattern = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_pattern)]
Text = Annotated[str, Field(max_length=500)]


class TableLayout(Block):
    """Rows and numbers of the regression table as printed; numbers in files are the same whatever stands here."""

    labels: dict[str, Text] = Field(
        {}, max_length=MOST_NAMES, description="printed name by term, e.g. {policy: Pilot area}"
    )
    keep: Listed[Pattern] = Field(
        [], description="names of terms, or regular expressions searched in them: print these alone"
    )
    drop: Listed[Pattern] = Field([], description="likewise: leave these terms out")
    order: Listed[Pattern] = Field([], description="likewise: print these terms first, in this order")
    digits: int | None = Field(
        None,
        ge=0,
        le=12,
        description="decimals of coefficients, errors and fits; default: four, more where errors are below 0.001, "
        "fewer where numbers are 100 or more",
    )
    stars: Literal["none"] | ErrorKind | None = Field(
        None,
        description="standard-error type of the stars, or none; default: the most reliable of all columns",
    )
    errors: ListedSome[ErrorKind] | None = Field(
        None, description="standard-error types printed; default: all of model.errors"
    )
    notes: Listed[Text] = Field([], description="further notes below the table")
    columns: Listed[Text] = Field([], description="headings of the columns; default: (1), (2) and on")

    @property
    def choices(self) -> dict[str, object]:
        """The choices that are made, as plain data."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def __deepcopy__(self, memo: dict[int, object] | None = None) -> Self:
        """The layout itself, as it is frozen: pydantic copies the default of a job for each of its cells."""
        return self
