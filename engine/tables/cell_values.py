"""Cells to values: numbers, years and names out of the columns of a table, strictly.

A number column may hold text only where the text is a number or says "missing"; anything else is an
error that names the row as the user sees it in the file, where the header is row 1.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from engine.arrays import Array, LongIntegers
from engine.tables.labels import read_labels
from engine.tables.missing import Code
from engine.tables.number_columns import read_numbers
from engine.tables.problems import FIRST_ROW
from engine.tables.years import read_years

__all__ = ["FIRST_ROW", "names", "numbers", "years"]


def numbers(
    cells: pd.Series,
    *,
    source: str,
    owners: Sequence[str] | None = None,
    missing: Collection[Code] = (),
) -> tuple[Array, int]:
    """Values ``[n_rows]`` of a number column, NaN where missing, and how many cells held a missing mark.

    As `engine.tables.number_columns.read_numbers` for a table of which no job states anything.
    """
    column = read_numbers(cells, source=source, owners=owners, missing=missing)
    return column.values, column.n_marks


def years(cells: pd.Series, *, source: str) -> LongIntegers:
    """Whole years ``[n_rows]``; raises InputError for a missing, broken or impossible year."""
    return read_years(cells, source=source)[0].astype(np.int64)


def names(cells: pd.Series, *, source: str = "") -> tuple[LongIntegers, tuple[str, ...]]:
    """Integers ``[n_rows]`` into the sorted normalised names of a column; -1 where a cell is empty."""
    labels = read_labels([cells], source=source)
    return labels.codes[0], labels.names
