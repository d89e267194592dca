"""Empty cells that repeat the cell above: ``fill_down: [city]`` of a sheet whose merged cells were saved as text.

Saved as CSV, a merged cell keeps its value in its first row, and those below are empty. No file says which empty cells
are of this kind, so the job names the columns; `columns_to_fill` finds those that it may well mean.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from engine.arrays import Flags
from engine.errors import InputError
from engine.notes import Note
from engine.tables.cell_rules import CellRules
from engine.tables.labels import cell_text, normalize
from engine.tables.problems import FIRST_ROW, TableProblem, cell_excerpt, row_place
from engine.tables.unkeyed_rows import empty_cells, without_unkeyed_rows


def filled_down(
    frame: pd.DataFrame, columns: Iterable[str], *, source: str, rules: CellRules
) -> tuple[pd.DataFrame, tuple[Note, ...]]:
    """A copy of a table in which empty cells of some columns repeat the cell above, and a note of how many do.

    Parameters
    ----------
    frame : DataFrame
        Its index is the number of the row, from 0 below the header. Empty is a cell with nothing in it, or blanks
        alone; what says "missing" in words or codes stays.
    columns : iterable of str
        As the file has them.
    source : str
        File, for messages.
    rules : CellRules
        Of the table; its block names the key in messages.

    Raises
    ------
    InputError
        Where the table has no such column, and for a column whose first cell is empty.
    """
    filled, notes = dict[str, pd.Series](), list[Note]()
    for name in dict.fromkeys(columns):
        if name not in frame.columns:
            near = difflib.get_close_matches(name, [str(column) for column in frame.columns], 1)
            raise InputError(
                f"there is no column '{name}' in {source}",
                where=f"{rules.block}.fill_down",
                remedy=f"did you mean '{near[0]}'?" if near else "name a column of the table",
            )
        cells = frame[name]
        empty = empty_cells(cells)
        if empty.all() or empty[0]:
            raise _nothing_above(cells, empty, source, rules)
        filled[name] = _repeated(cells, empty)
        if empty.any():
            first = int(np.argmax(empty))
            text, row = cell_excerpt(filled[name].iloc[first]).strip(), int(cells.index[first]) + FIRST_ROW
            count = int(empty.sum())
            notes.append(
                Note.of("cells_filled_down", source=source, column=name, count=count, text=text, row=row)
            )
    return frame.assign(**filled), tuple(notes)


def _repeated(cells: pd.Series, empty: Flags) -> pd.Series:
    """The column with each empty cell as the last filled one above it, of the same type; the first one is filled."""
    above = np.maximum.accumulate(np.where(empty, 0, np.arange(len(cells))))
    return cells.iloc[above].set_axis(cells.index)


def _nothing_above(cells: pd.Series, empty: Flags, source: str, rules: CellRules) -> InputError:
    if empty.all():
        return InputError(
            "the column is empty, so there is nothing to repeat",
            where=row_place(source, cells, 0),
            remedy=f"fill its first cell, or take the column out of {rules.block}.fill_down",
        )
    rows = [int(number) + FIRST_ROW for number in cells.index[: int(np.argmin(empty))]]
    line = rules.rows_line(rows)
    return TableProblem(
        "the first cell of a column that is filled down is empty, with nothing above to repeat",
        where=row_place(source, cells, 0),
        remedy=f"write its value into the cell, or take the column out of {rules.block}.fill_down",
        job_line=line and f"{line}  # if the rows are no data",
    )


def columns_to_fill(frame: pd.DataFrame, keys: Sequence[str]) -> tuple[str, ...]:
    """Those of the key columns that seem to have lost the cells that were merged; none where that cannot be.

    At least half of the cells of such a column are empty, its first one is not, and once all of them are filled down,
    no two rows have the same keys. Rows without any key do not count.

    Parameters
    ----------
    frame : DataFrame
        With the columns of ``keys``, such as those of city and year.
    keys : sequence of str
    """
    rows = without_unkeyed_rows(frame[list(keys)], keys)[0]
    empty = {name: empty_cells(rows[name]) for name in keys}
    sparse = tuple(
        name for name in keys if len(rows) and not empty[name][0] and 2 * int(empty[name].sum()) >= len(rows)
    )
    if not sparse:
        return ()
    texts = pd.DataFrame(
        {
            name: [
                normalize(cell_text(cell))
                for cell in (_repeated(rows[name], empty[name]) if name in sparse else rows[name])
            ]
            for name in keys
        }
    )
    whole = ~np.any(
        [empty[name] for name in keys if name not in sparse] or [np.zeros(len(rows), bool)], axis=0
    )
    return () if texts[whole].duplicated().any() else sparse


def with_columns_to_fill(rules: CellRules, frame: pd.DataFrame, keys: Sequence[str]) -> CellRules:
    """The rules of a table, which know from now on which of its key columns `columns_to_fill` finds."""
    return replace(rules, to_fill=columns_to_fill(frame, keys)) if rules.block else rules
