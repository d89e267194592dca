"""A row of units below the headers (亿元, 万人, %), which is no data."""

from __future__ import annotations

from decimal import Decimal
from numbers import Real

import numpy as np
import pandas as pd

from engine.tables.missing import says_missing
from engine.tables.problems import FIRST_ROW
from engine.tables.written_numbers import plain_text, written_number
from engine.tables.years import readable_years

_LOOKED_AT = 200  # rows below


def unit_row(frame: pd.DataFrame) -> int | None:
    """Number in the file of the first row, where it holds units; None where it is data.

    It has neither a number nor a year, and text in every column of numbers but perhaps a few that have no unit. Where
    only one has text, as a value that is missing may be said in words, another column of the row must be empty that
    is filled below.

    Parameters
    ----------
    frame : DataFrame
        Its index is the number of the row, from 0 below the header.
    """
    n_text = n_empty = n_gaps = 0
    for place in range(frame.shape[1]):
        column = frame.iloc[: _LOOKED_AT + 1, place]
        first, below = column.iloc[:1], [cell for cell in column.iloc[1:] if not _is_empty(cell)]
        if _is_number(first.iloc[0]) or not np.isnan(readable_years(first)).all():
            return None
        is_empty, is_filled = _is_empty(first.iloc[0]), 2 * len(below) > len(column) - 1
        n_numbers = sum(_is_number(cell) for cell in below)
        n_gaps += is_empty and is_filled
        n_text += not is_empty and 2 * n_numbers > len(below)
        n_empty += is_empty and 2 * n_numbers > len(below)
    is_unit_row = n_text > n_empty and (n_text > 1 or n_gaps > 0)
    return int(frame.index[0]) + FIRST_ROW if is_unit_row else None


def _is_empty(cell: object) -> bool:
    return says_missing(cell) if isinstance(cell, str) else bool(pd.isna(cell))  # type: ignore[call-overload]


def _is_number(cell: object) -> bool:
    if isinstance(cell, str):
        return written_number(plain_text(cell)) is not None
    return isinstance(cell, Real | Decimal) and not isinstance(cell, bool | np.bool_) and not _is_empty(cell)
