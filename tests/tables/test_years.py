"""Years out of cells: numbers, text and dates, against years known beforehand."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentences import english

from engine.errors import InputError
from engine.tables.cell_rules import CellRules
from engine.tables.years import read_years

YEARS = [2008, 2009]
days = st.dates(datetime.date(1678, 1, 1), datetime.date(2261, 12, 31))
WRITTEN = [
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%Y年%m月%d日",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%Y-%m",
    "%Y年%m月",
    "%Y-%m-%d 00:00:00",
]


@given(dates=st.lists(days, min_size=1, max_size=5), written=st.sampled_from(WRITTEN))
def test_the_year_of_a_date_in_text(dates: list[datetime.date], written: str) -> None:
    years, notes = read_years(pd.Series([day.strftime(written) for day in dates], name="t"), source="a.csv")
    np.testing.assert_array_equal(years, [day.year for day in dates])
    assert "column 't' holds dates, of which the year is read" in english(notes)[0]


@pytest.mark.parametrize(
    "cells",
    [
        pd.to_datetime(["2008-01-01", "2009-12-31"]),
        pd.to_datetime(["2008-01-01", "2009-12-31"]).tz_localize("Asia/Shanghai"),
        pd.to_datetime(["2008-06-30 16:00", "2009-06-30 16:00"]).tz_localize("UTC"),
        [datetime.date(2008, 1, 1), datetime.datetime(2009, 12, 31, 23, 59)],
        np.array(["2008-05-01", "2009-05-01"], dtype="datetime64[s]"),
        ["2008-12-31T00:00:00Z", "2009-12-31T00:00:00+08:00"],
    ],
    ids=range(6),
)
def test_dates(cells: Any) -> None:
    years, notes = read_years(pd.Series(cells, name="year"), source="a.csv")
    np.testing.assert_array_equal(years, YEARS)
    assert len(notes) == 1


@pytest.mark.parametrize(
    "cells",
    [
        YEARS,
        [2008.0, 2009.0],
        ["2008,0", "2009,00"],  # as programs write a column with gaps where decimals have commas
        ["2008", " 2009.0 "],
        ["２００８", "2009"],
        pd.array(YEARS, dtype="Int64"),
        pd.period_range("2008", periods=2, freq="Y"),
        pd.Categorical(["2008", "2009"]),
    ],
    ids=range(8),
)
def test_plain_years_need_no_note(cells: Any) -> None:
    years, notes = read_years(pd.Series(cells), source="a.csv")
    np.testing.assert_array_equal(years, YEARS)
    assert notes == []


def test_words_for_year_are_counted() -> None:
    years, notes = read_years(pd.Series(["2008年", "2009年度", "2010"], name="年份"), source="a.csv")
    np.testing.assert_array_equal(years, [2008, 2009, 2010])
    assert english(notes) == (
        "a.csv: column '年份': 2 cells with a word for year, such as '2008年', read as 2008",
    )


def test_a_year_may_be_missing_where_it_is_optional() -> None:
    cells = pd.Series([2008, None, ".", "NULL", 9999, "-999", "2009年"], dtype=object)
    years, _ = read_years(cells, source="a.csv", optional=True, missing=[9999, -999])
    np.testing.assert_array_equal(years, [2008, *[np.nan] * 5, 2009])


REFUSED: dict[str, tuple[list[Any], str]] = {
    "mistyped": ([2008, 20155], "row 3, column 'year': '20155' is not a year (B)"),
    "code for never": ([0.0, 2008.0], "row 2, column 'year': '0' is not a year (A)"),
    "half": ([2008, 2014.5], "'2014.5' is not a year"),
    "day of a spreadsheet": ([39448, 39813], "'39448' is not a year (A); also row 3"),
    "no such day": (["2008-02-30", "2008-02-28"], "'2008-02-30' is not a year"),
    "a date among years": (["2008-12-31", 2009], "'2008-12-31' is a date, other cells are plain years"),
    "a moment": (
        ["2008-12-31T16:00:00Z", "2008-12-31"],
        "falls into one year here and another in other time zones",
    ),
    "true": ([True, 2008], "'True' is not a year"),
    "missing": ([2008, None], "row 3, column 'year': a year is missing (B)"),
    "many digits": ([10**400, 2008], "is not a year"),
    "a list": ([[2008], 2008], "'[2008]' is not a year"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_year_is_refused_by_row_and_city(kind: str) -> None:
    cells, message = REFUSED[kind]
    with pytest.raises(InputError) as caught:
        read_years(pd.Series(cells, name="year", dtype=object), source="a.csv", owners=["A", "B"])
    assert message in str(caught.value)
    assert caught.value.remedy


def test_all_kinds_of_faults_are_told_at_once() -> None:
    cells = pd.Series(["soon", None, "2008", "never", "2008-01-01"], name="year")
    with pytest.raises(InputError) as caught:
        read_years(cells, source="a.csv")
    assert str(caught.value).splitlines()[:4] == [
        "a.csv: 3 problems",
        "  row 2, column 'year': 'soon' is not a year; also row 5",
        "  row 3, column 'year': a year is missing",
        "  row 6, column 'year': '2008-01-01' is a date, other cells are plain years",
    ]


def test_codes_in_words_may_have_blanks_around_them() -> None:
    cells = pd.Series(["2008", "尚未", "ｎｅｖｅｒ ", True], dtype=object, name="t")
    years, _ = read_years(cells, source="a.csv", optional=True, missing=["尚未 ", "never", "True"])
    np.testing.assert_array_equal(years, [2008, np.nan, np.nan, np.nan])
    with pytest.raises(InputError) as caught:
        read_years(
            cells, source="a.csv", optional=True, missing=["尚未 ", "尚未", "True"], rules=CellRules("panel")
        )
    assert "panel.missing: {t: [尚未, 'True', ｎｅｖｅｒ]}" in str(caught.value.remedy)
