"""What every block of a job file is, and the kinds of values that several blocks hold."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from engine.tables.arithmetic import parse

Item = TypeVar("Item")


class Block(BaseModel):
    """A block of a job file: immutable, strict about keys and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


def _unique(items: list[Item]) -> list[Item]:
    repeated = next((item for place, item in enumerate(items) if item in items[:place]), None)
    if repeated is not None:
        raise ValueError(f"lists '{repeated}' twice")
    return items


def _parsable(text: str) -> str:
    parse(text)
    return text


NAME, JOB, MEMORY = r"^[^\W\d][\w]*$", r"^[\w][\w.-]*$", r"^\d+(\.\d+)?\s*(MB|GB)$"
WALLTIME, LABEL = r"^\d+:\d\d:\d\d$", r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$"
PATTERNS = {
    NAME: "a name of letters, digits and _ that does not begin with a digit",
    JOB: "a name of letters, digits and _ . - that begins with a letter, digit or _, for it names a folder",
    MEMORY: "an amount like 500MB or 2GB",
    WALLTIME: "a time like 02:00:00",
    LABEL: "small letters, digits and - that begin with a letter and do not end with -",
}

Formula = Annotated[str, AfterValidator(_parsable)]
Distinct = AfterValidator(_unique)
"""Of a list: nothing stands in it twice."""
Name = Annotated[str, Field(pattern=NAME, max_length=80)]
