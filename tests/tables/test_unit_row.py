"""A row of units below the headers is told from data, and passed over by the line that a failed check proposes."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from engine.errors import InputError
from engine.tables.cell_rules import CellRules
from engine.tables.number_columns import read_numbers
from engine.tables.unit_row import unit_row
from engine.tables.years import read_years

HEADERS = ["城市", "年份", "gdp", "人口", "空气", "试点"]
ROWS: list[list[object]] = [
    ["杭州市", "2010年", "1,234.5", 700.25, "优", 2012],
    [None, "2011年", "２３４５", 701, "良", 2012],
    ["宁波市", "2010年", "暂缺", 650.5, "优", "无"],
    [None, "2011年", "3,456", 651, "差", "无"],
]


def table(*first: object) -> pd.DataFrame:
    """Rows below a first one; the header is row 2 of the file."""
    frame = pd.DataFrame([list(first), *ROWS], columns=HEADERS)
    return frame.set_index(pd.Index(range(1, len(frame) + 1)))


@pytest.mark.parametrize(
    "first",
    [
        (None, None, "亿元", "万人", None, None),
        ("", "年", "亿元", "万人", "", ""),
        ("单位", None, "亿元", "万人", "等级", "年份"),
        (
            None,
            None,
            "（亿元）",
            None,
            None,
            None,
        ),  # of a table without population
        ("-", "--", "%", "..", "", ""),
    ],
)
def test_units_below_the_headers(first: tuple[object, ...]) -> None:
    fewer = table(*first).drop(columns="人口") if first[3] in (None, "..") else table(*first)
    assert unit_row(fewer) == 3


@pytest.mark.parametrize(
    "first",
    [
        ROWS[0],
        ("杭州市", "2010年", "暂缺", "暂缺", "优", 2012),  # a year says whose row it is
        ("杭州市", "去年", "暂缺", 700, "优", "无"),  # a number is data
        ("杭州市", "去年", "暂缺", None, "优", "无"),
        (None, None, None, None, None, None),
        ("合计", None, "9,999", "1,234", None, None),
    ],
)
def test_data_and_totals_are_no_units(first: tuple[object, ...]) -> None:
    assert unit_row(table(*first)) is None


def test_one_value_in_words_is_no_unit() -> None:
    """Where only one column has numbers, its first cell may say in words that the value is missing."""
    cities = ["杭州市", "宁波市", "温州市"]
    assert unit_row(pd.DataFrame({"city": cities, "edu": ["暂缺", 1.5, 2.5]})) is None
    assert unit_row(pd.DataFrame({"city": [None, *cities], "edu": ["万元", 1.5, 2.5, 3.5]})) == 2
    assert unit_row(pd.DataFrame({"city": cities, "edu": [0.5, 1.5, 2.5]})) is None
    assert unit_row(pd.DataFrame({"city": ["单位"], "edu": ["万元"]})) is None


def test_the_row_is_skipped_and_what_is_wrong_below_is_a_problem_by_itself() -> None:
    frame = table(None, None, "亿元", "万人", "等级", "年份")
    rules = CellRules(block="panel", has_layout=True, skipped=[9], unit_row=unit_row(frame))

    def message(read: Callable[[], object]) -> str:
        with pytest.raises(InputError) as raised:
            read()
        return str(raised.value)

    of_gdp = message(lambda: read_numbers(frame["gdp"], source="a.xlsx", rules=rules))
    assert "panel.skip_rows: [3, 9]  # if the row is no data" in of_gdp
    assert "panel.missing: {gdp: [暂缺]}  # if it means missing" in of_gdp
    of_air = message(lambda: read_numbers(frame["空气"], source="a.xlsx", rules=rules))
    assert "panel.recode: {空气: {优: NUMBER, 良: NUMBER, 差: NUMBER}}" in of_air
    of_pilots = message(lambda: read_years(frame["试点"], source="a.xlsx", optional=True, rules=rules))
    assert "panel.skip_rows: [3, 9]" in of_pilots
    assert "panel.missing: {试点: [无]}" in of_pilots
    by_itself = message(lambda: read_numbers(frame["人口"], source="a.xlsx", rules=rules))
    assert by_itself.endswith("in the job file: panel.skip_rows: [3, 9]  # if the row is no data")
