"""Every way a table of city-years is refused: the message names the place and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from engine.cities.fill import Deflation, Filling
from engine.cities.panel_request import PanelRequest
from engine.cities.prepare import prepare
from engine.errors import InputError


def table(**changes: Any) -> pd.DataFrame:
    """Cities A to D, 2010 to 2014: x = 100, 101, ... row by row, y = 2x."""
    x = 100.0 + np.arange(20)
    years = np.tile(np.arange(2010, 2015), 4)
    return pd.DataFrame({"city": np.repeat(list("ABCD"), 5), "year": years, "x": x, "y": 2 * x}).assign(
        **changes
    )


def ready(frame: pd.DataFrame, *names: str, **options: Any) -> object:
    request = PanelRequest(required=dict.fromkeys(names, "outcome"), **options)
    return prepare(frame, request, source="panel.csv")


def changed(row: int, column: str, value: object) -> pd.DataFrame:
    frame = table()
    frame[column] = frame[column].astype(object)
    frame.loc[row, column] = value
    return frame


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "missing column": (
        lambda: ready(table(gdp_real=1.0), "gdp_rael"),
        r"outcome: needs column 'gdp_rael', which is not in panel\.csv\n  hint: did you mean 'gdp_real'\? "
        r"map it under panel\.columns; the file has city, year, x, y, gdp_real",
    ),
    "missing column in arithmetic": (
        lambda: ready(table(), "z", columns={"z": "x / population"}),
        r"panel\.columns\.z: needs column 'population'",
    ),
    "a name for itself": (
        lambda: ready(table(), "z", columns={"z": "z"}),
        r"panel\.columns\.z: needs column 'z'",
    ),
    "no city": (lambda: ready(table().drop(columns="city"), "x"), r"panel: needs column 'city'"),
    "no year": (
        lambda: ready(table(), "x", columns={"year": "年份"}),
        r"panel\.columns\.year: needs column '年份'",
    ),
    "city from arithmetic": (
        lambda: ready(table(), "x", columns={"city": "x + y"}),
        "'city' cannot be arithmetic",
    ),
    "circle": (
        lambda: ready(table(), "a", columns={"a": "b + 1", "b": "c", "c": "2 * a"}),
        r"panel\.columns: columns are defined in a circle: a -> b -> c -> a",
    ),
    "unreadable arithmetic": (
        lambda: ready(table(), "z", columns={"z": "x +* y"}),
        r"panel\.columns\.z: '\*' after '\+' has no place in the expression 'x \+\* y'\n  hint: allowed are",
    ),
    "duplicate": (
        lambda: ready(pd.concat([table(), table().iloc[[6, 12]]]), "x"),
        r"panel\.csv: city-years given more than once: "
        r"B 2011 \(rows 8, 22\); C 2012 \(rows 14, 23\) \(2 in all\)",
    ),
    "half a row": (
        lambda: ready(changed(4, "city", None), "x"),
        r"row 6: a row has no city \(its year is '2014'\)",
    ),
    "a note": (
        lambda: ready(changed(4, "year", None), "x"),
        r"panel\.csv: row 6: a row has no year \(its city is 'A'\)\n  hint: fill merged cells, and remove",
    ),
    "half a year": (
        lambda: ready(changed(4, "year", 2010.5), "x"),
        r"row 6, column 'year': '2010\.5' is not a year",
    ),
    "no year at all": (lambda: ready(changed(4, "year", "20100"), "x"), r"row 6, .*'20100' is not a year"),
    "text year": (
        lambda: ready(changed(4, "year", "民国99年"), "x"),
        r"row 6, column 'year': '民国99年' is not a year",
    ),
    "empty": (
        lambda: ready(pd.DataFrame({"city": [None], "year": [None], "x": [1]}), "x"),
        "has no rows with a city",
    ),
    "years outside": (
        lambda: ready(table(), "x", years=(2009, 2012)),
        r"years: \[2009, 2012\] reach outside the data\n  hint: panel\.csv has 2010 to 2014",
    ),
    "division by zero": (
        lambda: ready(changed(7, "y", 0), "z", columns={"z": "x / y"}),
        r"'z' \(x / y\) is infinite or undefined in B, 2012 \(1 of 20 city-years\)",
    ),
    "zero by zero": (
        lambda: ready(changed(7, "y", 0), "z", columns={"z": "y / y"}),
        r"'z' \(y / y\) is infinite or undefined in B, 2012 \(1 of 20 city-years\)",
    ),
    "growth of a negative": (
        lambda: ready(changed(7, "y", -1), "z", columns={"z": "growth(y)"}, years=(2011, 2014)),
        r"'z' \(growth\(y\)\) is infinite or undefined in B, 2012 \(2 of 16 city-years\)",
    ),
    "undefined behind another name": (
        lambda: ready(changed(7, "y", -1), "z", columns={"z": "root / x", "root": "sqrt(y)"}),
        r"'z' \(root / x\) is infinite or undefined in B, 2012 \(1 of 20 city-years\)",
    ),
    "logarithm": (
        lambda: ready(changed(7, "y", 0), "x", "y", logged={"x": "controls.a", "y / x": "controls.b"}),
        r"controls\.b: the logarithm of 'y / x' is taken, but it is 0 in B, 2012 \(1 of 20 city-years\)",
    ),
    "static varies": (
        lambda: ready(changed(7, "y", 0), "y", static=["y"]),
        r"panel\.csv: 'y' must be constant within a city, but A has both 200 and 202 \(in 2011\)\n  hint",
    ),
    "no values": (
        lambda: ready(table(y=np.nan), "x", "y"),
        r"panel\.csv: column 'y' has no values in 2010 to 2014\n  hint",
    ),
    "none left": (
        lambda: ready(table(), "z", columns={"z": "growth(x)"}),
        r"no city is left, at least 3 are needed; column 'z' costs most: "
        r"4 cities miss a year of it, 4 of them 2010",
    ),
    "too few left": (
        lambda: ready(table(y=np.where(table()["city"].isin(["A", "B"]), np.nan, 1)), "x", "y"),
        r"2 of 4 cities are left, at least 3 are needed; column 'y' costs most: 2 cities",
    ),
    "two cities": (
        lambda: ready(table().iloc[:10], "x"),
        r"2 of 2 cities are left, at least 3 are needed\n  hint: give data of more",
    ),
    "base year": (
        lambda: ready(table(p=1.0), "x", deflate=Deflation(["x"], 2000, price_index="p")),
        r"panel\.deflate\.base_year: base year 2000 is not in the data\n  "
        r"hint: panel\.csv has 2010 to 2014",
    ),
    "no base price": (
        lambda: ready(
            table(p=np.where(table()["year"] == 2010, np.nan, 1)), "x", deflate=Deflation(["x"], 2010, "p")
        ),
        "no city has a price level in base year 2010",
    ),
    "free of charge": (
        lambda: ready(changed(7, "y", 0), "x", deflate=Deflation(["x"], 2010, price_index="y")),
        r"panel\.deflate \(y\): the price level is 0 in B, 2012",
    ),
    "deflates nothing known": (
        lambda: ready(table(), "x", deflate=Deflation(["z"], 2010, price_index="y")),
        r"panel\.deflate\.columns: needs column 'z'",
    ),
    "fills nothing known": (
        lambda: ready(table(), "x", fill=[Filling(1, columns=["z"])]),
        r"panel\.fill\.columns: needs column 'z'",
    ),
    "log filling from zero": (
        lambda: ready(
            changed(7, "x", np.nan).assign(x=lambda f: f["x"].where(f.index != 6, 0)),
            "x",
            fill=[Filling(1, "log_linear")],
        ),
        r"panel\.fill: log_linear filling of 'x' in B meets 0 in 2011, which has no logarithm\n  hint",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_with_place_and_remedy(case: str) -> None:
    attempt, message = BAD[case]
    with pytest.raises(InputError, match=message) as caught:
        attempt()
    assert caught.value.remedy or case in ("empty", "no base price")
