"""Blocks of a job file about its data: a city panel or a pair table, and the indices made of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from engine.cities.fill import MOST_GAP
from engine.spec.block import MOST_NAMES, Block, Column, Formula, Listed, ListedSome, Name, OneOrSeveral, Year
from engine.spec.paths import Source
from engine.tables.near_duplicates import MergeRule
from engine.tables.written_numbers import DecimalSign

MergeNames = Annotated[
    Listed[MergeRule],
    Field(
        description="spellings that are one name: case, zeros (2 and 02), blanks, accents, suffix (a missing 市)"
    ),
]
MissingCodes = Annotated[
    dict[str, ListedSome[int | float | str]],
    Field(max_length=MOST_NAMES, description="by column: values that mean missing, e.g. {gdp: [-999, 9999]}"),
]

Recoding = Annotated[
    dict[str, Annotated[dict[str, int | float | str], Field(min_length=1, max_length=MOST_NAMES)]],
    Field(
        max_length=MOST_NAMES,
        description="by column: values and what they stand for, e.g. {tier: {直辖市: 4, 省会: 3}}; numbers as keys in "
        "quotes",
    ),
]

FilledDown = Annotated[
    Listed[Column],
    Field(
        description="columns whose empty cells repeat the cell above, as in a sheet with merged cells that was saved "
        "as text, e.g. [city]"
    ),
]

RowCount = Annotated[int, Field(ge=1, le=10_000)]
RowNumber = Annotated[int, Field(ge=2, le=2**31)]


class Deflate(Block):
    """Money columns at constant prices of ``base_year``, by a price index or the implied GDP deflator.

    Formulas elsewhere read the prices of the file, so list the result of a formula rather than its columns.
    """

    columns: ListedSome[Name] = Field(description="columns to deflate, by their canonical names")
    base_year: Year = Field(description="year whose prices are the unit")
    price_index: Name | None = Field(None, description="price level column, any base")
    nominal: Name | None = Field(None, description="GDP at current prices")
    real: Name | None = Field(None, description="GDP at constant prices, any base")

    @model_validator(mode="after")
    def _one_way(self) -> Deflate:
        by_index = self.price_index is not None
        by_gdp = self.nominal is not None and self.real is not None
        if by_index == by_gdp or (self.nominal is None) != (self.real is None):
            raise ValueError("give either price_index, or both nominal and real")
        return self


class Fill(Block):
    """Interpolation of interior gaps; every filled cell is counted, and listed in ``validation.json``."""

    max_gap: int = Field(ge=1, le=MOST_GAP, description="longest interior gap that is filled, in years")
    method: Literal["linear", "log_linear"] = Field(
        "linear", description="interpolation of the values, or of their logarithms"
    )
    columns: Listed[Name] | None = Field(
        None,
        description="default: every column the job reads that no other rule names; an empty list: none",
    )


def _each_column_once(fill: Fill | list[Fill]) -> Fill | list[Fill]:
    rules = fill if isinstance(fill, list) else [fill]
    if sum(rule.columns is None for rule in rules) > 1:
        raise ValueError("two rules name no columns: at most one may be for all that the others leave")
    columns = [name for rule in rules for name in rule.columns or []]
    repeated = next((name for name in columns if columns.count(name) > 1), None)
    if repeated is not None:
        raise ValueError(f"'{repeated}' is in two rules")
    return fill


class TableFile(Block):
    """A file, and how it is read."""

    source: Source = Field(description="a Parquet, CSV, Excel or Stata file")
    sheet: str | None = Field(None, description="Excel sheet; default the first that holds a table")
    encoding: str | None = Field(
        None,
        min_length=1,
        max_length=40,
        description="of a text file, e.g. cp1252; default: UTF-8, then GB18030",
    )
    header: int | None = Field(
        None, ge=1, le=1_048_576, description="row of the file, from 1, that has the headers; default 1"
    )
    skip_rows: RowCount | ListedSome[RowNumber] | None = Field(
        None,
        description="rows below the header that are no data, such as units: how many, or a list of their numbers in "
        "the file",
    )
    decimal: DecimalSign | None = Field(
        None,
        description="decimal sign of numbers in text, point or comma; default: as the cells show, refused where they "
        "leave it open",
    )
    fill_down: FilledDown = []
    recode: Recoding = {}


class Join(TableFile):
    """Columns of another table, merged into the panel by city, and by year where it has a year."""

    source: Source = Field(description="builtin:policy_demo, builtin:pilots, or a file, with a column city")
    missing: float | None = Field(None, description="value of cities and years it does not have")


class Links(TableFile):
    """Which cities are linked, in no direction: a table with a row for each link, or a square matrix of 0 and 1."""

    source: Source = Field(
        description="a file: a row for each link, or a matrix with the cities in its first column and its headers"
    )
    unit_i: str | None = Field(
        None, description="column with one of the two cities; default: a square matrix"
    )
    unit_j: str | None = Field(None, description="column with the other city")
    strength: str | None = Field(
        None, description="column with how strong the link of a row is; default: every row is a link"
    )
    at_least: float | None = Field(
        None, gt=0, description="the least strength that is a link; default: strengths are 0 and 1"
    )

    @model_validator(mode="after")
    def _whole(self) -> Links:
        names = [name for name in (self.unit_i, self.unit_j, self.strength) if name is not None]
        repeated = next((name for name in names if names.count(name) > 1), None)
        if (self.unit_i is None) != (self.unit_j is None):
            raise ValueError("give both unit_i and unit_j, or neither for a square matrix")
        if repeated is not None:
            raise ValueError(f"'{repeated}' is more than one of unit_i, unit_j and strength")
        if self.strength is not None and self.unit_i is None:
            raise ValueError(
                "strength is a column of a table with unit_i and unit_j; a matrix holds strengths"
            )
        if self.at_least is not None and self.unit_i is not None and self.strength is None:
            raise ValueError("at_least needs strength, the column that it is compared with")
        return self


class Panel(TableFile):
    """City-year data, one row a city and year, and the names of their columns."""

    source: Source = Field(
        description="builtin:china_demo, builtin:euro, or a Parquet, CSV, Excel or Stata file, relative to the job file"
    )
    columns: dict[Name, Formula] = Field(
        {}, max_length=MOST_NAMES, description="canonical name: column of the file, or arithmetic on columns"
    )
    missing: MissingCodes = {}
    merge_names: MergeNames = []
    deflate: Deflate | None = Field(None, description="money columns at constant prices")
    fill: Annotated[OneOrSeveral[Fill], AfterValidator(_each_column_once)] | None = Field(
        None, description="interpolation of interior gaps: a rule, or a list of rules for different columns"
    )
    balance: Literal["drop", "keep"] = Field(
        "drop", description="cities with missing years: drop them, or keep them with missing pair-years"
    )
    options: dict[Name, int | float | bool] = Field(
        {},
        max_length=MOST_NAMES,
        description="options of a builtin source: effect, seed, cities and the like",
    )
    join: Listed[Join] = Field([], description="further tables of city or city-year columns")
    links: Links | None = Field(None, description="which cities are linked, for network errors")

    @property
    def fill_rules(self) -> dict[str, Fill]:
        """Rules of ``fill`` by their place in the job."""
        if isinstance(self.fill, list):
            return {f"panel.fill[{number}]": rule for number, rule in enumerate(self.fill)}
        return {"panel.fill": self.fill} if self.fill else {}


class PairTable(TableFile):
    """A finished table of pairs: one row a pair and year."""

    source: Source = Field(description="a Parquet, CSV, Excel or Stata file, relative to the job file")
    unit_i: str = Field(description="column with the first unit of the pair")
    unit_j: str = Field(description="column with the second unit")
    year: str = Field(description="column with the year")
    directed: bool = Field(
        False,
        description="true: (i, j) and (j, i) are two pairs of one dyad; false: one pair, in either order",
    )
    weight: str | None = Field(None, description="row weights: a column, or arithmetic on columns")
    missing: MissingCodes = {}
    merge_names: MergeNames = []

    @model_validator(mode="after")
    def _columns_differ(self) -> PairTable:
        names = [self.unit_i, self.unit_j, self.year]
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated is not None:
            raise ValueError(f"'{repeated}' is more than one of unit_i, unit_j and year")
        return self


class Index(Block):
    """Entropy-weighted composite index, weights pooled over all city-years of the sample."""

    entropy: Listed[Formula] = Field(min_length=2, description="indicators")
    negative: Listed[Formula] = Field([], description="those of the indicators for which less is better")

    @model_validator(mode="after")
    def _negative_is_listed(self) -> Index:
        unlisted = [name for name in self.negative if name not in self.entropy]
        if unlisted:
            raise ValueError(f"negative names {unlisted[0]!r}, which is not among the entropy indicators")
        return self
