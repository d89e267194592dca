"""Choices of a printed table as an argument: the block ``table`` of a job, and its rules."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import cast

import numpy as np
import pandas as pd

from engine.errors import InputError
from engine.report.table_style import TableChoices
from engine.spec.block import Block
from engine.spec.data_frames import plain
from engine.spec.error_codes import error_code
from engine.spec.keys import EVERY_KEY
from engine.spec.table_layout import TableLayout
from engine.spec.validate import validate

_TEXTS = frozenset(TableChoices.__annotations__) - {"digits", "labels"}


class _Choices(Block):
    """The block under its name, so that messages name its keys as those of a job do."""

    table: TableLayout


def checked_choices(choices: TableChoices) -> TableChoices:
    """The choices, lists of any kind as lists and error types by code; the table holds texts against the results.

    Raises
    ------
    InputError
        For names and types that no job could have, in the words of the command line.
    """
    as_lists = {name: _as_list(name, value) for name, value in choices.items()}
    block = {
        name: plain(value)
        for name, value in as_lists.items()
        if value is not None and not _is_text(name, value)
    }
    validate(_Choices, {"table": block}, file="")
    return cast(TableChoices, as_lists)


def _as_list(name: str, value: object) -> object:
    """An array, a series or a generator as a list, labels as a dict, error types as codes."""
    if name == "labels" and isinstance(value, pd.Series):
        return value.to_dict()
    if name in ("errors", "stars") and isinstance(value, Mapping):
        return _code(name, value)
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return value.item()
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        return value
    return [_code(name, entry) if isinstance(entry, Mapping) else entry for entry in value]


def _code(name: str, error_type: object) -> object:
    try:
        return error_code(plain(error_type))
    except ValueError as problem:
        raise InputError(str(problem), where=f"table.{name}", remedy=EVERY_KEY) from None


def _is_text(name: str, value: object) -> bool:
    """Whether a choice is text, or some texts: those of ``labels`` by name."""
    if name == "labels":
        texts = [*value.keys(), *value.values()] if isinstance(value, Mapping) else [None]
    elif name in _TEXTS and not isinstance(value, Mapping):
        texts = list(value) if isinstance(value, Collection) else [value]
    else:
        return False
    return all(isinstance(text, str) for text in texts)
