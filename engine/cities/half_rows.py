"""Rows of a panel that say which city they are of, or which year, but not both."""

from __future__ import annotations

import numpy as np
import pandas as pd

from engine.arrays import Flags
from engine.errors import InputError
from engine.tables.cell_rules import CellRules
from engine.tables.fill_down import with_columns_to_fill
from engine.tables.problems import FIRST_ROW, Problems, TableProblem, cell_excerpt, other_rows


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
    rules = with_columns_to_fill(rules, frame, [city, year])
    problems, filled = Problems(source), bool(rules.to_fill)
    # Without a column to fill all are of one kind: no data.
    groups = [half & no_city, half & no_year] if filled else [half]
    for rows in groups:
        if rows.any():
            row = int(np.argmax(rows))
            absent, column, present = ("city", city, year) if no_city[row] else ("year", year, city)
            problem = f"a row has no {absent} (its {present} is '{cell_excerpt(frame[present].iloc[row])}')"
            problems.add(_of_rows(problem, rows, frame, source, rules, column))
    neither = no_city & no_year
    if filled and neither.any():  # they would take a city, or a year, from the row above
        problems.add(_of_rows("a row has neither city nor year", neither, frame, source, rules))
    problems.raise_any()


def _of_rows(
    problem: str, bad: Flags, frame: pd.DataFrame, source: str, rules: CellRules, column: str = ""
) -> TableProblem:
    numbers = [int(number) + FIRST_ROW for number in frame.index[bad]]
    return TableProblem(
        problem + other_rows(frame.iloc[:, 0], np.flatnonzero(bad).tolist()),
        where=f"{source}: row {numbers[0]}",
        remedy="fill merged cells, and remove notes and totals around the table",
        job_line=rules.no_data_line(column, numbers),
    )
