"""Cells to values: numbers, years and names out of the columns of a table, strictly.

A number column may hold text only where the text is a plain number or says "missing"; anything else is an
error that names the row as the user sees it in the file, where the header is row 1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from engine.errors import InputError
from engine.tables.labels import read_labels
from engine.tables.problems import FIRST_ROW

Array = np.ndarray[Any, np.dtype[np.float64]]
Codes = np.ndarray[Any, np.dtype[np.int64]]

MISSING_MARKS = frozenset({"", "NA", "N/A", "NaN", "nan", "-", "--", "–", "—", "——", "…", "……", "..", "..."})

_PLAIN = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_YEARS = (1500, 2500)


def numbers(cells: pd.Series, *, source: str, owners: Sequence[str] | None = None) -> tuple[Array, int]:
    """Values ``[n_rows]`` of a number column, NaN where missing, and how many cells held a missing mark.

    Parameters
    ----------
    cells : Series
        The column; its name goes into messages, its index is the number of the row below the header, from 0.
    source : str
        File, for messages.
    owners : sequence of str, optional
        Whose row it is (the city), for messages.

    Raises
    ------
    InputError
        For text that is neither a plain number nor one of ``MISSING_MARKS``.
    """
    if pd.api.types.is_numeric_dtype(cells.dtype):
        return cells.to_numpy(dtype=np.float64, na_value=np.nan), 0
    values = np.empty(len(cells))
    n_marks = 0
    for position, cell in enumerate(cells.to_numpy(dtype=object)):
        value = _number(cell)
        if value is None:
            owner = f" ({owners[position]})" if owners is not None else ""
            row = cells.index[position] + FIRST_ROW
            raise InputError(
                f"'{cell}' is not a number{owner}",
                where=f"{source}: row {row}, column '{cells.name}'",
                remedy="write a plain number such as 1234.5, or leave the cell empty where it is missing",
            )
        values[position] = value
        n_marks += isinstance(cell, str) and cell.strip() in MISSING_MARKS
    return values, n_marks


def _number(cell: object) -> float | None:
    """The value of a cell, NaN where it is missing, None where it is no number."""
    if isinstance(cell, str):
        text = cell.strip()
        if text in MISSING_MARKS:
            return np.nan
        return float(text) if _PLAIN.fullmatch(text) else None
    if isinstance(cell, Real | Decimal):
        return float(cell)
    return np.nan if pd.isna(cell) else None  # type: ignore[call-overload]


def years(cells: pd.Series, *, source: str) -> Codes:
    """Whole years ``[n_rows]``; raises InputError for a missing, broken or impossible year."""
    values, _ = numbers(cells, source=source)
    low, high = _YEARS
    bad = ~((values == np.floor(values)) & (values >= low) & (values <= high))
    if bad.any():
        position = int(np.argmax(bad))
        raise InputError(
            f"'{cells.iloc[position]}' is not a year",
            where=f"{source}: row {cells.index[position] + FIRST_ROW}, column '{cells.name}'",
            remedy=f"write a whole number between {low} and {high}",
        )
    return values.astype(np.int64)


def names(cells: pd.Series, *, source: str = "") -> tuple[Codes, tuple[str, ...]]:
    """Codes ``[n_rows]`` into the sorted normalised names of a column; -1 where a cell is empty."""
    labels = read_labels([cells], source=source)
    return labels.codes[0], labels.names
