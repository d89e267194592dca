"""Rows of a panel that say which city they are of, or which year, but not both."""

from __future__ import annotations

import numpy as np
import pandas as pd

from engine.arrays import Flags
from engine.errors import InputError
from engine.tables.cell_rules import CellRules
from engine.tables.fill_down import with_columns_to_fill
from engine.tables.problems import FIRST_ROW, TableProblem, other_rows


def refuse_half_rows(
    frame: pd.DataFrame,
    no_city: Flags,
    no_year: Flags,
    *,
    city: str,
    year: str,
    source: str,
    rules: CellRules,
) -> None:
    """Raises InputError for rows with a city or a year alone, and for a table without a row that has both.

    Parameters
    ----------
    frame : DataFrame
        Its index is the number of the row, from 0 below the header.
    no_city, no_year : bool ``[n_rows]``
    city, year : str
        Columns of the table.
    source : str
        File, for messages.
    rules : CellRules
        Whose keys may mend it: ``fill_down`` where empty cells seem to repeat the one above, else ``skip_rows``.
    """
    if (no_city & no_year).all():
        raise InputError("the table has no rows with a city and a year", where=source)
    half = no_city ^ no_year
    if not half.any():
        return
    row = int(np.argmax(half))
    absent, column, present = ("city", city, year) if no_city[row] else ("year", year, city)
    numbers = [int(number) + FIRST_ROW for number in frame.index[half]]
    raise TableProblem(
        f"a row has no {absent} (its {present} is '{frame[present].iloc[row]}')"
        + other_rows(frame[present], np.flatnonzero(half).tolist()),
        where=f"{source}: row {numbers[0]}",
        remedy="fill merged cells, and remove notes and totals around the table",
        job_line=with_columns_to_fill(rules, frame, [city, year]).no_data_line(column, numbers),
    )
