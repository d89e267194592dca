"""Base of every block of a job file, and the kinds of values that several blocks hold.

Every size that a key can set has its limit here or at its key. Text and numbers in general (control characters,
lengths, huge integers) are checked before any block sees them, see ``engine.spec.plain``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, create_model

from engine.tables.arithmetic import parse


class Block(BaseModel):
    """A block of a job file: immutable, strict about keys and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)

    keys_listed: ClassVar[str] = "`dyadid keys` lists every key with its values"
    """Where a user finds all keys, as a hint."""

    @classmethod
    def contradiction(cls, document: Mapping[str, object]) -> str | None:
        """A problem of the keys that are given, told before what they lack; None where there is none."""
        return None


def _parsable(text: str) -> str:
    parse(text)
    return text


NAME, JOB, MEMORY = r"^[^\W\d][\w]*$", r"^[\w][\w.-]*$", r"^\d{1,9}(\.\d{1,9})?\s*(MB|GB)$"
WALLTIME, LABEL = r"^\d{1,6}:\d\d:\d\d$", r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$"
PATTERNS = {
    NAME: "a name of letters, digits and _ that does not begin with a digit",
    JOB: "a name of letters, digits and _ . - that begins with a letter, digit or _, for it names a folder",
    MEMORY: "an amount like 500MB or 2GB",
    WALLTIME: "a time like 02:00:00",
    LABEL: "small letters, digits and - that begin with a letter and do not end with -",
}

MOST_TERMS = 200
"""Most controls, or regressors, of a job: all are made and kept beside each other for every pair."""
MOST_EVENT_YEARS = 100
"""Farthest event year: each year of the window is a regressor."""
MOST_CLASSES = 1000
"""Most classes that a column, or the distance, is cut into."""
MOST_NAMES = 1000
"""Most entries of any other list or mapping of a job."""

Formula = Annotated[str, AfterValidator(_parsable), Field(json_schema_extra={"format": "formula"})]
Name = Annotated[str, Field(pattern=NAME, max_length=80)]
Column = Annotated[str, Field(min_length=1, max_length=200)]
"""A column as the file has it: a pair table's, whose names need not be those of formulas."""
Year = Annotated[int, Field(ge=-9999, le=9999)]
EventYear = Annotated[int, Field(ge=-MOST_EVENT_YEARS, le=MOST_EVENT_YEARS)]


# -- lists -------------------------------------------------------------------------------------------------

Item = TypeVar("Item")


def _distinct(entries: list[Item]) -> list[Item]:
    """Each item once; `len` and `Field` say how many there may be."""
    earlier: list[Item] = []
    for entry in entries:
        if entry in earlier:
            name = f"'{entry}'" if isinstance(entry, str) else "an entry"
            raise ValueError(f"names {name} twice")
        earlier.append(entry)
    return entries


Distinct = AfterValidator(_distinct)
"""Of a list: nothing stands in it twice."""

Listed = Annotated[list[Item], Field(max_length=MOST_NAMES), Distinct]
"""A list that names nothing twice; an empty one means none."""

ListedSome = Annotated[list[Item], Field(min_length=1, max_length=MOST_NAMES), Distinct]
"""The same with at least one entry, where an empty list would mean nothing."""

Terms = Annotated[list[Item], Field(max_length=MOST_TERMS), Distinct]
"""A list of regressors, each once."""


# -- a block, or a list of them -----------------------------------------------------------------------------

FORMS = ("<block>", "<list>")
"""Tags of the two forms; they stand in locations of pydantic's errors and in no job."""


def _form(value: object) -> str:
    return FORMS[isinstance(value, list | tuple)]


OneOrSeveral = Annotated[
    Annotated[Item, Tag(FORMS[0])]
    | Annotated[list[Item], Field(min_length=1, max_length=MOST_NAMES), Distinct, Tag(FORMS[1])],
    Discriminator(_form),
]
"""A block, or a list of such blocks; errors are those of the form that is written."""


# -- names of folders --------------------------------------------------------------------------------------

_PAGES = ("report.html", "tables.docx")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def _free_name(name: str) -> str:
    if name.casefold() in _PAGES:
        raise ValueError(
            f"'{name}' is a file that runs write beside the folders of jobs; choose another name"
        )
    if _DEVICES.fullmatch(name):
        raise ValueError(
            f"'{name}' is the name of a device on Windows, so no folder there; choose another name"
        )
    if name.endswith("."):
        raise ValueError(f"'{name}' ends with a dot, which Windows drops from folders; choose another name")
    return name


JobName = Annotated[str, Field(pattern=JOB, max_length=80), AfterValidator(_free_name)]


# -- keys of a registry ------------------------------------------------------------------------------------


def formula_block(name: str, descriptions: Mapping[str, str]) -> Any:
    """A block with a key for each name of a registry, whose value is a formula; the class to inherit from."""
    keys: dict[str, Any] = {
        key: (Formula | None, Field(None, description=text)) for key, text in descriptions.items()
    }
    return create_model(name, __base__=Block, **keys)


def one_key(block: Block, names: Mapping[str, object]) -> str | None:
    """The one of these keys that a block gives a value; None where it gives none of them, or several."""
    present = [name for name in names if getattr(block, name) is not None]
    return present[0] if len(present) == 1 else None
