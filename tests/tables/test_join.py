"""Tables put beside a panel, against a dictionary."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentences import english

from engine.errors import InputError
from engine.tables.join import join, join_notes

CITIES = ["杭州市", "Xi'an", "110000", "b", "c"]
cities, years = st.sampled_from(CITIES), st.integers(2010, 2014)
keys = st.lists(st.tuples(cities, years), min_size=1, max_size=20, unique=True)
missing = st.sampled_from([None, 0.0, -1.5])


def joined(
    frame: pd.DataFrame, other: pd.DataFrame, *, city: str = "city", year: str = "year", **changes: Any
) -> pd.DataFrame:
    return join(frame, other, **{"source": "b.csv", "keys": (city, year), "missing": None, **changes})


@given(mine=keys, theirs=keys, missing=missing, by_year=st.booleans(), seed=st.integers(0, 99))
def test_values_are_those_of_a_dictionary(
    mine: list[tuple[str, int]],
    theirs: list[tuple[str, int]],
    missing: float | None,
    by_year: bool,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    if not by_year:
        theirs = list(dict(theirs).items())
    other = pd.DataFrame(theirs, columns=["city", "year"]).assign(
        x=rng.normal(size=len(theirs)),
        flag=rng.random(len(theirs)) < 0.5,
        text=[f"t{k}" for k in range(len(theirs))],
    )
    other = other if by_year else other.drop(columns="year")
    other["city"] = " " + other["city"]  # names are compared without blanks
    frame = pd.DataFrame(mine, columns=["stadt", "jahr"], index=rng.permutation(len(mine)) + 7)
    rows = {(key if by_year else key[0]): row for key, row in zip(theirs, other.itertuples(), strict=True)}
    wanted = [rows.get(key if by_year else key[0]) for key in mine]
    if not any(wanted):
        with pytest.raises(InputError, match="no row of the panel is in it"):
            joined(frame, other, city="stadt", year="jahr", missing=missing)
        return
    found = joined(frame, other, city="stadt", year="jahr", missing=missing)
    blank = np.nan if missing is None else missing
    expected = frame.assign(
        x=[row.x if row else blank for row in wanted],
        flag=[float(row.flag) if row else blank for row in wanted],
        text=pd.Series([row.text if row else missing for row in wanted], index=frame.index, dtype=object),
    )
    pd.testing.assert_frame_equal(found, expected)


FRAME = pd.DataFrame({"city": ["a", "a", "b"], "year": [2010, 2011, 2010], "x": 1.0})
OTHER = pd.DataFrame({"city": ["a", "b"], "y": [1.0, 2.0]})


@pytest.mark.parametrize(
    ("frame", "other", "message"),
    [
        (
            FRAME,
            OTHER.rename(columns={"city": "name"}),
            r"b.csv: a table that is joined needs a column 'city'",
        ),
        (FRAME, OTHER.rename(columns={"y": "x"}), r"b.csv: the panel already has a column 'x'\n.*rename"),
        (FRAME.rename(columns={"city": "name"}), OTHER, "panel.join: the panel has no column 'city'"),
        (FRAME.drop(columns="year"), OTHER.assign(year=2010), "panel.join: the panel has no column 'year'"),
        (FRAME, OTHER.assign(city="a"), r"b.csv: row 3: a is given twice\n.*one row a city$"),
        (FRAME, OTHER.assign(city="a", year=2010), r"row 3: a, 2010 is given twice\n.*a city and year$"),
        (FRAME, OTHER.assign(year="soon"), "'soon' is not a year"),
        (
            FRAME,
            OTHER.assign(city=["a市", "b市"]),
            r"its first city is 'a市', the panel's 'a'\n.*spell the cities alike in both$",
        ),
        (
            FRAME,
            OTHER.assign(year=1999),
            r"no row of the panel is in it.*\n.*alike in both, and have years in",
        ),
    ],
)
def test_what_cannot_be_joined(frame: pd.DataFrame, other: pd.DataFrame, message: str) -> None:
    with pytest.raises(InputError, match=message):
        joined(frame, other)


def test_what_finds_no_place_is_told() -> None:
    told = {"source": "b.csv", "city": "city", "last": 2011}
    assert join_notes(FRAME, OTHER, **told) == []
    assert join_notes(FRAME, OTHER.assign(year=2011), **told) == []
    assert english(join_notes(FRAME, OTHER.assign(city=["a", "z"], year=2010), **told)) == (
        "b.csv: 1 of its 2 cities is not in the panel: z",
        "b.csv ends in 2010, the sample in 2011: the years between have no row of it",
    )
    many = pd.DataFrame({"city": [f"z{k:02d}" for k in range(12)]})
    shown = ", ".join(many["city"][:10])
    assert english(join_notes(FRAME, many, **told)) == (
        f"b.csv: 12 of its 12 cities are not in the panel: {shown}, ...",
    )


def test_cities_are_matched_as_they_are_normalised_and_merged() -> None:
    frame = FRAME.assign(city=["Ａ", "a\u200b", *FRAME["city"].tolist()[2:]][: len(FRAME)])
    other = pd.DataFrame({"city": ["A", " a "], "z": [1.0, 2.0]})
    out = joined(frame, other)
    assert out["z"].tolist()[:2] == [1.0, 2.0]
    out = joined(frame, other.iloc[:1], merge=["case"])
    assert out["z"].tolist()[:2] == [1.0, 1.0]


def test_near_misses_are_told_with_the_key() -> None:
    frame = pd.DataFrame({"city": ["南昌市", "赣州市"], "year": 2010})
    other = pd.DataFrame({"city": ["南昌", "赣州市"], "z": [1.0, 2.0]})
    notes = join_notes(frame, other, source="b.csv", city="city", last=2010)
    assert english(notes)[0] == (
        "b.csv: cities that are spelled nearly as in the panel but find no row of it: 南昌 = 南昌市; spell them "
        "alike, or set panel.merge_names: [suffix]"
    )
    assert joined(frame, other, merge=["suffix"])["z"].tolist() == [1.0, 2.0]
    assert join_notes(frame, other, source="b.csv", city="city", last=2010, merge=["suffix"]) == []


def test_years_of_both_may_be_dates() -> None:
    frame = pd.DataFrame({"city": ["a", "a"], "year": ["2010年", "2011年"]})
    other = pd.DataFrame(
        {"city": ["a", "a"], "year": pd.to_datetime(["2011-12-31", "2010-12-31"]), "z": [1.0, 2.0]}
    )
    assert joined(frame, other)["z"].tolist() == [2.0, 1.0]


def test_blank_rows_are_no_rows_and_rows_without_city_are_refused() -> None:
    other = pd.DataFrame({"city": ["a", None, None], "z": [1.0, np.nan, np.nan]})
    assert joined(pd.DataFrame({"city": ["a"], "year": [2010]}), other)["z"].tolist() == [1.0]
    with pytest.raises(InputError, match=r"b.csv: row 3: a row has no city \(1 in all\)"):
        joined(pd.DataFrame({"city": ["a"], "year": [2010]}), other.assign(z=[1.0, 2.0, np.nan]))


def test_a_city_name_of_the_panel_that_is_none_is_not_laid_at_the_other_table() -> None:
    with pytest.raises(InputError, match=r"^panel.source: row 2, column 'city': the name 'a<U\+0000>'"):
        joined(pd.DataFrame({"city": ["a\x00"], "year": [2010]}), OTHER)
