"""Names of units in tables, and numbers that stand below each other."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_frames import coefficient_rows

import engine
from engine.report.language.wording import words_of
from engine.report.number_format import decimals, number
from engine.report.outputs.regression_table import regression_table
from engine.report.table_style import TableStyle
from engine.report.unit_names import units_label


@pytest.mark.parametrize(
    ("parameters", "label"),
    [
        ({"panel": {"source": "builtin:china_demo"}}, "Cities"),
        ({"panel": {"source": "builtin:euro"}}, "Countries"),
        ({"panel": {"source": "a.dta", "columns": {"city": "国家", "gdp": "城市GDP"}}}, "Countries"),
        ({"panel": {"source": "a.dta", "columns": {"city": "区县"}}}, "Counties"),
        ({"panel": {"source": "a.dta", "columns": {"city": "Province"}}}, "Provinces"),
        ({"panel": {"source": "a.dta", "columns": {"city": "地级市"}}}, "Cities"),
        ({"panel": {"source": "a.dta", "columns": {"city": "firm"}}}, "Units"),
        ({"pair_table": {"unit_i": "iso_o"}}, "Countries"),
        ({"pair_table": {"unit_i": "City A"}}, "Cities"),
        ({"pair_table": {"unit_i": "i"}}, "Units"),
        ({}, "Units"),
        ({"panel": None, "pair_table": {"unit_i": None}}, "Units"),
    ],
)
def test_the_header_says_what_units_are(parameters: dict[str, object], label: str) -> None:
    assert units_label(parameters) == label
    chinese = {
        "Cities": "城市",
        "Countries": "国家",
        "Counties": "区县",
        "Provinces": "省份",
        "Units": "单位",
    }
    words = words_of("zh")
    assert words.known(label) == f"{chinese[label]}数"
    assert words.in_context("Pairs", label) == ("配对数" if label == "Units" else f"{chinese[label]}对数")


def test_a_table_of_a_trade_table_counts_countries(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    rows = [
        (i, j, year, rng.normal(), rng.integers(2))
        for i in "ABCDE"
        for j in "ABCDE"
        if i != j
        for year in range(2000, 2005)
    ]
    table = pd.DataFrame(rows, columns=["exporter", "importer", "year", "trade", "rta"])
    job = {
        "job": "trade",
        "pair_table": {"unit_i": "exporter", "unit_j": "importer", "year": "year", "directed": True},
        "outcome": {"column": "trade"},
        "model": {"regressors": ["rta"]},
    }
    engine.run(job, frames={"pair_table": table}, out=tmp_path)
    text = (tmp_path / "trade" / "table.txt").read_text(encoding="utf-8")
    assert "\nCountries  " in text
    assert "Units" not in text
    engine.run({**job, "lang": "zh"}, frames={"pair_table": table}, out=tmp_path)
    text = (tmp_path / "trade" / "table.txt").read_text(encoding="utf-8")
    assert "\n国家数 " in text
    assert "\n国家对数 " in text


@pytest.mark.parametrize("value", [0.0, 0.07, -0.000412, 3.2e-9, 99.99996, 1234.56, math.inf, 4.4e-6])
def test_decimals_are_those_that_are_printed(value: float) -> None:
    printed = number(value).partition(".")[2]
    if decimals(value):
        assert decimals(value) == len(printed)
    assert number(value, 2) == number(value)  # never fewer than its own


def test_a_row_and_a_term_have_the_same_decimals() -> None:
    frame = pd.DataFrame(
        coefficient_rows("a", "policy", 0.0004123, 0.01) + coefficient_rows("b", "policy", 1.5, 0.01)
    )
    frame["r2_within"] = np.where(frame["cell"] == "a", 0.0000123, 0.25)
    table = regression_table(frame, title="T")
    numbers = {row.label: [entry.text.strip("()*") for entry in row.entries] for row in table.rows}
    assert numbers["policy"] == ["0.000412", "1.500000"]
    assert numbers["pair-clustered"] == ["0.010000", "0.010000"]
    assert numbers["Within R²"] == ["0.0000123", "0.250000"]  # one that vanishes keeps its digits to itself
    fixed = regression_table(frame, title="T", style=TableStyle(digits=3))
    assert [entry.text.strip("*") for entry in fixed.rows[0].entries] == ["0.000", "1.500"]


def test_large_and_vanishing_numbers_do_not_set_the_decimals() -> None:
    style = TableStyle().aligned([1234.5, 3e-9, math.nan, 0.5])
    assert [style.number(value) for value in (1234.5, 3e-9, 0.5)] == ["1,234.50", "3.00e-09", "0.5000"]
