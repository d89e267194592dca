"""The validation report: what it finds in a panel, and what it leaves in peace."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentences import english

from engine.cities.panel import CityPanel
from engine.cities.validation import ColumnOrigin, DroppedCity, Preparation, Validation, validate, year_ranges
from engine.notes import Note
from engine.report.language.wording import ENGLISH

UNITS, YEARS = ("A", "B", "C", "D", "E"), (2010, 2011, 2012, 2013)


def noise(seed: int = 0) -> np.ndarray:
    return 10 + np.random.default_rng(seed).random((5, 4))


def looked_over(filled: dict[str, np.ndarray] | None = None, **values: np.ndarray) -> Validation:
    panel = CityPanel(UNITS, YEARS, values, filled=filled or {})
    return report(panel, static=tuple({"latitude", "longitude", "pilot_year"} & values.keys()))


def report(panel: CityPanel, **more: Any) -> Validation:
    origins = {name: ColumnOrigin(f"raw_{name}", 0.25, 3) for name in panel.values}
    return validate(panel, Preparation(source="panel.csv", n_cities_read=7, origins=origins, **more))


def test_statistics_of_a_column() -> None:
    x = noise() - 10.5
    x[2, 1] = np.nan
    x[0, :2] = 0
    filled = np.zeros((5, 4), dtype=bool)
    filled[3, 1:3] = filled[4, 3] = True
    validation = looked_over(filled={"x": filled}, x=x)
    column = validation.columns[0]
    assert (column.column, column.expression) == ("x", "raw_x")
    assert (column.minimum, column.maximum) == (np.nanmin(x), np.nanmax(x))
    assert column.mean == pytest.approx(np.nanmean(x), rel=1e-14)
    assert (column.missing_share, column.n_marked, column.n_filled) == (0.25, 3, 3)
    assert column.n_nonpositive == sum(value <= 0 for value in x.ravel())
    assert validation.filled == {"x": {"D": (2011, 2012), "E": (2013,)}}
    assert (validation.years, validation.n_cities_read, validation.n_cities) == ((2010, 2013), 7, 5)
    assert validation.n_duplicates == 0


def test_sound_data_raise_no_warning() -> None:
    validation = looked_over(
        x=noise(), y=noise(1) - 10.5, latitude=noise(2)[:, [0] * 4], longitude=noise(3)[:, [0] * 4]
    )
    assert validation.warnings == ()
    assert validation.notes == ()


def test_identical_series_are_grouped() -> None:
    x = noise()
    x[3], x[2] = x[1], x[4]
    x[1, 2] = x[3, 2] = np.nan
    validation = looked_over(x=x, y=noise(1))
    assert validation.identical == {"x": (("B", "D"), ("C", "E"))}
    assert english(validation.warnings) == (
        "x has identical series in 2 groups of cities (B = D, C = E): "
        "a synchronization of them would be infinite",
    )


def test_series_that_agree_in_one_year_only_are_not_identical() -> None:
    x = noise()
    x[:, 0] = 1.0
    assert looked_over(x=x).identical == {}


def test_national_and_timeless_columns_are_notes() -> None:
    validation = looked_over(
        rate=np.tile(noise()[0], (5, 1)), rank=np.repeat([[1.0], [1], [2], [1], [4]], 4, axis=1)
    )
    assert english(validation.notes) == (
        "rate is the same in every city",
        "rank does not vary over time in any city",
    )
    assert validation.warnings == ()


def test_a_series_that_stands_still_is_a_warning() -> None:
    x = noise()
    x[1] = 7.0
    x[3] = np.nan
    validation = looked_over(x=x)
    assert validation.constant == {"x": ("B",)}
    assert english(validation.warnings) == ("x does not vary over time in 1 city (B)",)


@pytest.mark.parametrize("factor", [1e4, 1e-4])
def test_a_changed_unit_is_suspected(factor: float) -> None:
    x = noise()
    x[2, 3] *= factor
    (warning,) = english(looked_over(x=x).warnings)
    assert warning.startswith("x changes by more than a factor of 20 within a year 1 time, first in C from ")
    assert "in 2012 to" in warning
    assert looked_over(x=np.where(np.arange(4) == 0, -1, x)).warnings == ()  # a rate may change its sign


def test_cities_at_one_place() -> None:
    latitude, longitude = noise(2)[:, [0] * 4].copy(), noise(3)[:, [0] * 4].copy()
    latitude[4], longitude[4] = latitude[1], longitude[1]
    latitude[2] = latitude[0]
    validation = looked_over(x=noise(), latitude=latitude, longitude=longitude)
    assert validation.same_place == (("B", "E"),)
    assert english(validation.warnings) == ("B and E are at one place (equal coordinates)",)


def test_coordinates_that_are_no_places() -> None:
    """Radians are within 1.6 and 3.2; zeros stand where a place is unknown."""
    latitude = np.tile([[20.0], [25.0], [30.0], [35.0], [40.0]], 4)
    longitude = latitude + 80
    assert looked_over(x=noise(), latitude=latitude, longitude=longitude).warnings == ()
    radians = looked_over(x=noise(), latitude=np.radians(latitude), longitude=np.radians(longitude))
    (warning,) = english(radians.warnings)
    assert "as radians would be: write them in decimal degrees" in warning
    latitude[[1, 3]] = longitude[[1, 3]] = 0.0
    zeros = english(looked_over(x=noise(), latitude=latitude, longitude=longitude).warnings)
    assert any("both 0 in 2 cities (B, D)" in text for text in zeros)
    assert not any("radians" in text for text in zeros)


def test_as_json_and_as_text() -> None:
    dropped = (DroppedCity("F", "x", (2010, 2011, 2013), 2), DroppedCity("G", "x", (2012,), 0))
    panel = CityPanel(UNITS, YEARS, {"x": noise(), "pilot_year": np.full((5, 4), np.nan)})
    validation = report(
        panel,
        dropped=dropped,
        static=["pilot_year"],
        warnings=[Note("matched")],
        notes=[Note.of("all_pairs", count=5)],
    )
    plain = json.loads(json.dumps(validation.to_dict(ENGLISH.note), allow_nan=False))
    assert plain["columns"][1]["minimum"] is None
    assert plain["columns"][0]["maximum"] == noise().max()
    assert plain["dropped"][0] == {
        "city": "F",
        "column": "x",
        "years": [2010, 2011, 2013],
        "n_more_columns": 2,
        "reason": "x missing in 2010-2011, 2013 (and 2 more columns)",
        "reason_code": {
            "code": "column_missing",
            "values": {
                "column": "x",
                "years": "2010-2011, 2013",
                "more": [{"code": "more_columns", "values": {"count": 2}}],
            },
        },
    }
    assert (plain["warnings"], plain["warning_codes"]) == (["matched"], [{"code": "matched", "values": {}}])
    assert plain["note_codes"] == [{"code": "all_pairs", "values": {"count": 5}}]
    lines = validation.lines(ENGLISH.note)
    assert lines[0] == "panel.csv: 5 of 7 cities, 2010 to 2013"
    assert "  G: x missing in 2012" in lines
    assert lines[-2:] == ["warning: matched", "note: all pairs of 5 units"]
    assert len({len(line) for line in lines[2:5]}) == 1  # header and rows line up


def test_a_long_list_of_dropped_cities_is_cut_in_the_terminal_only() -> None:
    dropped = [DroppedCity(f"city {number}", "x", (2012,), 0) for number in range(50)]
    validation = report(CityPanel(UNITS, YEARS, {"x": noise()}), dropped=dropped)
    assert "  and 30 more" in validation.lines(ENGLISH.note)
    assert len(validation.to_dict(ENGLISH.note)["dropped"]) == 50


@given(st.sets(st.integers(1990, 2020)))
def test_year_ranges_say_exactly_the_years(years: set[int]) -> None:
    said: list[int] = []
    for run in filter(None, year_ranges(sorted(years)).split(", ")):
        first, _, last = run.partition("-")
        said += range(int(first), int(last or first) + 1)
    assert said == sorted(years)
