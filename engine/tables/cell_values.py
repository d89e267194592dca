"""Cells to values: numbers, years and names out of the columns of a table, strictly.

A number column may hold text only where the text is a plain number or says "missing"; anything else is an
error that names the row as the user sees it in the file, where the header is row 1.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from decimal import Decimal
from numbers import Real

import numpy as np
import pandas as pd

from engine.arrays import Array, LongIntegers
from engine.errors import InputError
from engine.tables.labels import EXCEL_ERRORS, read_labels
from engine.tables.missing import Code, half_width, numeric_codes, says_missing
from engine.tables.problems import FIRST_ROW, other_rows, row_place
from engine.tables.years import read_years

__all__ = ["FIRST_ROW", "names", "numbers", "years"]


_PLAIN = re.compile(r"[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|inf(inity)?)", re.IGNORECASE)


def numbers(
    cells: pd.Series,
    *,
    source: str,
    owners: Sequence[str] | None = None,
    missing: Collection[Code] = (),
) -> tuple[Array, int]:
    """Values ``[n_rows]`` of a number column, NaN where missing, and how many cells held a missing mark.

    Parameters
    ----------
    cells : Series
        The column; its name goes into messages, its index is the number of the row below the header, from 0.
    source : str
        File, for messages.
    owners : sequence of str, optional
        Whose row it is (the city), for messages.
    missing : collection of number or str
        Codes of this column that mean "missing", beside the words that always do (`engine.tables.missing`).

    Raises
    ------
    InputError
        For text that is neither a plain number nor says "missing": the first such cell, and the rows of others.
    """
    codes = numeric_codes(missing)
    if pd.api.types.is_numeric_dtype(cells.dtype):
        values = cells.to_numpy(dtype=np.float64, na_value=np.nan)
        n_marks = 0
    else:
        values, n_marks = _from_objects(cells, source, owners, missing)
    if codes:
        coded = np.isin(values, codes)
        values, n_marks = np.where(coded, np.nan, values), n_marks + int(coded.sum())
    return values, n_marks


def _from_objects(
    cells: pd.Series, source: str, owners: Sequence[str] | None, missing: Collection[Code]
) -> tuple[Array, int]:
    values = np.empty(len(cells))
    n_marks, wrong = 0, []
    objects = cells.to_numpy(dtype=object)
    for position, cell in enumerate(objects):
        marked = isinstance(cell, str) and (says_missing(cell) or cell.strip() in missing)
        value = np.nan if marked else _number(cell)
        n_marks += marked
        if value is None:
            wrong.append(position)
        else:
            values[position] = value
    if wrong:
        cell = objects[wrong[0]]
        owner = f" ({owners[wrong[0]]})" if owners is not None else ""
        is_excel_error = isinstance(cell, str) and cell.strip() in EXCEL_ERRORS
        raise InputError(
            f"'{_shown(cell)}' is {'an error of Excel, ' * is_excel_error}not a number{owner}"
            + other_rows(cells, wrong),
            where=row_place(source, cells, wrong[0]),
            remedy="write a plain number such as 1234.5, or leave the cell empty where it is missing",
        )
    return values, n_marks


def _number(cell: object) -> float | None:
    """The value of a cell, NaN where it is missing, None where it is no number."""
    if isinstance(cell, str):
        text = half_width(cell).strip().replace("\u2212", "-")
        return float(text) if _PLAIN.fullmatch(text) else None
    try:
        if isinstance(cell, Real | Decimal | np.bool_):
            return float(cell)  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        return None
    return np.nan if cell is None or cell is pd.NA or cell is pd.NaT else None


def _shown(cell: object) -> str:
    text = str(cell)
    return text if len(text) <= 60 else text[:57] + "..."


def years(cells: pd.Series, *, source: str) -> LongIntegers:
    """Whole years ``[n_rows]``; raises InputError for a missing, broken or impossible year."""
    return read_years(cells, source=source)[0].astype(np.int64)


def names(cells: pd.Series, *, source: str = "") -> tuple[LongIntegers, tuple[str, ...]]:
    """Integers ``[n_rows]`` into the sorted normalised names of a column; -1 where a cell is empty."""
    labels = read_labels([cells], source=source)
    return labels.codes[0], labels.names
