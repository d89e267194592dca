"""Indices of a corpus by hand and of any counts by brute force; how they come into a panel."""

from __future__ import annotations

import math
import re
from math import log
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_corpus import COUNTS, DICTIONARY, OWNERS
from sentences import english

from engine.errors import InputError
from engine.text.index import merge_into, policy_indices

ROUNDING = 1e-13
"""Relative: some ten logarithms and sums in double precision; entropies are away from ln n, so nothing cancels."""

BRUTE_ROUNDING = 1e-12
"""Absolute, in [0, 1]. Scaled counts have a zero, so an instrument's Theil index is ln(20 / 19) = 0.05 at least, from
which ln n - H loses two digits of sixteen."""


def frame(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["file", "city", "year", "kind", "instrument", "count"])


CORPUS = frame(
    [
        (file, *OWNERS[file], instrument.kind, instrument.name, number)
        for file, numbers in COUNTS.items()
        for instrument, number in zip(DICTIONARY.instruments, numbers, strict=True)
    ]
)
NO_FINANCE = "environment: no weight for finance: the same in {} city-years"


def shares(*theil: float) -> list[float]:
    return [value / sum(theil) for value in theil]


def test_indices_of_the_corpus_by_hand_over_pilots() -> None:
    """Five city-years have a document in force: Alpha 2015 to 2017, Beta 2016 and 2017."""
    n = log(5)
    # talent 2 2 3 0 0, funds 1 1 1 0 0; tax 0 0 0 3 3, rules 0 0 1 1 1; procurement 0 0 2 0 0, pilots 2 2 2 1 1
    talent, funds = shares(n + 4 / 7 * log(2 / 7) + 3 / 7 * log(3 / 7), n - log(3))
    tax, rules = shares(n - log(2), n - log(3))
    procurement, pilots = shares(n, n - log(3))
    result = policy_indices(CORPUS, cities=["Gamma", "Beta", "Alpha"], years=[2015, 2016, 2017])
    expected = [
        ("Alpha", 2015, 2 / 3 * talent + funds, 0.0, pilots),
        ("Alpha", 2016, 2 / 3 * talent + funds, 0.0, pilots),
        ("Alpha", 2017, 1.0, rules, 1.0),
        ("Beta", 2015, 0.0, 0.0, 0.0),
        ("Beta", 2016, 0.0, 1.0, 0.0),
        ("Beta", 2017, 0.0, 1.0, 0.0),
        *[("Gamma", year, 0.0, 0.0, 0.0) for year in (2015, 2016, 2017)],
    ]
    columns = ["city", "year", "supply", "environment", "demand"]
    pd.testing.assert_frame_equal(
        result.indices, pd.DataFrame(expected, columns=columns), rtol=ROUNDING, atol=0, check_dtype=False
    )
    weights = [talent, funds, tax, rules, 0.0, procurement, pilots]
    rows = [
        (entry.kind, entry.name, sum(column), weight)
        for entry, column, weight in zip(
            DICTIONARY.instruments, zip(*COUNTS.values(), strict=True), weights, strict=True
        )
    ]
    pd.testing.assert_frame_equal(
        result.weights,
        pd.DataFrame(rows, columns=["kind", "instrument", "count", "weight"]),
        rtol=ROUNDING,
        atol=0,
    )
    assert english(result.notes) == (NO_FINANCE.format(5),)


def test_indices_of_the_corpus_by_hand_over_all_city_years() -> None:
    """Nine city-years; a fifth of the scaled pilots is the half that Beta has."""
    n = log(9)
    talent, funds = shares(n + 4 / 7 * log(2 / 7) + 3 / 7 * log(3 / 7), n - log(3))
    tax, rules = shares(n - log(2), n - log(3))
    procurement, pilots = shares(n, n - 3 / 4 * log(4) - 1 / 4 * log(8))
    result = policy_indices(CORPUS, cities=["Alpha", "Beta", "Gamma"], years=[2015, 2016, 2017], pool="all")
    weights = [talent, funds, tax, rules, 0.0, procurement, pilots]
    np.testing.assert_allclose(result.weights["weight"], weights, rtol=ROUNDING)
    np.testing.assert_allclose(
        result.indices["demand"], [pilots, pilots, 1, 0, pilots / 2, pilots / 2, 0, 0, 0], rtol=ROUNDING
    )
    assert english(result.notes) == (NO_FINANCE.format(9),)


INSTRUMENTS = [
    ("supply", "s1"),
    ("supply", "s2"),
    ("environment", "e1"),
    ("environment", "e2"),
    ("demand", "d1"),
]
CITIES, YEARS = ["A", "B", "C", "D"], range(2014, 2019)
DOCUMENT = st.tuples(
    st.sampled_from(CITIES[:3]), st.integers(2012, 2020), st.lists(st.integers(0, 3), min_size=5, max_size=5)
)


def by_loops(
    documents: list[tuple[str, int, list[int]]], pool: str
) -> tuple[dict[tuple[str, int], dict[str, float]], list[float]]:
    """Indices by city-year and weights by instrument, as a textbook has them."""
    places = [(city, year) for city in CITIES for year in YEARS]
    force = {
        place: [n for city, year, n in documents if city == place[0] and year <= place[1]] for place in places
    }
    rows = [place for place in places if pool == "all" or force[place]]
    indices = {place: {"supply": 0.0, "environment": 0.0, "demand": 0.0} for place in places}
    theil, scaled = [], []
    for k in range(len(INSTRUMENTS)):
        values = [sum(n[k] for n in force[place]) for place in rows]
        low, high = min(values), max(values)
        scaled.append([(x - low) / (high - low) if high > low else 0.0 for x in values])
        total = math.fsum(scaled[k])
        parts = [x / total for x in scaled[k] if x > 0]
        theil.append(log(len(rows)) + math.fsum(p * log(p) for p in parts) if parts else 0.0)
    weights = []
    for k, (kind, _) in enumerate(INSTRUMENTS):
        whole = sum(theil[m] for m, (other, _) in enumerate(INSTRUMENTS) if other == kind)
        weights.append(theil[k] / whole if whole else 0.0)
        for place, x in zip(rows, scaled[k], strict=True):
            indices[place][kind] += weights[k] * x
    return indices, weights


@settings(max_examples=60)
@given(documents=st.lists(DOCUMENT, min_size=2, max_size=7), pool=st.sampled_from(["pilots", "all"]))
def test_any_counts_against_loops(documents: list[tuple[str, int, list[int]]], pool: Any) -> None:
    counts = frame(
        [
            (f"{number}.txt", city, year, *instrument, n)
            for number, (city, year, numbers) in enumerate(documents)
            for instrument, n in zip(INSTRUMENTS, numbers, strict=True)
        ]
    )
    in_force = sum(any(city == c and year <= y for c, year, _ in documents) for city in CITIES for y in YEARS)
    if pool == "pilots" and in_force < 2:
        with pytest.raises(InputError, match=f"{in_force} of 20 city-years have a document in force"):
            policy_indices(counts, cities=CITIES, years=YEARS, pool=pool)
        return
    result = policy_indices(counts, cities=CITIES, years=YEARS, pool=pool)
    indices, weights = by_loops(documents, pool)
    assert list(zip(result.indices["city"], result.indices["year"], strict=True)) == list(indices)
    expected = [list(by_kind.values()) for by_kind in indices.values()]
    np.testing.assert_allclose(
        result.indices[["supply", "environment", "demand"]], expected, rtol=0, atol=BRUTE_ROUNDING
    )
    np.testing.assert_allclose(result.weights["weight"], weights, rtol=0, atol=BRUTE_ROUNDING)


def test_a_kind_that_says_nothing_is_zero_and_noted() -> None:
    counts = CORPUS.assign(count=CORPUS["count"].where(CORPUS["kind"] != "demand", 0))
    result = policy_indices(counts, cities=["Alpha", "Beta"], years=[2015, 2016, 2017])
    assert (result.indices["demand"] == 0).all()
    assert (result.weights.query("kind == 'demand'")["weight"] == 0).all()
    assert english(result.notes)[-1] == "no demand instrument differs between 5 city-years: the index is 0"


def test_documents_from_after_the_sample_are_noted() -> None:
    result = policy_indices(CORPUS, cities=["Alpha", "Beta"], years=[2015, 2016])
    assert english(result.notes)[0] == "1 document from after 2016 counts in no year: b.txt"
    assert (result.indices.query("city == 'Alpha'")["environment"] == 0).all()


def test_a_city_that_the_sample_lacks_is_refused() -> None:
    with pytest.raises(
        InputError, match="the documents have cities that are not in the cities of the sample: Beta"
    ):
        policy_indices(CORPUS, cities=["Alpha", "Bèta"], years=[2015, 2017])


INDICES = policy_indices(CORPUS, cities=["Alpha", "Beta"], years=[2015, 2016, 2017]).indices


def test_merging_keeps_rows_in_order_and_fills_with_zero() -> None:
    panel = pd.DataFrame(
        {
            "城市": ["Gamma", "Beta", "Alpha ", "Alpha", "Beta"],
            "年份": [2016.0, 2017.0, 2017.0, 2010.0, 2016.0],
            "gdp": [1.0, 2.0, 3.0, 4.0, 5.0],
        },
        index=[9, 7, 5, 3, 1],
    )
    before = panel.copy()
    merged = merge_into(panel, INDICES, city="城市", year="年份")
    known = INDICES.set_index(["city", "year"])
    nothing = pd.Series({"supply": 0.0, "environment": 0.0, "demand": 0.0})
    rows = [
        nothing,
        known.loc[("Beta", 2017)],
        known.loc[("Alpha", 2017)],
        nothing,
        known.loc[("Beta", 2016)],
    ]
    expected = panel.assign(
        policy_supply=[row["supply"] for row in rows],
        policy_environment=[row["environment"] for row in rows],
        policy_demand=[row["demand"] for row in rows],
    )
    pd.testing.assert_frame_equal(merged, expected)
    pd.testing.assert_frame_equal(panel, before)


PANEL = pd.DataFrame({"city": ["Alpha", "Beta"], "year": [2017, 2017]})


@pytest.mark.parametrize(
    ("panel", "message"),
    [
        (PANEL.rename(columns={"city": "town"}), "panel: there is no column 'city'"),
        (PANEL.assign(policy_demand=1.0), "panel: the panel already has a column 'policy_demand'"),
        (PANEL.assign(city=["Alpha", None]), "panel: row 3: 'city' is empty"),
        (PANEL.assign(year=[2017, 2017.5]), "panel: row 3, column 'year': '2017.5' is not a year"),
        (PANEL.iloc[:1], "the indices have cities that are not in the panel: Beta"),
        (PANEL.assign(year=[2017, 2019]), "panel: the panel goes on to 2019, the indices end in 2017"),
    ],
)
def test_a_panel_that_does_not_fit_is_refused(panel: pd.DataFrame, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        merge_into(panel, INDICES)
