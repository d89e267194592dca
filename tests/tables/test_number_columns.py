"""Columns of numbers as people write them: what is read, what is counted, what is refused because it is ambiguous."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from engine.tables.cell_rules import CellRules
from engine.tables.number_columns import NumberColumn, read_numbers
from engine.tables.table_signs import TableSigns
from engine.tables.written_numbers import written_number


def column(
    cells: list[Any], *, beside: dict[str, list[Any]] | None = None, typed: bool = True, **rules: Any
) -> NumberColumn:
    """A column ``x`` of a panel; ``beside`` are other columns of its table."""
    series = pd.Series(cells, dtype=object, name="x")
    frame = pd.DataFrame({"x": series, **(beside or {})})
    stated = CellRules("panel", signs=TableSigns(frame, typed=typed), has_layout=True, **rules)
    return read_numbers(series, source="a.csv", rules=stated)


def counts(read: NumberColumn) -> dict[str, int]:
    return {note.values["kind"].code: note.values["count"] for note in read.notes}  # type: ignore[union-attr,misc]


READ: list[tuple[list[Any], list[float], dict[str, int]]] = [
    (["1,234.5", "987", "12,345", None], [1234.5, 987, 12345, np.nan], {"separators_of_thousands": 2}),
    (["1,234,567", "-1,234"], [1234567, -1234], {"separators_of_thousands": 2}),
    (["1,5", "12,25", "7"], [1.5, 12.25, 7], {"decimal_commas": 2}),
    (["1 234,5", "2\u00a0345", 6.5], [1234.5, 2345, 6.5], {"separators_of_thousands": 2, "decimal_commas": 1}),
    (["1.234,5", "1.234.567"], [1234.5, 1234567], {"separators_of_thousands": 2, "decimal_commas": 1}),
    (["0,123", "0,5"], [0.123, 0.5], {"decimal_commas": 2}),
    (["1'234.5", "12 000"], [1234.5, 12000], {"separators_of_thousands": 2}),
    (["12%", "0", "5.5 %", None], [0.12, 0, 0.055, np.nan], {"percent_signs": 2}),
    (["0.7%", "0.57%"], [0.007, 0.0057], {"percent_signs": 2}),  # 0.7 / 100 is not the double of 0.007
    (["１２％", "３．５％"], [0.12, 0.035], {"percent_signs": 2, "full_width_characters": 2}),
    (["１，２３４．５", "2"], [1234.5, 2], {"separators_of_thousands": 1, "full_width_characters": 1}),
    (["1.234", "2.5"], [1.234, 2.5], {}),
    (["1.234", "NA"], [1.234, np.nan], {}),
]  # fmt: skip


@pytest.mark.parametrize(("cells", "values", "kinds"), READ)
def test_clear_numbers_are_read_and_counted(
    cells: list[Any], values: list[float], kinds: dict[str, int]
) -> None:
    read = column(cells)
    np.testing.assert_array_equal(read.values, values)
    assert counts(read) == kinds


REFUSED: list[tuple[list[Any], str, str]] = [
    (["1,5", "1,234", "2,345"],
     "row 3, column 'x': '1,234' may be 1234 or 1.234, beside '1,5'; also row 4", "panel.decimal: comma  # or point"),
    (["1,5", "1.234"], "row 3, column 'x': '1.234' may be 1.234 or 1234, beside '1,5'", "panel.decimal: comma"),
    (["987", "1,234"], "row 3, column 'x': '1,234' may be 1234 or 1.234", "panel.decimal: point  # or comma"),
    (["1,234", "1.234"], "'1,234' may be 1234 or 1.234, beside '1.234'", "panel.decimal: point"),
    (["12.5", "1,5"], "'1,5' has a decimal comma, '12.5' in row 2 a decimal point", ""),
    (["1,234.5", "0,5"], "'0,5' has a decimal comma, '1,234.5' in row 2 a decimal point", ""),
    (["12%", "0.5", 3], "row 2, column 'x': '12%' has a percent sign, '0.5' in row 3 has none", ""),
    (["12%", "5%", "4"], "row 4, column 'x': '4' has no percent sign, '12%' in row 2 has one", ""),
    (["1", "1,23,456"], "'1,23,456' is not a number", "panel.missing: {x: ['1,23,456']}  # if it means missing"),
    (["1", "12,34.5"], "'12,34.5' is not a number", "panel.missing"),
    (["直辖市", "省会"], "'直辖市' is not a number", "panel.recode: {x: {直辖市: NUMBER, 省会: NUMBER}}"),
    (["亿元", "1", "2"], "row 2, column 'x': '亿元' is not a number", "panel.skip_rows: [2]  # if the row is no data"),
]  # fmt: skip


@pytest.mark.parametrize(("cells", "problem", "line"), REFUSED)
def test_what_can_be_read_in_two_ways_is_refused_with_the_line_that_settles_it(
    cells: list[Any], problem: str, line: str
) -> None:
    with pytest.raises(InputError) as caught:
        column(cells)
    assert problem in str(caught.value)
    assert line in str(caught.value.remedy)
    assert ("in the job file" in str(caught.value.remedy)) == bool(line)


@pytest.mark.parametrize(
    ("decimal", "cells", "values"),
    [
        ("comma", ["1,5", "1,234", "1.234"], [1.5, 1.234, 1234]),
        ("comma", ["1,234", "2,345"], [1.234, 2.345]),
        ("point", ["987", "1,234"], [987, 1234]),
        ("point", ["1.234", "1,234"], [1.234, 1234]),
    ],
)
def test_a_stated_sign_settles_what_is_open(decimal: Any, cells: list[str], values: list[float]) -> None:
    np.testing.assert_array_equal(column(cells, decimal=decimal).values, values)


@pytest.mark.parametrize(("decimal", "cells"), [("comma", ["1,5", "12.5"]), ("point", ["12.5", "1,5"])])
def test_a_number_with_the_other_sign_than_the_stated_is_refused(decimal: Any, cells: list[str]) -> None:
    with pytest.raises(InputError, match=f"'{cells[1]}' is not a number with decimal {decimal}s"):
        column(cells, decimal=decimal)


def test_other_columns_of_the_table_show_which_sign_it_has() -> None:
    cells = ["987", "1,234"]
    np.testing.assert_array_equal(column(cells, beside={"y": ["0.5", "2"]}).values, [987, 1234])
    np.testing.assert_array_equal(column(cells, beside={"y": [0.5, 2.0]}, typed=False).values, [987, 1234])
    for beside, typed in (
        ({"y": [0.5, 2.0]}, True),  # a number with a type does not show how it was written
        ({"y": [1.234, 2.5]}, False),  # 1.234 and 2.500 may be thousands
        ({"y": ["0,5", "2"]}, True),
        ({"y": [2010.12, 2011.01]}, False),  # months
        ({"y": ["0.5", "2"], "z": ["0,5", "2"]}, True),
    ):
        with pytest.raises(InputError, match=r"may be 1234 or 1.234"):
            column(cells, beside=beside, typed=typed)


def test_decimal_commas_beside_whole_numbers_that_may_be_thousands_are_not_guessed() -> None:
    """30.000 of a text file is 30, as a float, when it comes here; so is 30 beside an empty cell."""
    message = r"'1,9' has a decimal comma, while column 'y' may have thousands with points"
    for values in ([30.0, 80.0], [30.0, np.nan]):
        with pytest.raises(InputError, match=message):
            column(["1,9", "-6,6"], beside={"y": values}, typed=False)
    for values in (
        [2012.0, np.nan],
        [0.0, np.nan],
        [-1500.0, 12000.0],
    ):  # 2.012 and 12.000 would be 2.012 and 12
        read = column(["1,9", "-6,6"], beside={"y": values}, typed=False)
        assert read.values.tolist() == [1.9, -6.6]
    assert column(["1,9", "-6,6"], beside={"y": [30, 80]}, typed=False).values.tolist() == [1.9, -6.6]
    assert column(["1,9", "-6,6"], beside={"y": [30.0, 80.0]}).values.tolist() == [1.9, -6.6]


def test_a_missing_code_may_have_a_percent_sign() -> None:
    series = pd.Series(["30%", "-99%", "12%"], name="x")
    read = read_numbers(series, source="a.csv", missing=[-99], rules=CellRules("panel"))
    np.testing.assert_array_equal(read.values, [0.3, np.nan, 0.12])
    assert read.n_marks == 1


def test_decimal_commas_beside_numbers_with_points_are_not_guessed() -> None:
    """A column ``1.234`` of a German table is read by pandas as a number with decimals: a thousandth of it."""
    with pytest.raises(
        InputError, match="'1,5' has a decimal comma, while column 'y' is written with points"
    ):
        column(["1,5", "2,5"], beside={"y": [1.234, 2.345]}, typed=False)
    with pytest.raises(
        InputError, match=r"'1.234' may be 1.234 or 1234, while column 'y' has decimal commas"
    ):
        column(["1.234", "NA"], beside={"y": ["1,5", "2"]})
    np.testing.assert_array_equal(column(["1,5"], beside={"y": [3]}, typed=False).values, [1.5])


def test_no_line_is_proposed_that_would_refuse_other_columns() -> None:
    for cells in (["0,5", "1,234"], ["0,5", "2,5"]):
        with pytest.raises(InputError) as caught:
            column(cells, beside={"y": [0.5, 2000.25]}, typed=False)
        assert "in the job file" not in str(caught.value.remedy)


@given(st.floats(-1e9, 1e9), st.integers(0, 6))
def test_formatted_numbers_come_back(number: float, digits: int) -> None:
    """The oracle is the formatting of Python: what ``{:,.3f}`` writes is read as ``float`` reads ``{:.3f}``."""
    english = f"{number:,.{digits}f}"
    german = english.translate(str.maketrans(",.", ".,"))
    french = english.translate(str.maketrans(",.", "\u202f,"))
    expected = float(f"{number:.{digits}f}")
    for text, decimal in ((english, "point"), (german, "comma"), (french, "comma")):
        written = written_number(text)
        assert written is not None
        assert written.value(decimal) == expected  # type: ignore[arg-type]
    percent = written_number(f"{english}%")
    assert percent is not None
    assert percent.point == pytest.approx(expected / 100, rel=1e-15)


CODED: list[tuple[list[Any], list[Any], list[float], dict[str, int]]] = [
    (["12%", "-999"], [-999], [0.12, np.nan], {"percent_signs": 1}),
    (["12%", -999], ["-999"], [0.12, np.nan], {"percent_signs": 1}),
    (["12%", "-9 999"], [-9999], [0.12, np.nan], {"percent_signs": 1}),
    (["3", "-99%"], [-99], [3, np.nan], {}),
    (["1,5", "-99.9"], [-99.9], [1.5, np.nan], {"decimal_commas": 1}),
    (["1,5", "-99,9"], [-99.9], [1.5, np.nan], {"decimal_commas": 1}),
    (["－９９９", "\u2212999", "７"], [-999], [np.nan, np.nan, 7], {"full_width_characters": 1}),
    (["未统计", "5"], ["未统计 "], [np.nan, 5], {}),
    (["－", "ｎｏｎｅ yet", "5"], ["none yet"], [np.nan, np.nan, 5], {}),
    ([True, 7, 8], ["True"], [np.nan, 7, 8], {}),
]  # fmt: skip


@pytest.mark.parametrize(("cells", "codes", "values", "kinds"), CODED)
def test_declared_codes_are_missing_whatever_signs_the_numbers_have(
    cells: list[Any], codes: list[Any], values: list[float], kinds: dict[str, int]
) -> None:
    series = pd.Series(cells, dtype=object, name="x")
    read = read_numbers(series, source="a.csv", missing=codes, rules=CellRules("panel"))
    np.testing.assert_array_equal(read.values, values)
    assert read.n_marks == np.isnan(values).sum()
    assert counts(read) == kinds


def test_a_line_that_declares_codes_names_each_once() -> None:
    series = pd.Series(["about 3", "5"], name="x")
    with pytest.raises(InputError) as caught:
        read_numbers(series, source="a.csv", missing=["未统计 ", "未统计"], rules=CellRules("panel"))
    assert "panel.missing: {x: [未统计, about 3]}" in str(caught.value.remedy)


def test_truth_values_are_numbers_only_among_themselves() -> None:
    """A cell TRUE of Excel comes as a truth value, that of a CSV file as text."""
    np.testing.assert_array_equal(column([True, False, None, 1, "0"]).values, [1, 0, np.nan, 1, 0])
    for cells in ([12.5, True, 0], ["12%", True], ["1,5", True]):
        with pytest.raises(InputError, match="row 3, column 'x': 'True' is not a number"):
            column(cells)
    with pytest.raises(InputError, match="row 2, column 'x': 'True' is not a number; also row 3"):
        column([True, "many"])
