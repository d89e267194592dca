"""Rows of a table that belong nowhere: they say neither which unit nor which year they are of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from engine.arrays import Flags
from engine.tables.labels import normalize


def without_unkeyed_rows(frame: pd.DataFrame, keys: Sequence[str]) -> tuple[pd.DataFrame, int]:
    """The rows with anything in one of the key columns, and how many rows were passed over.

    A row that says neither which unit nor which year it is of belongs nowhere. The index stays, so that messages
    number the rows as the file does.
    """
    blank = np.ones(len(frame), dtype=bool)
    for name in keys:
        blank &= empty_cells(frame[name])
    return (frame[~blank], int(blank.sum())) if blank.any() else (frame, 0)


def empty_cells(column: pd.Series) -> Flags:
    """Mask ``[n_rows]``: nothing is in the cell, or blanks alone."""
    empty = column.isna().to_numpy(dtype=bool, copy=True)
    if column.dtype == object or pd.api.types.is_string_dtype(column.dtype):
        codes, values = pd.factorize(column)  # few texts in many rows
        blank = [
            number for number, text in enumerate(values) if isinstance(text, str) and not normalize(text)
        ]
        empty |= np.isin(codes, blank)
    return empty
