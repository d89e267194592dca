"""Blocks of a job file about its data: a city panel or a pair table, and the indices made of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from engine.spec.block import MOST_NAMES, Block, Formula, Listed, ListedSome, Name, Year
from engine.spec.paths import Source
from engine.tables.alike import Rule

MergeNames = Annotated[
    Listed[Rule],
    Field(
        description="names that differ only so are one: case, zeros (2 and 02), blanks, accents, suffix (a missing 市)"
    ),
]
MissingCodes = Annotated[
    dict[str, ListedSome[int | float | str]],
    Field(max_length=MOST_NAMES, description="by column: values that mean missing, e.g. {gdp: [-999, 9999]}"),
]

RowCount = Annotated[int, Field(ge=1, le=10_000)]
RowNumber = Annotated[int, Field(ge=2, le=2**31)]


class Deflate(Block):
    """Money columns to constant prices of ``base_year``: by a price index, or by the implied GDP deflator."""

    columns: ListedSome[Name] = Field(description="canonical columns to deflate")
    base_year: Year
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
    """Interior gaps of at most ``max_gap`` years are filled; every filled cell is flagged and reported."""

    max_gap: int = Field(ge=1, le=10)
    method: Literal["linear", "log_linear"] = "linear"
    columns: Listed[Name] | None = Field(
        None, description="default: every column the job reads; an empty list: none"
    )


class TableFile(Block):
    """Where a table lies, and how its file is to be read."""

    source: Source = Field(description="a Parquet, CSV or Excel file")
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


class Panel(TableFile):
    """Where the city-year data are and how their columns are called."""

    source: Source = Field(description="builtin:china_demo, builtin:euro, or a Parquet, CSV or Excel file")
    columns: dict[Name, Formula] = Field(
        {}, max_length=MOST_NAMES, description="canonical name: column of the file, or arithmetic on columns"
    )
    missing: MissingCodes = {}
    merge_names: MergeNames = []
    deflate: Deflate | None = None
    fill: Fill | None = None
    balance: Literal["drop", "keep"] = Field(
        "drop", description="cities with missing years: drop them, or keep them with missing pair-years"
    )
    options: dict[Name, int | float | bool] = Field(
        {}, max_length=MOST_NAMES, description="options of a builtin source, e.g. effect, seed"
    )
    join: Listed[Join] = Field([], description="further tables of city or city-year columns")


class Join(TableFile):
    """Columns of another table, merged into the panel by city, and by year where it has a year."""

    source: Source = Field(description="builtin:policy_demo, builtin:pilots, or a file, with a column city")
    missing: float | None = Field(None, description="value of cities and years it does not have")


class PairTable(TableFile):
    """A user's own dyadic table: one row a pair and year."""

    source: Source
    unit_i: str
    unit_j: str
    year: str
    directed: bool = Field(
        False,
        description="true: (i, j) and (j, i) are two pairs of one dyad; false: one pair, in either order",
    )
    weight: str | None = Field(None, description="row weights: a column, or arithmetic on columns")
    missing: MissingCodes = {}
    merge_names: MergeNames = []


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
