"""The file laid out on the grid [city, year], and canonical columns computed on it.

In the arrays of this module NaN means missing and infinity means undefined: a division by zero, the
logarithm of a value that is not positive. The two are told apart here, because a missing value may cost a
city its place in the sample while an undefined one is a mistake to be shown.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from engine.arrays import Array, Flags, LongIntegers
from engine.cities.half_rows import refuse_half_rows
from engine.cities.panel_request import PanelRequest
from engine.errors import InputError
from engine.notes import Note
from engine.tables.arithmetic import Expression, parse
from engine.tables.cell_rules import CellRules
from engine.tables.labels import Labels, read_labels, visible
from engine.tables.missing import Code, names_are_never_missing, suspects, two_names_of_a_column
from engine.tables.number_columns import read_numbers
from engine.tables.problems import FIRST_ROW, Problems, TableProblem
from engine.tables.unkeyed_rows import empty_cells
from engine.tables.years import check_years, read_years, readable_years

_SHOWN, _LARGEST = 30, 20_000_000


class CityYearGrid:
    """City-years of a table, read column by column as they are needed.

    Parameters
    ----------
    frame : DataFrame
        One row a city-year, in any order.
    request : PanelRequest
        Its ``columns``, ``merge_names``, ``missing`` and ``year_columns`` say how cells are read. A name inside
        arithmetic is a column of the file where there is one, else another canonical name.
    source : str
        File, for messages.
    problems : Problems
        Collects what is wrong with rows, cities and years (no city or year column, a row without one of them, a
        city-year twice, more city-years than fit), so that the cells of the columns can be read too before all of
        it is raised.

    Attributes
    ----------
    units : tuple of str
        All cities of the file, sorted.
    years : tuple of int
        From the first year of the file to the last, without holes.
    n_blank : int
        Rows with neither city nor year, which are passed over.
    marks : dict of str to int
        Cells that said "missing" in words, by column of the file.
    notes, warnings : list of Note
        How names and years were read, and what looks wrong in them.
    """

    def __init__(
        self, frame: pd.DataFrame, request: PanelRequest, *, source: str, problems: Problems
    ) -> None:
        self.source, self.columns, self._request = source, request.columns, request
        self._frame = frame if frame.index.is_unique else frame.reset_index(drop=True)
        self._merge_names, self._year_columns = request.merge_names, request.year_columns
        self.marks: dict[str, int] = {}
        self.notes: list[Note] = []
        self.warnings: list[Note] = []
        self._files: dict[str, Array] = {}
        self._canonical: dict[str, Array] = {}
        self._missing_codes = self._declared_codes()
        self._lay_nowhere()
        with problems.collect():
            self._refuse_missing_names()
        with problems.collect():
            self._index_rows()

    def _declared_codes(self) -> dict[str, Sequence[Code]]:
        """Codes for missing values by column of the file."""
        names: dict[str, str] = {}
        for name in self._request.missing:
            column = self._bare(name, key="panel.missing")
            if column in names:
                raise two_names_of_a_column("panel.missing", names[column], name)
            names[column] = name
        return {column: self._request.missing[name] for column, name in names.items()}

    def _refuse_missing_names(self) -> None:
        """Codes for missing values of the column of cities: a city is what its name says."""
        if self._bare("city", key="panel") in self._missing_codes:
            raise names_are_never_missing("panel.missing", self._bare("city", key="panel"))

    def _lay_nowhere(self) -> None:
        """A grid of one cell, on which columns can be read while cities or years cannot."""
        self.units: tuple[str, ...] = ("",)
        self.years: tuple[int, ...] = (0,)
        self.n_blank = 0
        self._codes = np.zeros(len(self._frame), dtype=np.int64)
        self._place = self._codes
        self._owners: list[str] | None = None

    def _index_rows(self) -> None:
        """Find city and year of every row, and its place on the grid."""
        city, year = self._bare("city", key="panel"), self._bare("year", key="panel")
        problems = Problems(self.source)
        labels, years = Labels((self._codes,), ("",)), np.zeros(len(self._frame))
        with problems.collect():
            labels = read_labels([self._frame[city]], source=self.source, merge=self._merge_names)
        codes = labels.codes[0]
        blank_year = empty_cells(self._frame[year])
        blank, whole = (codes < 0) & blank_year, (codes >= 0) & ~blank_year
        with problems.collect():
            refuse_half_rows(
                self._frame,
                codes < 0,
                blank_year,
                city=city,
                year=year,
                source=self.source,
                rules=self._request.rules,
            )
        with problems.collect():
            years, notes = read_years(self._frame[year][whole], source=self.source, rules=self._request.rules)
        n_blank = int(blank.sum())
        if not problems.errors:
            self._lay_rows(whole, codes, years.astype(np.int64), labels.names, n_blank)
        elif labels.names != ("",) and whole.any():  # what else is wrong shall be said in the same error
            years = readable_years(self._frame[year][whole])
            whole[whole] = ~np.isnan(years)
            with problems.collect():
                self._lay_rows(whole, codes, years[~np.isnan(years)].astype(np.int64), labels.names, n_blank)
        problems.raise_any()
        self.notes += notes + labels.notes(source=self.source, place=Note.of("column", column=city))
        self.warnings += labels.warnings(source=self.source, names=Note("cities"), key="panel.merge_names")

    def _lay_rows(
        self, laid: Flags, codes: LongIntegers, years: LongIntegers, units: tuple[str, ...], n_blank: int
    ) -> None:
        """Lay the rows of the mask ``laid``, whose years are given, on the grid."""
        rows, codes = self._frame[laid], codes[laid]
        if not len(rows):
            return
        first, last = int(years.min()), int(years.max())
        size = len(units) * (last - first + 1)
        if size > _LARGEST:
            raise InputError(
                f"{len(units):,} cities from {first} to {last} are {size:,} city-years, the limit is {_LARGEST:,}",
                where=self.source,
                remedy="look for a year or a city that is mistyped, or cut the table",
            )
        self.n_blank = n_blank
        self._frame, self._codes, self.units = rows, codes, units
        self.years = tuple(range(first, last + 1))
        self._owners = [units[code] for code in codes]
        self._place = codes * len(self.years) + (years - first)
        self._refuse_duplicates()

    def _refuse_duplicates(self) -> None:
        counts = np.bincount(self._place, minlength=len(self.units) * len(self.years))
        repeated = np.flatnonzero(counts > 1)
        if not len(repeated):
            return
        examples, city = [], self._bare("city", key="panel")
        for place in repeated[:3]:
            unit, year = divmod(int(place), len(self.years))
            rows = np.flatnonzero(self._place == place)[:3]
            numbers = ", ".join(str(self._row_number(row)) for row in rows)
            spellings = dict.fromkeys(visible(str(self._frame[city].iloc[row]).strip()) for row in rows)
            spelled = f", spelled {' and '.join(spellings)}" if len(spellings) > 1 else ""
            examples.append(f"{self.units[unit]} {self.years[year]} (rows {numbers}{spelled})")
        later = [place for cell in repeated for place in np.flatnonzero(self._place == cell)[1:]]
        line = self._request.rules.rows_line([self._row_number(int(place)) for place in later])
        raise TableProblem(
            f"city-years given more than once: {'; '.join(examples)} ({len(repeated)} in all)",
            where=self.source,
            remedy="keep one row a city and year",
            job_line=line and f"{line}  # if the first row of each is right",
        )

    def _row_number(self, row: int) -> int:
        return int(self._frame.index[row]) + FIRST_ROW

    def has_row(self) -> Flags:
        """``[n_units, n_years]`` city-years that the table has a row of."""
        return ~np.isnan(self._laid(np.ones(len(self._place))))

    def column(self, name: str, *, key: str) -> Array:
        """``[n_units, n_years]`` of a canonical column; ``key`` is the job key that needs it."""
        return self._column(name, key, ())

    def known(self, name: str) -> bool:
        """True where the canonical column is mapped or in the file."""
        return name in self.columns or name in self._frame

    def text(self, name: str) -> str:
        """The column of the file, or the arithmetic, that a canonical column is read from."""
        return self.columns.get(name, name)

    def canonical_inputs(self, name: str) -> set[str]:
        """Canonical columns the arithmetic of a column reads, directly or through others."""
        inputs: set[str] = set()
        if name in self.columns and self.columns[name] not in self._frame:
            for operand in self._parse(name).names:
                if operand not in self._frame:
                    inputs |= {operand} | self.canonical_inputs(operand)
        return inputs

    def shadowed(self, name: str) -> list[str]:
        """Canonical names that the arithmetic of a column passes by for columns of the file."""
        if name not in self.columns or self.columns[name] in self._frame:
            return []
        return [
            operand
            for operand in self._parse(name).names
            if operand in self._frame and operand != name and self.columns.get(operand, operand) != operand
        ]

    def file_inputs(self, name: str) -> set[str]:
        """Columns of the file a canonical column is read or computed from."""
        if self.text(name) in self._frame:
            return {self.text(name)}
        inputs: set[str] = set()
        for operand in self._parse(name).names:
            inputs |= {operand} if operand in self._frame else self.file_inputs(operand)
        return inputs

    def label(self, name: str, *, key: str, use: str = "") -> tuple[str, ...]:
        """Text column constant in a city, one label a city, "" where there is none; the key ``use`` groups by it."""
        column = self._bare(name, key=key)
        cells, codes_of_missing = [self._frame[column]], self._missing_codes.get(column, ())
        labels = read_labels(cells, source=self.source, merge=self._merge_names, missing=codes_of_missing)
        codes, texts = labels.codes[0], labels.names
        if not pd.api.types.is_numeric_dtype(self._frame[column].dtype):
            names = Note.of("labels_of_column", column=column)
            self.notes += labels.notes(source=self.source, place=names)
            self.warnings += labels.warnings(source=self.source, names=names, key="panel.merge_names")
        labelled = codes >= 0
        of_unit = np.full(len(self.units), -1, dtype=np.int64)
        of_unit[self._codes[labelled]] = codes[labelled]
        clash = labelled & (of_unit[self._codes] != codes)
        if clash.any():
            row = int(np.argmax(clash))
            unit = self._codes[row]
            raise InputError(
                f"'{column}' must be constant within a city, but {self.units[unit]} has both "
                f"'{texts[codes[row]]}' and '{texts[of_unit[unit]]}'",
                where=f"{self.source}: row {self._row_number(row)}",
                remedy=f"give one value a city{f', or name another column: {use} groups cities by it' * bool(use)}",
            )
        return tuple(texts[code] if code >= 0 else "" for code in of_unit)

    def _column(self, name: str, key: str, trail: tuple[str, ...]) -> Array:
        if name in self._canonical:
            return self._canonical[name]
        if name in trail:
            circle = " -> ".join((*trail[trail.index(name) :], name))
            raise InputError(
                f"columns are defined in a circle: {circle}",
                where="panel.columns",
                remedy="let one of them be a column of the file",
            )
        text = self.text(name)
        if name in self._year_columns and name in self.columns and text not in self._frame:
            parsed = self._parse(name)
            text = parsed.names[0] if parsed.is_name else text  # a header in backticks is no arithmetic
        if text in self._frame:
            values = self._years(text) if name in self._year_columns else self._file(text)
        elif name in self.columns:
            values = self._evaluate(name, self._parse(name), (*trail, name))
            if name in self._year_columns:
                self._check_years(name, values)
        else:
            raise self._missing(name, key)
        self._canonical[name] = values
        return values

    def _file(self, column: str) -> Array:
        """``[n_units, n_years]`` of a column of the file, NaN where there is no row."""
        if column not in self._files:
            codes = self._missing_codes.get(column, ())
            read = read_numbers(
                self._frame[column],
                source=self.source,
                owners=self._owners,
                missing=codes,
                rules=self._rules_of(column),
            )
            self.marks[column] = read.n_marks
            self.notes += read.notes
            self._files[column] = self._laid(read.values)
            self._warn_of_codes(column, read.values, codes)
        return self._files[column]

    def _rules_of(self, column: str) -> CellRules:
        """How the cells of a column of the file, or of a table beside it, are read."""
        return self._request.joined_rules.get(column, self._request.rules)

    def _years(self, column: str) -> Array:
        """``[n_units, n_years]`` of a column of the file that holds years, or dates, and may miss them."""
        values, notes = read_years(
            self._frame[column],
            source=self.source,
            owners=self._owners,
            optional=True,
            missing=self._missing_codes.get(column, ()),
            rules=self._rules_of(column),
        )
        self.marks[column] = int(np.isnan(values).sum()) - int(self._frame[column].isna().sum())
        self.notes += notes
        return self._laid(values)

    def _check_years(self, name: str, values: Array) -> None:
        owners = [unit for unit in self.units for _ in self.years]
        check_years(values.ravel(), owners=owners, column=name, key=f"panel.columns.{name}")

    def _laid(self, values: Array) -> Array:
        laid = np.full(len(self.units) * len(self.years), np.nan)
        laid[self._place] = values
        return laid.reshape(len(self.units), len(self.years))

    def _warn_of_codes(self, column: str, values: Array, declared: Sequence[Code]) -> None:
        for code, mask in suspects(values, declared=declared).items():
            row = int(np.argmax(mask))
            owner = f" ({self._owners[row]})" if self._owners else ""
            place = f"{self._row_number(row)}{owner}"
            note = Note.of(
                "missing_code", column=column, value=float(code), count=int(mask.sum()), total=len(values), row=place,
                key="panel.missing",
            )  # fmt: skip
            self.warnings.append(note)

    def _evaluate(self, name: str, expression: Expression, trail: tuple[str, ...]) -> Array:
        key = f"panel.columns.{name}"
        inputs = {}
        for operand in expression.names:
            if operand in self._frame:
                inputs[operand] = self._file(operand)
            elif operand == name:
                raise self._missing(operand, key)
            else:
                inputs[operand] = self._column(operand, key, trail)
        return expression.evaluate_over(inputs, (len(self.units), len(self.years)))

    def _parse(self, name: str) -> Expression:
        try:
            return parse(self.columns[name])
        except InputError as error:
            raise InputError(
                error.problem,
                where=f"panel.columns.{name}",
                remedy=self._suggest(self.columns[name]) or error.remedy,
            ) from None

    def _bare(self, name: str, *, key: str) -> str:
        """The column of the file behind a name that may not be arithmetic."""
        text = self.text(name)
        if text in self._frame:
            return text
        if name not in self.columns:
            raise self._missing(name, key)
        expression = self._parse(name)
        if not expression.is_name:
            raise InputError(
                f"'{name}' cannot be arithmetic ('{text}')",
                where=f"panel.columns.{name}",
                remedy="name a column of the file",
            )
        if expression.names[0] not in self._frame:
            raise self._missing(expression.names[0], f"panel.columns.{name}")
        return expression.names[0]

    def _missing(self, name: str, key: str) -> InputError:
        column_list = ", ".join(map(str, self._frame.columns[:_SHOWN]))
        n_unlisted = len(self._frame.columns) - _SHOWN
        tail = f" and {n_unlisted} more" if n_unlisted > 0 else ""
        return InputError(
            f"needs column '{name}', which is not in {self.source}",
            where=key,
            remedy=f"{self._suggest(name)}map it under panel.columns; the file has {column_list}{tail}",
        )

    def _suggest(self, name: str) -> str:
        """ "did you mean 'x'? " where something looks alike, else nothing."""
        choices: Iterable[str] = [*map(str, self._frame.columns), *self.columns]
        near = difflib.get_close_matches(name, [choice for choice in choices if choice != name], n=1)
        return f"did you mean '{near[0]}'? " if near else ""
