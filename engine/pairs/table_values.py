"""Values of a pair table by row: columns, arithmetic on them within the pair over calendar years, and lags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from engine.arrays import Array, LongIntegers
from engine.errors import InputError
from engine.notes import Note
from engine.pairs.table_rows import TableRows, require_column
from engine.tables.arithmetic import Expression, parse
from engine.tables.cell_rules import NO_RULES, CellRules
from engine.tables.missing import Code, suspects
from engine.tables.number_columns import read_numbers

_CELLS = 2_000_000  # of the grid of pairs by calendar years that is laid out at once


def columns_read(frame: pd.DataFrame, text: str, *, key: str, source: str) -> tuple[str, ...]:
    """The columns that a formula reads; raises InputError where one is not there or the text is no formula."""
    if text in frame.columns:
        return (text,)
    try:
        expression = parse(text)
    except InputError as error:
        try:
            require_column(frame, text, key=key, source=source)
        except InputError as absent:
            remedy = "; ".join(filter(None, (absent.remedy, error.remedy)))
            problem = f"{absent.problem}, nor is it arithmetic: {error.problem}"
            raise InputError(problem, where=absent.where, remedy=remedy) from None
        raise
    for name in expression.names:
        require_column(frame, name, key=key, source=source)
    return expression.names


class TableValues:
    """Reads each column of a table once.

    A text that is the name of a column stands for that column, whatever characters are in it; any other text is
    arithmetic on columns (`engine.tables.arithmetic`).
    """

    def __init__(
        self, rows: TableRows, missing: Mapping[str, Sequence[Code]], rules: CellRules = NO_RULES
    ) -> None:
        self._rows, self._missing, self._rules = rows, missing, rules
        self.notes: list[Note] = []
        self._columns: dict[str, Array] = {}

    def is_column(self, text: str) -> bool:
        """True where the text names a column as it stands."""
        return text in self._rows.frame.columns

    def values(self, text: str) -> Array:
        """``[n_rows]``; NaN where missing, infinite where undefined though nothing it reads is missing."""
        if self.is_column(text):
            return self.column(text)
        expression = parse(text)
        inputs = {name: self.column(name) for name in expression.names}
        if expression.over_time:
            return self._by_pair(expression, inputs)
        return expression.evaluate_over(inputs, (len(self._rows.year),))

    def code_warnings(self) -> list[Note]:
        """Values in the columns read so far that look like codes for missing ones."""
        return [
            Note.of(
                "missing_code",
                column=name,
                value=float(code),
                count=int(suspect.sum()),
                total=len(values),
                row=self._rows.number(int(np.argmax(suspect))),
                key="pair_table.missing",
            )
            for name, values in self._columns.items()
            for code, suspect in suspects(values, declared=self._missing.get(name, ())).items()
        ]

    def earlier_rows(self, lag: int) -> LongIntegers:
        """``[n_rows]`` row of the same pair ``lag`` calendar years before, -1 where there is none."""
        year = self._rows.year
        key = self._rows.pair * (int(np.ptp(year)) + lag + 1) + (year - year.min())
        order = np.argsort(key, kind="stable")
        place = np.minimum(np.searchsorted(key[order], key - lag), len(key) - 1)
        row = order[place]
        return np.where(key[row] == key - lag, row, -1)

    def column(self, name: str) -> Array:
        """``[n_rows]`` of a column of the table; raises InputError for text that is no number."""
        if name not in self._columns:
            codes = self._missing.get(name, ())
            frame, source = self._rows.frame, self._rows.source
            read = read_numbers(frame[name], source=source, missing=codes, rules=self._rules)
            self._columns[name] = read.values
            self.notes += read.notes
        return self._columns[name]

    def _by_pair(self, expression: Expression, inputs: Mapping[str, Array]) -> Array:
        """Evaluate on a grid of pairs by calendar years, some pairs at a time."""
        rows = self._rows
        start = int(rows.year.min())
        span = int(rows.year.max()) - start + 1
        order = np.argsort(rows.pair, kind="stable")
        pair = rows.pair[order]
        length = max(1, _CELLS // span)
        evaluated = np.empty(len(order))
        for low in range(0, int(pair[-1]) + 1, length):
            part = order[slice(*np.searchsorted(pair, [low, low + length]))]
            place = rows.pair[part] - low, rows.year[part] - start
            shape = int(place[0].max()) + 1, span
            grids = {name: _laid(values[part], place, shape) for name, values in inputs.items()}
            evaluated[part] = expression.evaluate_over(grids, shape)[place]
        return evaluated


def _laid(values: Array, place: tuple[LongIntegers, LongIntegers], shape: tuple[int, int]) -> Array:
    grid = np.full(shape, np.nan)
    grid[place] = values
    return grid
