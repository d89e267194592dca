"""Content of a pair table, and what became of its rows: the report before any work."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from engine.arrays import Array
from engine.characters import aligned
from engine.notes import Note, message_lines, notes_record

_WIDTH = 12  # places of a number on the terminal


@dataclass(frozen=True)
class TableColumn:
    """One column, or arithmetic, over the rows of the sample.

    Attributes
    ----------
    column : str
    minimum, maximum, mean : float
        Over its finite values; NaN where there are none.
    n_missing, n_infinite : int
        Rows whose value is missing, and infinite or undefined.
    """

    column: str
    minimum: float
    maximum: float
    mean: float
    n_missing: int
    n_infinite: int


@dataclass(frozen=True)
class TableReport:
    """The validation report of a pair table.

    Attributes
    ----------
    source : str
        File.
    years : tuple of int
        First and last year of the sample.
    n_years, n_units, n_pairs, n_rows : int
        Of the sample; pairs are those with a row, directed ones where the table is.
    n_used : int
        Rows that lack nothing: these can be in the regression.
    directed : bool
    lag : int
        Years by which the regressors are lagged.
    columns : tuple of TableColumn
        Regressors as they stand before any lag, the outcome, the weight.
    warnings, notes : tuple of Note
        What should be looked at, and what is worth knowing.
    """

    source: str
    years: tuple[int, int]
    n_years: int
    n_units: int
    n_pairs: int
    n_rows: int
    n_used: int
    directed: bool
    lag: int
    columns: tuple[TableColumn, ...]
    warnings: tuple[Note, ...]
    notes: tuple[Note, ...]

    def to_dict(self, worded: Callable[[Note], str]) -> dict[str, object]:
        """Plain lists, strings and numbers, ready for JSON; undefined numbers become None, notes are worded too."""
        plain = {key: _plain(value) for key, value in asdict(self).items()}
        plain["columns"] = [
            {key: _plain(value) for key, value in asdict(column).items()} for column in self.columns
        ]
        return (
            plain | notes_record("warning", self.warnings, worded) | notes_record("note", self.notes, worded)
        )

    def lines(self, worded: Callable[[Note], str]) -> list[str]:
        """The report for a terminal, one string a line."""
        first, last = self.years
        head = Note.of(
            "table_read", source=self.source, units=self.n_units, pairs=self.n_pairs, first=first, last=last,
            directed=[Note("directed")] if self.directed else [], years=self.n_years, rows=self.n_rows,
            used=self.n_used, lagged=[Note.of("lagged", lag=self.lag)] if self.lag else [],
        )  # fmt: skip
        table = [worded(Note("table_columns")).split(" | "), *map(_cells, self.columns)]
        return [
            worded(head), "", *aligned(table, _WIDTH), *message_lines(self.warnings, self.notes, worded)
        ]  # fmt: skip


def _cells(column: TableColumn) -> list[str]:
    """Name and numbers of a column, as the terminal shows them."""
    numbers = [f"{value:.5g}" for value in (column.minimum, column.maximum, column.mean)]
    return [column.column, *numbers, f"{column.n_missing:,}", f"{column.n_infinite:,}"]


def table_column(name: str, values: Array) -> TableColumn:
    """The report of one column from its values ``[n_rows]``."""
    finite = values[np.isfinite(values)]
    with np.errstate(over="ignore"):
        mean = float(finite.mean()) if finite.size else math.nan
    return TableColumn(
        column=name,
        minimum=float(finite.min()) if finite.size else math.nan,
        maximum=float(finite.max()) if finite.size else math.nan,
        mean=mean,
        n_missing=int(np.isnan(values).sum()),
        n_infinite=int(np.isinf(values).sum()),
    )


def _plain(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return list(value) if isinstance(value, tuple) else value
