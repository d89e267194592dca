"""Cities that a table spells in two ways are dropped with the second name, and the line that makes them one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import yaml
from sentences import english

from engine.cities.panel import CityPanel
from engine.cities.panel_request import PanelRequest
from engine.cities.prepare import prepare
from engine.cities.split_cities import split_cities
from engine.cities.validation import Validation
from engine.errors import InputError
from engine.report.language.wording import ENGLISH
from engine.tables.near_duplicates import MergeRule

YEARS = range(2010, 2015)
CITIES = ("杭州市", "宁波市", "温州市", "绍兴市", "NANJING", "苏州市")


def table() -> pd.DataFrame:
    rows = [(city, year, 10.0 * number + year % 7) for number, city in enumerate(CITIES) for year in YEARS]
    return pd.DataFrame(rows, columns=["city", "year", "x"])


def respelled(spellings: dict[tuple[str, int], str]) -> pd.DataFrame:
    """The table with another name in some city-years."""
    frame = table()
    frame["city"] = [
        spellings.get((city, year), city) for city, year in zip(frame["city"], frame["year"], strict=True)
    ]
    return frame


def ready(frame: pd.DataFrame, *merge_names: MergeRule) -> tuple[CityPanel, Validation]:
    return prepare(frame, PanelRequest({"x": "outcome"}, merge_names=merge_names), source="a.csv")


def proposed(validation: Validation) -> list[str]:
    lines = validation.lines(ENGLISH.note)
    return [line.strip().removeprefix("in the job file: ") for line in lines if "in the job file: " in line]


def test_the_second_spelling_is_named_and_merging_comes_before_filling() -> None:
    frame = respelled({("杭州市", 2012): "杭州", ("NANJING", 2014): "Nanjing"})
    frame.loc[(frame["city"] == "宁波市") & (frame["year"] == 2011), "x"] = (
        np.nan
    )  # a gap of a city by itself
    panel, validation = ready(frame)
    assert set(panel.units) == {"温州市", "绍兴市", "苏州市"}
    reasons = {city.city: english([city.reason])[0] for city in validation.dropped}
    assert reasons == {
        "杭州": "x missing in 2010-2011, 2013-2014; rows of other years are spelled 杭州市",
        "杭州市": "x missing in 2012; rows of other years are spelled 杭州",
        "NANJING": "x missing in 2014; rows of other years are spelled Nanjing",
        "Nanjing": "x missing in 2010-2013; rows of other years are spelled NANJING",
        "宁波市": "x missing in 2011",
    }
    assert proposed(validation) == [
        "panel.merge_names: [case, suffix]  # if these are one city: NANJING = Nanjing, 杭州 = 杭州市",
        "panel.fill: {max_gap: 1, columns: [x]}  # if gaps may be interpolated: 1 of them would stay",
    ]
    plain = validation.to_dict(ENGLISH.note)["dropped"]
    assert [set(city) for city in plain] == [  # type: ignore[attr-defined]
        {"city", "column", "years", "n_more_columns", "reason", "reason_code"}
    ] * 5


def test_the_proposed_line_gives_the_panel_of_a_table_that_spells_each_city_alike() -> None:
    frame = respelled({("杭州市", 2012): "杭州", ("NANJING", 2014): "Nanjing", ("宁波市", 2010): "宁波 市"})
    assert len(ready(frame)[1].dropped) == 6
    [line] = proposed(ready(frame)[1])
    panel, validation = ready(frame, *yaml.safe_load(line)["panel.merge_names"])
    clean, _ = ready(table())
    assert panel.units == clean.units
    np.testing.assert_array_equal(panel.values["x"], clean.values["x"])
    assert (validation.dropped, proposed(validation)) == ((), [])


def test_rules_that_the_job_has_already_stay_in_the_line() -> None:
    frame = respelled({("杭州市", 2012): "杭州", ("NANJING", 2014): "Nanjing"})
    [line] = proposed(ready(frame, "zeros", "case")[1])
    assert line.startswith("panel.merge_names: [case, zeros, suffix]  # if these are one city: 杭州 = 杭州市")


def test_where_every_city_is_spelled_in_two_ways_the_refusal_proposes_the_line() -> None:
    frame = respelled({(city, year): city[:2] for city in CITIES[:4] for year in (2013, 2014)})
    frame = frame[frame["city"] != "苏州市"]
    with pytest.raises(InputError) as raised:
        ready(frame)
    assert "'宁波' has no row in years of '宁波市', which is spelled nearly alike" in str(raised.value)
    assert "in the job file: panel.merge_names: [suffix]  # if these spellings are of one city" in str(
        raised.value
    )
    assert set(ready(frame, "suffix")[0].units) == set(CITIES) - {"苏州市"}


def test_two_cities_with_a_year_in_common_are_two() -> None:
    frame = pd.concat(
        [table(), pd.DataFrame({"city": ["杭州"], "year": [2011], "x": [5.0]})], ignore_index=True
    )
    _, validation = ready(frame)
    assert english([city.reason for city in validation.dropped]) == ("x missing in 2010, 2012-2014",)
    assert proposed(validation) == []


def test_a_name_that_may_be_of_either_of_two_is_none_of_one() -> None:
    has_row = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=bool)
    assert split_cities(("吉林", "吉林省", "吉林市"), has_row, ()) == {}
    spelled = split_cities(("吉林", "吉林市", "x"), has_row, ())
    assert {name: group.names for name, group in spelled.items()} == {
        "吉林": ("吉林市",),
        "吉林市": ("吉林",),
    }
