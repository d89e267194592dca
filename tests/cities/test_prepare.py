"""From a dirty table to a panel: every step by itself."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentences import english

from engine.cities.fill import Deflation, Filling
from engine.cities.panel import CityPanel
from engine.cities.panel_request import PanelRequest
from engine.cities.prepare import prepare
from engine.cities.validation import Validation
from engine.errors import InputError
from engine.tables.read import read_table

UNITS, YEARS = ("A", "B", "C", "D"), (2010, 2011, 2012, 2013, 2014)
REAL = Path(__file__).parents[2].parent / "shared" / "data" / "china_city_panel.parquet"


def table(**changes: Any) -> pd.DataFrame:
    """Four cities, five years: x = 100, 101, ... row by row, y = 2x."""
    x = 100.0 + np.arange(20)
    frame = pd.DataFrame({"city": np.repeat(UNITS, 5), "year": np.tile(YEARS, 4), "x": x, "y": 2 * x})
    return frame.assign(**changes)


def grid(frame: pd.DataFrame, name: str) -> np.ndarray:
    return frame.pivot(index="city", columns="year", values=name).to_numpy(dtype=float)


def ready(frame: pd.DataFrame, *names: str, **options: Any) -> tuple[CityPanel, Validation]:
    request = PanelRequest(required=dict.fromkeys(names, "outcome"), **options)
    return prepare(frame, request, source="panel.csv")


def values_of(frame: pd.DataFrame, name: str, **options: Any) -> np.ndarray:
    return ready(frame, name, **options)[0].values[name]


# -- columns and arithmetic --------------------------------------------------------------------------------


def test_plain_columns_land_on_the_grid_in_any_row_order() -> None:
    frame = table()
    panel, _ = ready(frame.sample(frac=1, random_state=3), "x", "y")
    assert (panel.units, panel.years) == (UNITS, YEARS)
    np.testing.assert_array_equal(panel.values["x"], grid(frame, "x"))
    np.testing.assert_array_equal(panel.values["y"], 2 * grid(frame, "x"))
    with pytest.raises(ValueError, match="read-only"):
        panel.values["x"][0, 0] = 1


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(20)))
def test_row_order_changes_nothing(order: list[int]) -> None:
    assert (
        ready(table().iloc[list(order)], "x", "y")[0].content_hash == ready(table(), "x", "y")[0].content_hash
    )


def test_names_and_arithmetic_are_mapped() -> None:
    frame = table().rename(columns={"city": "城市", "year": "年份", "x": "GDP (current)"})
    columns = {
        "city": "城市",
        "year": "`年份`",
        "gdp": "GDP (current)",
        "ratio": "`GDP (current)` / y",
        "twice": "2 * gdp",
    }
    panel, _ = ready(frame, "gdp", "ratio", "twice", columns=columns)
    np.testing.assert_array_equal(panel.values["gdp"], grid(table(), "x"))
    np.testing.assert_array_equal(panel.values["ratio"], np.full((4, 5), 0.5))
    np.testing.assert_array_equal(panel.values["twice"], 2 * grid(table(), "x"))


def test_arithmetic_reads_the_file_first_and_says_where_that_matters() -> None:
    columns = {"x": "x * 1000", "rate": "x / y"}
    panel, validation = ready(table(), "x", "rate", columns=columns)
    np.testing.assert_array_equal(panel.values["x"], 1000 * grid(table(), "x"))
    np.testing.assert_array_equal(panel.values["rate"], np.full((4, 5), 0.5))
    assert "rate reads column 'x' of the file, not the canonical x (x * 1000)" in english(validation.warnings)


def test_lags_are_taken_before_the_years_are_cut() -> None:
    x = grid(table(), "x")
    panel, _ = ready(
        table(), "growth", "before", columns={"growth": "growth(x)", "before": "lag(x)"}, years=(2011, 2014)
    )
    np.testing.assert_allclose(panel.values["growth"], np.log(x[:, 1:] / x[:, :-1]), rtol=1e-12)
    np.testing.assert_array_equal(panel.values["before"], x[:, :-1])
    assert panel.years == (2011, 2012, 2013, 2014)


def test_a_lag_does_not_reach_over_a_missing_row() -> None:
    lagged = values_of(table().drop(index=2), "lag", columns={"lag": "lag(x)"}, balance="keep")
    assert np.argwhere(np.isnan(lagged)).tolist() == [[0, 0], [0, 3], [1, 0], [2, 0], [3, 0]]


def test_only_what_is_needed_is_read() -> None:
    values_of(table(note="not a number"), "x")
    with pytest.raises(InputError, match="'not a number' is not a number"):
        values_of(table(note="not a number"), "z", columns={"z": "x + note"})


# -- cells -------------------------------------------------------------------------------------------------


def test_text_numbers_and_missing_marks() -> None:
    x = [*map(str, range(1, 21))]
    x[:4] = ["1e2", " 2.5 ", "-.5", "+7."]
    x[5:9] = ["—", "..", " NA ", ""]
    panel, validation = ready(table(x=pd.array(x, dtype=object)), "x", balance="keep")
    expected = np.arange(1.0, 21)
    expected[:4], expected[5:9] = [100, 2.5, -0.5, 7], np.nan
    np.testing.assert_array_equal(panel.values["x"], expected.reshape(4, 5))
    assert validation.columns[0].n_marked == 4


@pytest.mark.parametrize(
    "cells",
    [
        pd.array([*range(19), None], dtype="Int64"),
        [*map(Decimal, range(19)), None],
        pd.array([*map(str, range(19)), None], dtype="str"),
        pd.Categorical([*range(19), None]),
        np.array([*range(19), np.nan], dtype=np.float32),
    ],
)
def test_other_number_types(cells: Any) -> None:
    np.testing.assert_array_equal(
        values_of(table(x=cells), "x", balance="keep").ravel(), [*range(19), np.nan]
    )


@pytest.mark.parametrize(
    "cell", ["1,23.5", "12 万", "infinite", "0x10", "1_000", "１２．５‰", pd.Timestamp("2010-01-01")]
)
def test_anything_else_in_a_number_column_is_refused(cell: object) -> None:
    x = pd.Series(range(20), dtype=object)
    x[6] = cell
    with pytest.raises(InputError) as caught:
        values_of(table(x=x), "x")
    assert caught.value.where == "panel.csv: row 8, column 'x'"
    assert caught.value.problem == f"'{cell}' is not a number (B)"
    assert "plain number" in str(caught.value.remedy)


def test_city_names_are_stripped_and_codes_are_text() -> None:
    padded = [f" {name}\u3000" if row % 2 else name for row, name in enumerate(table()["city"])]
    assert ready(table(city=padded), "x")[0].units == UNITS
    codes = np.repeat([330100.0, 110000.0, 440100.0, 370200.0], 5)
    assert ready(table(city=codes), "x")[0].units == ("110000", "330100", "370200", "440100")


@pytest.mark.parametrize("cells", [{}, {"city": " ", "year": "\u3000"}], ids=["empty", "spaces"])
def test_blank_rows_are_passed_over_and_reported(cells: dict[str, str]) -> None:
    frame = pd.concat([table().iloc[:3], pd.DataFrame([cells, cells]), table().iloc[3:]])
    panel, validation = ready(frame, "x")
    np.testing.assert_array_equal(panel.values["x"], grid(table(), "x"))
    assert "2 rows without city and year were passed over" in english(validation.notes)
    frame["x"] = frame["x"].astype(object)
    frame.iloc[5, 2] = "bad"
    with pytest.raises(InputError, match=r"row 7, column 'x'"):  # as the file counts, blank rows included
        ready(frame, "x")


# -- prices and gaps ---------------------------------------------------------------------------------------


def test_deflation_by_an_index_and_by_the_implied_deflator() -> None:
    price = 50 * 1.03 ** np.arange(20)
    by_index = values_of(table(p=price), "y", deflate=Deflation(["y"], 2012, price_index="p"))
    level = price.reshape(4, 5)
    np.testing.assert_allclose(by_index, grid(table(), "y") * level[:, [2]] / level, rtol=1e-14)
    frame = table(real=table()["x"] / price)
    by_gdp = values_of(frame, "y", deflate=Deflation(["y"], 2012, nominal="x", real="real"))
    np.testing.assert_allclose(by_gdp, by_index, rtol=1e-12)


def test_base_year_may_lie_outside_the_sample() -> None:
    price = np.tile([1.0, 2, 4, 8, 16], 4)
    real = values_of(table(p=price), "x", deflate=Deflation(["x"], 2010, price_index="p"), years=(2012, 2014))
    np.testing.assert_array_equal(real, grid(table(), "x")[:, 2:] / [4, 8, 16])


def test_arithmetic_reads_current_prices_and_says_so() -> None:
    columns, deflate = {"money": "x", "share": "money / y"}, Deflation(["money"], 2010, price_index="p")
    panel, validation = ready(
        table(p=np.arange(20.0) + 1), "money", "share", columns=columns, deflate=deflate
    )
    np.testing.assert_array_equal(panel.values["share"], np.full((4, 5), 0.5))
    assert any(
        text.startswith("share is computed from money in current prices")
        for text in english(validation.warnings)
    )


def test_a_city_without_base_price_loses_its_place_with_a_reason() -> None:
    price = np.ones(20)
    price[5] = np.nan  # B in 2010
    panel, validation = ready(table(p=price), "x", deflate=Deflation(["x"], 2010, price_index="p"))
    assert panel.units == ("A", "C", "D")
    assert english([validation.dropped[0].reason]) == ("x missing in 2010-2014",)
    assert any(
        "5 of 20 city-years have no price level" in text and text.endswith(": B")
        for text in english(validation.warnings)
    )


def plain_fill(row: list[float], max_gap: int, log: bool) -> list[float]:
    """Interpolation as one would write it by hand."""
    out, known = list(row), [t for t, x in enumerate(row) if not np.isnan(x)]
    for a, b in pairwise(known):
        for t in range(a + 1, b):
            if b - a - 1 <= max_gap:
                s = (t - a) / (b - a)
                out[t] = row[a] ** (1 - s) * row[b] ** s if log else row[a] * (1 - s) + row[b] * s
    return out


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.none() | st.floats(0.1, 1e6), min_size=24, max_size=24),
    st.integers(1, 4),
    st.sampled_from(["linear", "log_linear"]),
)
def test_gaps_are_filled_as_by_hand(cells: list[float | None], max_gap: int, method: Any) -> None:
    rows = np.array([np.nan if cell is None else cell for cell in cells]).reshape(3, 8)
    rows[0, 0] = 1.0  # the column is not all missing
    frame = pd.DataFrame(
        {"city": np.repeat(list("ABC"), 8), "year": np.tile(np.arange(8) + 2000, 3), "x": rows.ravel()}
    )
    frame["z"] = 1.0
    panel, validation = ready(frame, "x", "z", fill=[Filling(max_gap, method)], balance="keep")
    expected = np.array([plain_fill(list(row), max_gap, method == "log_linear") for row in rows])
    np.testing.assert_allclose(panel.values["x"], expected, rtol=1e-9)
    cells_filled = np.isnan(rows) & ~np.isnan(expected)
    np.testing.assert_array_equal(panel.filled.get("x", np.zeros((3, 8), dtype=bool)), cells_filled)
    assert validation.columns[0].n_filled == cells_filled.sum()


def test_filling_sees_years_outside_the_sample_and_only_named_columns() -> None:
    x, y = table()["x"].copy(), table()["y"].copy()
    x[1] = y[1] = np.nan
    panel, validation = ready(
        table(x=x, y=y), "x", "y", fill=[Filling(1, columns=["x"])], years=(2011, 2014), balance="keep"
    )
    np.testing.assert_array_equal(panel.values["x"], grid(table(), "x")[:, 1:])
    assert panel.filled["x"].sum() == 1
    assert panel.filled["x"][0, 0]
    assert np.argwhere(np.isnan(panel.values["y"])).tolist() == [[0, 0]]
    assert validation.filled == {"x": {"A": (2011,)}}


# -- balance and static columns ----------------------------------------------------------------------------


def test_balance() -> None:
    x = table()["x"].copy()
    x[[6, 7, 9]] = np.nan
    panel, validation = ready(table(x=x), "y", "x")
    assert panel.units == ("A", "C", "D")
    np.testing.assert_array_equal(panel.values["x"], grid(table(), "x")[[0, 2, 3]])
    assert [(city.city, *english([city.reason])) for city in validation.dropped] == [
        ("B", "x missing in 2011-2012, 2014")
    ]
    kept, validation = ready(table(x=x), "y", "x", balance="keep")
    np.testing.assert_array_equal(kept.values["x"], grid(table(x=x), "x"))
    assert validation.dropped == ()
    missing = table(x=x)["city"] == "B"
    empty = table(x=x).mask(
        pd.DataFrame({"x": missing, "y": missing}).reindex(columns=table().columns, fill_value=False)
    )
    assert ready(empty, "y", "x", balance="keep")[0].units == ("A", "C", "D")


def test_static_columns_are_spread_and_may_be_empty_where_that_means_never() -> None:
    adopts = np.full(20, np.nan)
    adopts[7] = 2012
    place = np.repeat([1.0, 2, 3, 4], 5)
    place[[0, 6]] = np.nan
    panel, validation = ready(
        table(adopts=adopts, place=place),
        "x",
        "adopts",
        "place",
        static=["adopts", "place"],
        optional=["adopts"],
    )
    np.testing.assert_array_equal(
        panel.values["adopts"], np.full((4, 5), [[np.nan], [2012], [np.nan], [np.nan]])
    )
    np.testing.assert_array_equal(panel.values["place"], np.repeat([[1.0], [2], [3], [4]], 5, axis=1))
    assert panel.n_units == 4
    assert validation.dropped == ()


def test_a_city_that_leaves_needs_no_coordinates() -> None:
    place = np.repeat([1.0, np.nan, 3, 4], 5)
    x = table()["x"].copy()
    with pytest.raises(
        InputError, match=r"outcome: panel.csv: column 'place' is empty for B \(1 of 4 cities\)"
    ):
        ready(table(place=place), "x", "place", static=["place"])
    x[8] = np.nan
    assert ready(table(place=place, x=x), "x", "place", static=["place"])[0].units == ("A", "C", "D")


def test_labels() -> None:
    region = [" 东 ", "东", None, "东", "东"] + ["西"] * 10 + [None] * 4 + ["西"]
    assert ready(table(region=region), "x", labels={"region": "model.fixed_effects"})[0].labels == {
        "region": ("东", "西", "西", "西")
    }
    region[3] = "西"
    with pytest.raises(InputError, match=r"row 5: 'region' must be constant .* A has both '西' and '东'"):
        ready(table(region=region), "x", labels={"region": "model.fixed_effects"})


# -- the real thing ----------------------------------------------------------------------------------------


@pytest.mark.realdata
@pytest.mark.skipif(not REAL.exists(), reason="the real Chinese city panel is not beside the project")
def test_real_panel() -> None:
    frame = read_table(REAL)
    request = PanelRequest(
        required={"gdp": "outcome"}, labels={"province": "inference.jackknife.by"}, years=(2010, 2019)
    )
    panel, validation = prepare(frame, request, source=REAL.name)
    assert panel.n_units == 287  # complete series of GDP, by the README of the data
    sample = frame[frame["year"].between(2010, 2019) & frame["city"].isin(panel.units)]
    np.testing.assert_array_equal(panel.values["gdp"], grid(sample, "gdp"))
    assert len(validation.dropped) == 13
    assert dict(zip(panel.units, panel.labels["province"], strict=True))["杭州市"] == "浙江省"
