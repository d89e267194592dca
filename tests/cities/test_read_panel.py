"""How a table of city-years becomes a panel: names, years, codes, labels, and all faults told at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sentences import english

from engine.cities import panel_grid as grid
from engine.cities.fill import Deflation, Filling
from engine.cities.panel import CityPanel
from engine.cities.panel_request import PanelRequest
from engine.cities.prepare import prepare
from engine.cities.validation import Validation
from engine.errors import InputError

YEARS = np.arange(2010, 2015)


def table(**changes: Any) -> pd.DataFrame:
    """Cities A to D, 2010 to 2014: x = 100, 101, ... row by row; A and B adopt in 2012."""
    return pd.DataFrame(
        {
            "city": np.repeat(list("ABCD"), 5),
            "year": np.tile(YEARS, 4),
            "x": 100.0 + np.arange(20),
            "y": 7.0 + np.arange(20) ** 2,
            "pilot": np.repeat([2012, 2012, np.nan, np.nan], 5),
        }
    ).assign(**changes)


def cells(name: str, changes: dict[int, Any]) -> pd.DataFrame:
    frame = table()
    frame[name] = frame[name].astype(object)
    for row, value in changes.items():
        frame.loc[row, name] = value
    return frame


def ready(frame: pd.DataFrame, *names: str, **options: Any) -> tuple[CityPanel, Validation]:
    adoption = ["pilot"] if "pilot" in names else []
    options = {"static": adoption, "optional": adoption, "year_columns": adoption, **options}
    request = PanelRequest(required=dict.fromkeys(names, "outcome"), **options)
    return prepare(frame, request, source="p.csv")


def refused(frame: pd.DataFrame, *names: str, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        ready(frame, *names, **options)
    return str(caught.value)


# -- names -------------------------------------------------------------------------------------------------


def test_spellings_of_one_city_are_one_city_and_noted() -> None:
    frame = cells("city", {1: "Ａ", 2: "A\u200b", 3: "\u3000A"})
    panel, validation = ready(frame, "x")
    assert panel.units == ("A", "B", "C", "D")
    np.testing.assert_array_equal(panel.values["x"], ready(table(), "x")[0].values["x"])
    [note] = english(validation.notes)
    assert "p.csv: spellings in column 'city' that were normalised: 2" in note


def test_rows_that_collide_show_both_spellings() -> None:
    frame = cells("city", {5: "Ａ"})
    frame.loc[5, "year"] = 2010
    assert "A 2010 (rows 2, 7, spelled 'A' and 'Ａ')" in refused(frame, "x")


def test_near_names_are_warned_of_and_merged_by_key() -> None:
    frame = cells("city", {3: "a", 4: "a"})
    panel, validation = ready(frame, "x", balance="keep")
    assert panel.units == ("A", "B", "C", "D", "a")
    assert any("A = a (case)" in text for text in english(validation.warnings))
    panel, validation = ready(frame, "x", merge_names=["case"])
    assert panel.units == ("A", "B", "C", "D")
    np.testing.assert_array_equal(panel.values["x"], ready(table(), "x")[0].values["x"])
    assert english(validation.notes) == ("p.csv: spellings in column 'city' that were merged: 1 ('a' = 'A')",)
    assert not any("nearly alike" in text for text in english(validation.warnings))


# -- years -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["{}年", "{}-12-31", "{}/1/1"])
def test_years_in_other_dress(written: str) -> None:
    frame = table()
    frame["year"] = [written.format(year) for year in frame["year"]]
    frame["pilot"] = [written.format(int(year)) if year == year else None for year in table()["pilot"]]
    panel, validation = ready(frame, "x", "pilot")
    expected, _ = ready(table(), "x", "pilot")
    assert panel.years == expected.years
    for name in ("x", "pilot"):
        np.testing.assert_array_equal(panel.values[name], expected.values[name])
    assert len([note for note in english(validation.notes) if "holds dates" in note]) == (
        0 if "年" in written else 2
    )


def test_an_excel_column_of_dates() -> None:
    frame = table(year=pd.to_datetime([f"{year}-12-31" for year in table()["year"]]))
    assert ready(frame, "x")[0].years == tuple(YEARS.tolist())


@pytest.mark.parametrize("year", [20155, 9999, 0, 2014.5, "20155", "#REF!"])
def test_an_adoption_year_that_is_none_is_refused_by_row_and_city(year: object) -> None:
    message = refused(cells("pilot", {7: year}), "x", "pilot")
    assert f"row 9, column 'pilot': '{year}' is not a year (B)" in message
    assert "leave the cell empty where there is none (never adopts)" in message


def test_an_adoption_year_may_be_declared_missing_or_computed() -> None:
    frame = table(pilot=table()["pilot"].fillna(9999))
    panel, _ = ready(frame, "x", "pilot", missing={"pilot": [9999]})
    np.testing.assert_array_equal(panel.values["pilot"][:, 0], [2012, 2012, np.nan, np.nan])
    panel, _ = ready(table(first=table()["pilot"]), "x", "pilot", columns={"pilot": "first + 1"})
    np.testing.assert_array_equal(panel.values["pilot"][:, 0], [2013, 2013, np.nan, np.nan])
    message = refused(table(first=table()["pilot"]), "x", "pilot", columns={"pilot": "first * 10"})
    assert "panel.columns.pilot: 'pilot' of A is 20120, which is not a year (10 in all)" in message


def test_an_adoption_year_far_from_the_sample_is_warned_of() -> None:
    _, validation = ready(cells("pilot", dict.fromkeys(range(10, 15), 2105)), "x", "pilot")
    assert "pilot of C is 2105, more than 50 years from the sample (1 such in all): is it mistyped?" in (
        english(validation.warnings)
    )


def test_an_adoption_year_in_some_rows_of_a_city_is_warned_of() -> None:
    _, validation = ready(cells("pilot", {7: np.nan}), "x", "pilot")
    (warning,) = english(validation.warnings)
    assert "pilot stands in some rows only of a city (B: 4 of 5 rows; cities like it: 1)" in warning
    _, validation = ready(cells("pilot", {}).drop(index=[7]), "x", "pilot", balance="keep")
    assert not english(validation.warnings)


# -- missing values ----------------------------------------------------------------------------------------


def test_codes_are_warned_of_until_they_are_declared() -> None:
    frame = cells("x", {6: -999, 7: -999})
    _, validation = ready(frame, "x")
    assert any(
        "column 'x' is -999 in 2 of 20 rows, first in row 8 (B), far from all other values" in text
        for text in english(validation.warnings)
    )
    panel, validation = ready(frame, "x", missing={"x": [-999]}, balance="keep")
    assert np.isnan(panel.values["x"][1, 1:3]).all()
    assert not any("-999" in text for text in english(validation.warnings))
    assert validation.columns[0].n_marked == 2
    panel, _ = ready(frame, "z", columns={"z": "`x`"}, missing={"z": [-999]}, balance="keep")
    assert np.isnan(panel.values["z"][1, 1:3]).all()


def test_codes_of_a_column_that_is_not_there_are_refused() -> None:
    assert "panel.missing: needs column 'gdp'" in refused(table(), "x", missing={"gdp": [-999]})


# -- labels ------------------------------------------------------------------------------------------------


def test_a_city_without_a_label_is_refused_by_name_and_key() -> None:
    region = ["east"] * 10 + [None] * 5 + [" "] * 5
    message = refused(table(region=region), "x", labels={"region": "inference.jackknife.by"})
    assert message.splitlines()[0] == (
        "p.csv: column 'region': 2 of 4 cities have no 'region', which inference.jackknife.by needs: C, D"
    )


def test_a_city_that_left_the_sample_needs_no_label() -> None:
    frame = cells("x", {12: None}).assign(region=["east"] * 10 + [None] * 5 + ["west"] * 5)
    panel, _ = ready(frame, "x", labels={"region": "model.fixed_effects"})
    assert panel.labels["region"] == ("east", "east", "west")


def test_near_labels_are_warned_of() -> None:
    region = ["江西"] * 10 + ["江西省"] * 10
    _, validation = ready(table(region=region), "x", labels={"region": "model.fixed_effects"})
    assert any(
        "labels in column 'region' that are spelled nearly alike" in text
        for text in english(validation.warnings)
    )
    panel, _ = ready(
        table(region=region), "x", labels={"region": "model.fixed_effects"}, merge_names=["suffix"]
    )
    assert len(set(panel.labels["region"])) == 1


# -- all at once -------------------------------------------------------------------------------------------


def test_all_problems_of_a_table_are_told_at_once() -> None:
    frame = cells("x", {3: "bad", 4: "worse"})
    frame["y"] = frame["y"].astype(object)
    frame.loc[9, "y"] = "#DIV/0!"
    frame["city"] = frame["city"].where(frame.index != 12, "C\x00")
    frame["year"] = frame["year"].astype(object).where(frame.index != 14, "soon")
    lines = refused(frame, "x", "y", "z").splitlines()
    assert lines[0] == "p.csv: 5 problems"
    for text in (
        "row 14, column 'city': the name 'C<U+0000>' holds a control character",
        "row 16, column 'year': 'soon' is not a year",
        "row 5, column 'x': 'bad' is not a number; also row 6",
        "row 11, column 'y': '#DIV/0!' is an error of Excel, not a number",
        "outcome: needs column 'z'",
    ):
        assert any(line.startswith(f"  {text}") for line in lines), text


def test_a_column_that_several_read_is_told_once() -> None:
    message = refused(cells("x", {3: "bad"}), "x", "z", columns={"z": "2 * x"})
    assert message.startswith("p.csv: row 5, column 'x': 'bad' is not a number (A)")


def test_row_numbers_are_those_of_the_file() -> None:
    frame = cells("x", {3: "bad"})
    frame.index = frame.index + 10  # ten lines above the header were skipped
    assert "row 15, column 'x'" in refused(frame, "x")


# -- lists, places, bounds ---------------------------------------------------------------------------------


def test_an_empty_list_fills_nothing_and_no_list_everything() -> None:
    frame = cells("x", {7: None})
    assert ready(frame, "x", fill=[Filling(2, columns=())])[0].units == ("A", "C", "D")
    assert ready(frame, "x", fill=[Filling(2)])[0].units == ("A", "B", "C", "D")


def test_a_column_is_never_deflated_twice() -> None:
    message = refused(table(p=2.0), "x", deflate=Deflation(["x", "x"], 2010, price_index="p"))
    assert message.startswith("panel.deflate.columns: 'x' is listed twice")


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ((30, 0), (30, 360), True),
        ((30, -180), (30, 180), True),
        ((30, -359.9), (30, 0.1), True),
        ((90, 0), (90, 77), True),
        ((-90, 10), (-90, -10), True),
        ((90, 0), (-90, 0), False),
        ((30, 0), (30, 180), False),
        ((30, 0.1), (30, 0.1001), False),
    ],
)
def test_places(first: tuple[float, float], second: tuple[float, float], together: bool) -> None:
    latitude, longitude = zip(first, second, (10, 10), (20, 20), strict=True)
    frame = table(latitude=np.repeat(latitude, 5), longitude=np.repeat(longitude, 5))
    _, validation = ready(frame, "x", "latitude", "longitude", static=["latitude", "longitude"])
    assert validation.same_place == ((("A", "B"),) if together else ())


def test_a_grid_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = table()
    frame.loc[0, "year"] = 1500
    monkeypatch.setattr(grid, "_LARGEST", 2000)
    message = refused(frame, "x")
    assert "4 cities from 1500 to 2014 are 2,060 city-years, the limit is 2,000" in message


def test_two_names_of_one_column_with_codes_are_refused() -> None:
    text = refused(table(), "z", columns={"z": "x"}, missing={"z": [0.5], "x": [9999999]})
    assert "panel.missing: two names stand for one column of the table: 'z' and 'x'" in text
    assert "hint: give each column one list" in text
