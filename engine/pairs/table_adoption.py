"""When the pairs of a table become treated, or its units adopt: columns of years, or of 0 and 1.

A year is that of its pair, or unit, in all of their rows. A status of 0 and 1 gives the first year with a 1; where just
before it a cell is empty, or there is no row though the table has that year, the year is open and refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from engine.arrays import Array, Flags, LongIntegers
from engine.errors import InputError
from engine.notes import Note
from engine.pairs.table_rows import TableRequest, TableRows
from engine.pairs.table_values import TableValues
from engine.tables.problems import Problems
from engine.tables.years import read_years

OwnerName = Callable[[TableRows, int], str]


@dataclass(frozen=True)
class TableAdoption:
    """Years of adoption; NaN for never.

    Attributes
    ----------
    of_pairs : float64 ``[n_pairs]`` or None
        By the number of a pair, see `TableRows.pair`.
    of_units : float64 ``[n_units]`` or None
        By the position of a unit in `TableRows.units`.
    notes : tuple of Note
        How cells were read, and what their gaps leave open.
    """

    of_pairs: Array | None = None
    of_units: Array | None = None
    notes: tuple[Note, ...] = ()


def table_adoption(rows: TableRows, values: TableValues, request: TableRequest) -> TableAdoption:
    """Years of adoption of the pairs or units of a table, over all of its rows.

    Raises
    ------
    InputError
        For cells that are no year, or neither 0 nor 1; for years that differ within a pair or unit; for a status that
        goes back, or leaves the year open; all of them at once.
    """
    if request.unit_adoption is not None:
        return _of_units(rows, request, request.unit_adoption)
    if request.adoption is not None:
        years, notes = _years(rows, request, request.adoption)
        of_pairs = _constant(years, rows.pair, rows, request.adoption, _pair_name)
        return TableAdoption(of_pairs=of_pairs, notes=notes)
    if request.status is not None:
        return _of_status(rows, values.column(request.status), request.status)
    return TableAdoption()


def _years(rows: TableRows, request: TableRequest, column: str) -> tuple[Array, tuple[Note, ...]]:
    cells, missing = rows.frame[column], request.missing.get(column, ())
    years, notes = read_years(cells, source=rows.source, optional=True, missing=missing, rules=request.rules)
    return years, tuple(notes)


def _of_units(rows: TableRows, request: TableRequest, columns: tuple[str, str]) -> TableAdoption:
    problems, read, notes = Problems(rows.source), list[Array](), list[Note]()
    for column in columns:
        with problems.collect():
            years, of_column = _years(rows, request, column)
            read.append(years)
            notes += of_column
    problems.raise_any()
    units = np.concatenate([rows.first, rows.second])
    of_units = _constant(np.concatenate(read), units, rows, " and ".join(columns), _unit_name)
    return TableAdoption(of_units=of_units, notes=tuple(notes))


def _pair_name(rows: TableRows, pair: int) -> str:
    row = int(np.argmax(rows.pair == pair))
    return f"({rows.units[rows.first[row]]}, {rows.units[rows.second[row]]})"


def _unit_name(rows: TableRows, unit: int) -> str:
    return rows.units[unit]


def _constant(years: Array, owner: LongIntegers, rows: TableRows, column: str, name_of: OwnerName) -> Array:
    """The year of each owner ``[n_owners]``, from one of each entry; raises InputError where they differ.

    The first unit's entries stand before the second's, so that an entry's row is its place modulo the rows.
    """
    _, first = np.unique(owner, return_index=True)
    of_owner = np.full(int(owner.max()) + 1, np.nan)
    of_owner[owner[first]] = years[first]
    entries = np.full(len(of_owner), 0)
    entries[owner[first]] = first
    differs = (years != of_owner[owner]) & ~(np.isnan(years) & np.isnan(of_owner[owner]))
    if not differs.any():
        return of_owner
    place, n_rows = int(np.argmax(differs)), len(rows.year)
    earlier = int(entries[owner[place]])
    others = len(np.unique(owner[differs])) - 1
    tail = f"; so of {others:,} more" if others else ""
    raise InputError(
        f"'{column}' of {name_of(rows, int(owner[place]))} is {_shown(years[earlier])} in row "
        f"{rows.number(earlier % n_rows)} and {_shown(years[place])} in row {rows.number(place % n_rows)}{tail}",
        where=rows.place(place % n_rows),
        remedy="write one year in all of its rows, or leave it empty in all of them for never; a column of 0 and 1 is "
        "treatment.status",
    )


def _shown(year: float) -> str:
    return "empty" if np.isnan(year) else f"{year:.0f}"


def _of_status(rows: TableRows, status: Array, column: str) -> TableAdoption:
    """First years with a 1, of pairs whose status goes up once."""
    bad = ~np.isnan(status) & (status != 0.0) & (status != 1.0)
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"'{column}' is {status[row]:g} ({rows.owner(row)}), which is neither 0 nor 1; {int(bad.sum()):,} of "
            f"{len(status):,} rows",
            where=rows.place(row, column),
            remedy="write 0 before a pair is treated and 1 from then on; a column of years is treatment.adoption",
        )
    grid = StatusGrid.of(rows, status)
    problems = Problems(rows.source)
    for refused in grid.refused(rows, column):
        problems.add(refused)
    problems.raise_any()
    first = grid.first_ones
    of_pairs = np.where(first >= 0, grid.years[first], np.nan).astype(np.float64)
    return TableAdoption(of_pairs=of_pairs, notes=tuple(grid.notes(rows, column)))


@dataclass(frozen=True)
class StatusGrid:
    """A status by pair and year.

    Attributes
    ----------
    years : int64 ``[n_years]``
        Those of the table, ascending.
    values : float64 ``[n_pairs, n_years]``
        NaN where there is no row, or an empty cell.
    has_row : bool ``[n_pairs, n_years]``
    """

    years: LongIntegers
    values: Array
    has_row: Flags

    @classmethod
    def of(cls, rows: TableRows, status: Array) -> StatusGrid:
        years, at = np.unique(rows.year, return_inverse=True)
        values = np.full((int(rows.pair.max()) + 1, len(years)), np.nan)
        has_row = np.zeros(values.shape, dtype=bool)
        values[rows.pair, at], has_row[rows.pair, at] = status, True
        return cls(years, values, has_row)

    @property
    def first_ones(self) -> LongIntegers:
        """``[n_pairs]`` position of the first 1; -1 where there is none."""
        is_one = self.values == 1.0
        return np.where(is_one.any(axis=1), is_one.argmax(axis=1), -1)

    def refused(self, rows: TableRows, column: str) -> Iterator[InputError]:
        """Problems that leave the first year of a pair open, or contradict it."""
        without = np.count_nonzero(~np.isnan(self.values), axis=1) == 0
        open_before, open_after = self._open_years()
        back = np.maximum.accumulate(self.values == 1.0, axis=1) & (self.values == 0.0)
        cases: tuple[tuple[Flags, str, str], ...] = (
            (without[:, None], "is empty in all rows", "write 0 where a pair is never treated"),
            (
                back,
                "goes back to 0 after a 1",
                "a treatment that ends is a column of model.regressors under twfe; these estimators have pairs that "
                "stay treated",
            ),
            (
                open_before,
                "is missing just before the first 1, so that the year is open",
                "write 0 or 1 there, or name the year in a column of treatment.adoption",
            ),
            (
                open_after,
                "is empty after the last 0 and without a 1, so that it is open whether the pair is treated",
                "write 0 or 1 there, or name the year in a column of treatment.adoption",
            ),
        )
        for cells, problem, remedy in cases:
            if not cells.any():
                continue
            pair, year = np.argwhere(cells)[0].tolist()
            at_year = "" if cells.shape[1] == 1 else f" ({self.years[year]})"
            count = len(np.unique(np.nonzero(cells)[0]))
            yield InputError(
                f"'{column}' of {_pair_name(rows, pair)} {problem}{at_year}; so of {count:,} of {len(cells):,} pairs",
                where=f"{rows.source}: treatment.status",
                remedy=remedy,
            )

    def _open_years(self) -> tuple[Flags, Flags]:
        """``[n_pairs, n_years]`` cells missing just before the first 1, and empty ones after the last 0 without a 1."""
        first, known, is_zero = self.first_ones, ~np.isnan(self.values), self.values == 0.0
        places, has_zero = np.arange(len(self.years)), np.count_nonzero(is_zero, axis=1) > 0
        is_before = (places == first[:, None] - 1) & (has_zero & (first > 0))[:, None]
        last_zero = len(places) - 1 - is_zero[:, ::-1].argmax(axis=1)
        is_after = (places > last_zero[:, None]) & (has_zero & (first < 0))[:, None]
        return is_before & ~known, is_after & self.has_row & ~known

    def notes(self, rows: TableRows, column: str) -> Iterator[Note]:
        """Pairs whose rows begin with a 1, or end before the table does without one."""
        first, known = self.first_ones, ~np.isnan(self.values)
        early = (first >= 0) & (first == known.argmax(axis=1))
        last_known = known.shape[1] - 1 - known[:, ::-1].argmax(axis=1)
        late = (first < 0) & (last_known < len(self.years) - 1)
        if early.any():
            pair = _pair_name(rows, int(np.argmax(early)))
            yield Note.of("pairs_treated_at_first", column=column, count=int(early.sum()), pair=pair)
        if late.any():
            pair = _pair_name(rows, int(np.argmax(late)))
            yield Note.of("pairs_end_untreated", column=column, count=int(late.sum()), pair=pair)
