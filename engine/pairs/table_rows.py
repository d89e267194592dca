"""Rows of a user's own dyadic table: which pair and year each is of, and what is wrong with them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from engine.arrays import Flags, LongIntegers
from engine.errors import InputError
from engine.notes import Note
from engine.tables.cell_rules import NO_RULES, CellRules
from engine.tables.fill_down import with_columns_to_fill
from engine.tables.labels import Labels, read_labels
from engine.tables.missing import Code
from engine.tables.near_duplicates import MergeRule
from engine.tables.problems import FIRST_ROW, Problems, TableProblem, job_line
from engine.tables.unkeyed_rows import without_unkeyed_rows
from engine.tables.years import read_years

MERGE_KEY = "pair_table.merge_names"


@dataclass(frozen=True)
class TableRequest:
    """Which columns of a dyadic table a regression needs, and how they are read.

    Attributes
    ----------
    unit_i, unit_j, year : str
        Columns of the table.
    outcome : str
    regressors : tuple of str
        Columns, or arithmetic on them.
    directed : bool
        False: a pair is unordered and any of its rows may name its units in either order. True: (i, j) and (j, i)
        are two pairs of one dyad.
    years : tuple of int or None
        First and last year of the sample. Arithmetic and lags see the whole table.
    weight : str or None
        Row weights: a column, or arithmetic.
    offset : str or None
        A column, or arithmetic, in the sample year whatever the lag; it stands before the outcome.
    from_zero : bool
        The outcome may not be negative.
    least_rows : int
        Complete rows that a pair must have; weights have mean one over those of such pairs.
    effects : tuple of str
        Columns whose values are levels of fixed effects.
    by_year : tuple of str
        Those of the regressors that have a column a year (`engine.pairs.year_slopes`).
    lag : int
        Calendar years by which the regressors are lagged within the pair.
    infinite : str
        What becomes of an infinite outcome: ``error``, or its row is left out.
    merge : tuple of str
        Rules by which names of units that are nearly the same are joined.
    missing : mapping of str to codes
        By column: values that mean "missing".
    memory : float
        Bytes that the columns, laid out by pair and year, may take.
    rules : CellRules
        How the cells of the table are read.
    adoption, status : str or None
        Columns with the year in which a pair becomes treated, and with its 0 and 1; one of them, or neither.
    unit_adoption : (str, str) or None
        Columns with the adoption years of the two units.
    """

    unit_i: str
    unit_j: str
    year: str
    outcome: str
    regressors: tuple[str, ...]
    directed: bool = False
    years: tuple[int, int] | None = None
    weight: str | None = None
    offset: str | None = None
    from_zero: bool = False
    least_rows: int = 2
    effects: tuple[str, ...] = ()
    by_year: tuple[str, ...] = ()
    lag: int = 0
    infinite: Literal["drop", "clip", "error"] = "drop"
    merge: tuple[MergeRule, ...] = ()
    missing: Mapping[str, Sequence[Code]] = field(default_factory=dict)
    memory: float = 2e9
    rules: CellRules = NO_RULES
    adoption: str | None = None
    status: str | None = None
    unit_adoption: tuple[str, str] | None = None

    @property
    def keys(self) -> dict[str, str]:
        """Columns that say which row is which, by job key."""
        return {
            "pair_table.unit_i": self.unit_i,
            "pair_table.unit_j": self.unit_j,
            "pair_table.year": self.year,
        }

    @property
    def formulas(self) -> dict[str, str]:
        """Columns or arithmetic by job key: regressors first, then offset, outcome and weight."""
        texts = {f"model.regressors[{number}]": text for number, text in enumerate(self.regressors)}
        texts |= {"model.offset": self.offset} if self.offset is not None else {}
        texts["outcome.column"] = self.outcome
        return texts | ({"pair_table.weight": self.weight} if self.weight is not None else {})

    @property
    def timing(self) -> list[tuple[str, str]]:
        """Job keys, and columns, that say when pairs or units adopt."""
        single = [("treatment.adoption", self.adoption), ("treatment.status", self.status)]
        columns = [(key, column) for key, column in single if column is not None]
        return [*columns, *(("treatment.unit_adoption", column) for column in self.unit_adoption or ())]

    def sources(self, slope_years: Sequence[int]) -> tuple[str, ...]:
        """Origin of each column: regressors, those by year once a year; the offset where there is one; the outcome."""
        n_slopes = max(len(slope_years) - 1, 0)
        regressors = [
            text for text in self.regressors for _ in range(n_slopes if text in self.by_year else 1)
        ]
        return (*regressors, *([] if self.offset is None else [self.offset]), self.outcome)


@dataclass(frozen=True)
class TableRows:
    """The rows of a table that say what they are of.

    Attributes
    ----------
    source : str
        File, for messages.
    frame : DataFrame
        Its index is the number of the row below the header, from 0.
    labels : Labels
        Names of the units, in the columns of the first and of the second.
    year : int64 ``[n_rows]``
    directed : bool
    n_blank : int
        Rows with neither units nor year, which are not among them.
    notes : tuple of Note
        How years were read.
    """

    source: str
    frame: pd.DataFrame
    labels: Labels
    year: LongIntegers
    directed: bool
    n_blank: int
    notes: tuple[Note, ...] = ()

    @property
    def units(self) -> tuple[str, ...]:
        return self.labels.names

    @property
    def first(self) -> LongIntegers:
        """``[n_rows]`` unit that stands first, as the row has it."""
        return self.labels.codes[0]

    @property
    def second(self) -> LongIntegers:
        """``[n_rows]`` unit that stands second."""
        return self.labels.codes[1]

    @cached_property
    def pair(self) -> LongIntegers:
        """``[n_rows]`` number of the row's pair, from 0: in either order the same, unless directed."""
        low, high = self.first, self.second
        if not self.directed:
            low, high = np.minimum(low, high), np.maximum(low, high)
        return np.asarray(np.unique(low * len(self.units) + high, return_inverse=True)[1], dtype=np.int64)

    def number(self, row: int) -> int:
        """The row's number in the file, whose header is row 1."""
        return int(self.frame.index[row]) + FIRST_ROW

    def place(self, row: int, column: str = "") -> str:
        """``trade.csv: row 7, column 'y'``."""
        place = f"{self.source}: row {self.number(row)}"
        return f"{place}, column '{column}'" if column else place

    def owner(self, row: int) -> str:
        """``U01, U02, 2003``."""
        return f"{self.units[self.first[row]]}, {self.units[self.second[row]]}, {self.year[row]}"


def read_rows(frame: pd.DataFrame, request: TableRequest, *, source: str, problems: Problems) -> TableRows:
    """The rows of a table; what is wrong with names and years is added to the problems.

    Raises
    ------
    InputError
        For a table without rows.
    """
    keys = list(request.keys.values())
    frame, n_blank = without_unkeyed_rows(frame, keys)
    if frame.empty:
        raise InputError("the table has no rows", where=source)
    rules = with_columns_to_fill(request.rules, frame, keys)
    years, labels, notes = np.zeros(0), Labels((), ()), list[Note]()
    with problems.collect():
        years, notes = read_years(
            frame[request.year],
            source=source,
            missing=request.missing.get(request.year, ()),
            rules=rules,
        )
    with problems.collect():
        labels = read_labels(
            [frame[request.unit_i], frame[request.unit_j]], source=source, merge=request.merge
        )
        for error in _unit_problems(frame, labels, replace(request, rules=rules), source):
            problems.add(error)
    rows = TableRows(source, frame, labels, years.astype(np.int64), request.directed, n_blank, tuple(notes))
    if not problems.errors:
        for error in _repeats(rows, request.rules):
            problems.add(error)
    return rows


def in_both_orders(first: pd.Series, second: pd.Series, year: pd.Series) -> bool:
    """Whether some pair stands in both orders in one year; columns as they are in the file."""
    units, _ = pd.factorize(pd.concat([first.astype(str), second.astype(str)]))
    years, _ = pd.factorize(year)
    n_units, (i, j) = int(units.max()) + 1, np.split(units.astype(np.int64), 2)
    apart = i != j
    key, reverse = ((years * n_units + a) * n_units + b for a, b in ((i, j), (j, i)))
    return bool(np.isin(key[apart], reverse[apart]).any())


def require_column(frame: pd.DataFrame, name: str, *, key: str, source: str) -> None:
    """Raise InputError, with what looks alike, where the table has no such column."""
    if name not in frame.columns:
        near = difflib.get_close_matches(name, [str(column) for column in frame.columns], 1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise InputError(
            f"there is no column '{name}'",
            where=f"{source}: {key}",
            remedy=f"{hint}the table has {', '.join(map(str, frame.columns[:20]))}",
        )


def _unit_problems(
    frame: pd.DataFrame, labels: Labels, request: TableRequest, source: str
) -> Iterator[InputError]:
    first, second = labels.codes
    empty = (first < 0) | (second < 0)
    for bad, problem, remedy in (
        (empty, "a unit is empty", "name both units in every row; remove notes and totals around the table"),
        ((first == second) & ~empty, "a unit is paired with itself", "leave such rows out"),
    ):
        if bad.any():
            row = int(np.argmax(bad))
            units = (_cell_text(frame[name].iloc[row]) for name in (request.unit_i, request.unit_j))
            numbers = [int(number) + FIRST_ROW for number in frame.index[bad]]
            filled = request.rules.fill_line(_column_to_fill(request)) if bad is empty else ""
            yield TableProblem(
                f"{problem} ({', '.join(units)}){_others(bad)}",
                where=f"{source}: row {frame.index[row] + FIRST_ROW}",
                remedy=remedy,
                job_line=filled or request.rules.rows_line(numbers),
            )


def _column_to_fill(request: TableRequest) -> str:
    """The first of the two columns of units that may have to be filled down; "" where none may."""
    return next((name for name in (request.unit_i, request.unit_j) if name in request.rules.to_fill), "")


def _repeats(rows: TableRows, rules: CellRules) -> Iterator[InputError]:
    """Rows of one pair and year: in both orders of an undirected pair, or written alike."""
    keys = pd.DataFrame({"pair": rows.pair, "year": rows.year, "turned": rows.first > rows.second})
    repeated = keys.duplicated(["pair", "year"]).to_numpy()
    if not repeated.any():
        return
    alike = keys.duplicated().to_numpy()
    remedy = "keep one row a pair and year"
    if not rows.directed:
        turned = repeated & ~alike
        if turned.any():
            row = int(np.argmax(turned))
            first, second = rows.units[rows.first[row]], rows.units[rows.second[row]]
            earlier = _earlier(keys, row)
            yield TableProblem(
                f"pair_table.directed is false, but {rows.year[row]} has both ({second}, {first}), in row "
                f"{rows.number(earlier)}, and ({first}, {second}){_others(turned)}",
                where=rows.place(row),
                remedy=f"{remedy}, in either order, or say directed: true if the two directions differ",
                job_line=rules.block
                and f"{job_line('pair_table.directed', True)}  # if the two directions differ",
            )
    if alike.any():
        row = int(np.argmax(alike))
        count = int(alike.sum())
        line = rules.rows_line([rows.number(place) for place in np.flatnonzero(alike).tolist()])
        yield TableProblem(
            f"({rows.owner(row)}) is given twice; {count} row{'s' * (count > 1)} repeat{'s' * (count == 1)} an "
            "earlier one",
            where=rows.place(row),
            remedy=remedy,
            job_line=line and f"{line}  # if the first row of each is right",
        )


def _earlier(keys: pd.DataFrame, row: int) -> int:
    """The first row of the same pair and year."""
    repeated = (keys["pair"] == keys["pair"].iloc[row]) & (keys["year"] == keys["year"].iloc[row])
    return int(np.argmax(repeated.to_numpy()))


def _others(bad: Flags) -> str:
    n_others = int(bad.sum()) - 1
    return f"; so in {n_others:,} more row{'s' * (n_others > 1)}" if n_others else ""


def _cell_text(value: object) -> str:
    return str(value) if isinstance(value, str) or not pd.isna(value) else ""  # type: ignore[call-overload]


def rows_of_years(year: LongIntegers, years: tuple[int, int] | None, source: str) -> LongIntegers:
    """Rows of the sample years."""
    if years is None:
        return np.arange(len(year))
    if years[0] < year.min() or years[1] > year.max():
        raise InputError(
            f"years [{years[0]}, {years[1]}] reach beyond the table, which has {year.min()} to {year.max()}",
            where=f"{source}: years",
            remedy="name years that the table has",
        )
    sample_rows = np.flatnonzero((year >= years[0]) & (year <= years[1]))
    if not len(sample_rows):
        raise InputError(f"no row is of the years [{years[0]}, {years[1]}]", where=f"{source}: years")
    return sample_rows
