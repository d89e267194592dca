"""Which column of a data file says when a city adopts: its year, or a status of 0 and 1; by name and by content."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engine.errors import InputError
from engine.report.language.wording import Words
from engine.spec.block import NAME
from engine.tables.cell_values import numbers
from engine.tables.read import FileTable
from engine.tables.years import read_years

_ADOPTION = (
    "pilot_year", "adoption_year", "adoption", "treat_year", "treatment_year", "first_treat", "first.treat", "gvar",
    "试点年份", "政策年份", "实施年份", "设立年份", "获批年份", "批准年份", "pilot", "cohort",
)  # fmt: skip
_STATUS = (
    "did", "treated", "treat", "treat_post", "treatment", "policy", "status", "dummy", "pilot",
    "政策", "试点", "处理", "政策虚拟变量", "试点政策", "虚拟变量",
)  # fmt: skip
_NEVER = ("never", "never treated", "none", "从未", "未试点", "非试点", "未实施", "没有", "无")
_NUMBERS_FOR_NEVER = ("0", "0.0", "-1", "-1.0", "9999", "9999.0")


@dataclass(frozen=True)
class TimingColumn:
    """The column that says when a city adopts: its ``key`` of the block ``treatment``, and a code there for never."""

    column: str
    key: str
    never: list[object]

    @property
    def name(self) -> str:
        """Its name in the job."""
        return (
            self.column if is_name(self.column) else {"adoption": "pilot_year", "status": "adopted"}[self.key]
        )

    def guesses(self, words: Words) -> list[str]:
        """Guesses on the column, in the language of the words."""
        if self.key == "status":
            return [words("column '{column}' is 0 before adoption and 1 from then on", column=self.column)]
        of_code = [words("'{code}' there stands for never", code=code) for code in self.never]
        return [words("the year of adoption is in column '{column}'", column=self.column), *of_code]


def timing_column(table: FileTable, city: str, year: str) -> TimingColumn | None:
    """A column of years before one of 0 and 1; None where there is neither."""
    adoption, never = _adoption(table, city, year)
    if adoption is not None:
        return TimingColumn(adoption, "adoption", never)
    status = _status(table, city, year)
    return None if status is None else TimingColumn(status, "status", [])


def _adoption(table: FileTable, city: str, year: str) -> tuple[str | None, list[object]]:
    """The column of adoption years: by its name, or the first of years that are constant in a city and not in all.

    With it a word that stands for never, or a number such as 0 in a column whose name says adoption.
    """
    named = named_column([str(column) for column in table.frame.columns], _ADOPTION)
    for column in [*([] if named is None else [named]), *table.frame.columns]:
        if column in (city, year) or column in table.broken:
            continue
        cells = table.frame[column]
        says_adoption = named_column([str(column)], (*_ADOPTION, *_STATUS)) is not None
        never = _code_for_never(cells, (*_NEVER, *(_NUMBERS_FOR_NEVER if says_adoption else ())))
        try:
            read, _ = read_years(cells.mask(cells.isin(never)), source="", optional=True)
        except InputError:
            continue
        years = pd.Series(read, table.frame.index)
        varies = years.nunique() > 1 or (years.notna().any() and (column == named or bool(never)))
        if varies and years.dropna().between(1900, 2100).all() and is_constant(table, years, [city]):
            return str(column), never
    return None, []


def _status(table: FileTable, city: str, year: str) -> str | None:
    """The column of 0 and 1 in which some city adopts and none goes back: by its name, or the first of this kind."""
    named = named_column([str(column) for column in table.frame.columns], _STATUS)
    try:
        years, _ = read_years(table.frame[year], source="", optional=True)
    except InputError:
        return None
    cities = table.frame[city].astype(str)
    for column in [*([] if named is None else [named]), *table.frame.columns]:
        values = None if column in (city, year) else number_column(table, column)
        if values is None or not values.dropna().isin([0, 1]).all():
            continue
        steps = values.iloc[np.argsort(years, kind="stable")].groupby(cities, sort=False).diff().dropna()
        if (steps >= 0).all() and (steps > 0).any():
            return str(column)
    return None


def _code_for_never(cells: pd.Series, words: Collection[str]) -> list[object]:
    """The one value that says never, where there is one; a year mistyped is none."""
    codes = [cell for cell in cells.dropna().unique().tolist() if f"{cell}".strip().casefold() in words]
    return codes if len(codes) == 1 else []


def named_column(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """The column of one of these names, whatever its case and the unit in brackets behind it."""
    plain = {re.sub(r"[（(\[].*", "", column).strip().casefold(): column for column in reversed(columns)}
    return next((plain[name] for name in names if name in plain), None)


def number_column(table: FileTable, column: str) -> pd.Series | None:
    """A column as numbers; None where it holds anything else, or a cell in error."""
    if column in table.broken:
        return None
    try:
        return pd.Series(numbers(table.frame[column], source="")[0], table.frame.index)
    except InputError:
        return None


def is_constant(table: FileTable, values: pd.Series, units: Sequence[str]) -> bool:
    """Numbers that have one value in each unit, or pair of units."""
    return bool((values.groupby([table.frame[unit].astype(str) for unit in units]).nunique() <= 1).all())


def is_name(header: str) -> bool:
    return re.fullmatch(NAME, header) is not None
