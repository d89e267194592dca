"""Treatment paths by class against the definition, pair by pair and year by year."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.pairs.treatment import (
    NEVER,
    Adoption,
    adoption_classes,
    allowed_classes,
    event_name,
    event_paths,
    pair_adoption,
    policy_paths,
)

YEARS = np.arange(2010, 2020)
RULES = {
    "exactly_one": lambda one, other: float(one != other),
    "both": lambda one, other: float(one and other),
    "either": lambda one, other: float(one or other),
    "count": lambda one, other: float(one) + float(other),
}
adoption_years = st.lists(
    st.one_of(st.just(math.nan), st.integers(2005, 2025).map(float)), min_size=1, max_size=12
)


@given(adoption_years)
def test_classes_hold_the_years_of_the_units(years: list[float]) -> None:
    found = adoption_classes(np.array(years), 2019)
    expected = [year if year <= 2019 else NEVER for year in years]  # missing compares false
    np.testing.assert_array_equal(found.years[found.classes], expected)
    assert found.years[-1] == NEVER
    assert (np.diff(found.years) > 0).all()
    assert set(found.years) == {*expected, NEVER}
    assert found.classes.dtype == np.int32


def test_counts_by_class() -> None:
    adoption = adoption_classes(np.array([2016, np.nan, 2015, 2016, 2030]), 2019)
    assert adoption.counts() == {"2015": 1, "2016": 2, "never": 2}


@pytest.mark.parametrize("rule", RULES)
@given(years=adoption_years)
def test_paths_against_the_definition(rule: str, years: list[float]) -> None:
    adoption = adoption_classes(np.array(years), 2019)
    expected = [
        [[RULES[rule](year >= g, year >= h) for year in YEARS] for h in adoption.years]
        for g in adoption.years
    ]
    np.testing.assert_array_equal(policy_paths(adoption, YEARS, rule), expected)


def test_unknown_rules_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown treatment rule 'xor'"):
        policy_paths(Adoption(np.array([NEVER]), np.zeros(1, np.int32)), YEARS, "xor")


def test_exclusion_drops_pairs_of_two_pilots() -> None:
    adoption = adoption_classes(np.array([2013.0, 2015.0, np.nan]), 2019)
    expected = [[False, False, True], [False, False, True], [True, True, True]]
    np.testing.assert_array_equal(allowed_classes(adoption, "both_treated"), expected)
    np.testing.assert_array_equal(allowed_classes(adoption, "none"), np.ones((3, 3), bool))


def test_year_in_which_a_pair_becomes_treated() -> None:
    adoption = adoption_classes(np.array([2013.0, 2015.0]), 2019)
    both = [[2013, 2015, NEVER], [2015, 2015, NEVER], [NEVER, NEVER, NEVER]]
    either = [[2013, 2013, 2013], [2013, 2015, 2015], [2013, 2015, NEVER]]
    np.testing.assert_array_equal(pair_adoption(adoption, "both"), both)
    for rule in ("either", "exactly_one"):
        np.testing.assert_array_equal(pair_adoption(adoption, rule), either)


@pytest.mark.parametrize("rule", ["both", "either"])
def test_treated_from_the_adoption_of_the_pair_on(rule: str) -> None:
    adoption = adoption_classes(np.array([2011.0, 2013.0, 2015.0]), 2019)
    treated = pair_adoption(adoption, rule)[:, :, None] <= YEARS
    np.testing.assert_array_equal(policy_paths(adoption, YEARS, rule), treated.astype(float))


@pytest.mark.parametrize(("base", "window"), [(-1, (-5, 3)), (-3, (-3, 2)), (0, (-1, 1))])
@pytest.mark.parametrize("rule", ["both", "either"])
def test_event_dummies_against_the_definition(rule: str, base: int, window: tuple[int, int]) -> None:
    adoption = adoption_classes(np.array([2011.0, 2015.0, 2018.0]), 2019)
    adopted = pair_adoption(adoption, rule)
    terms, inside = event_paths(adopted, YEARS, term="euro", base=base, window=window)
    shown = [time for time in range(window[0], window[1] + 1) if time != base]
    table, kept = np.zeros((*adopted.shape, len(YEARS), len(shown))), np.ones((*adopted.shape, len(YEARS)))
    for g, h, t in product(*map(range, (*adopted.shape, len(YEARS)))):
        if adopted[g, h] == NEVER:
            continue
        event = int(YEARS[t] - adopted[g, h])
        kept[g, h, t] = window[0] <= event <= window[1]
        binned = min(max(event, window[0]), window[1])
        if binned != base:
            table[g, h, t, shown.index(binned)] = 1.0
    np.testing.assert_array_equal(terms.table, table)
    np.testing.assert_array_equal(inside, kept.astype(bool))
    assert terms.names == tuple(event_name("euro", time) for time in shown)


def test_names_of_event_years() -> None:
    assert [event_name("policy", time) for time in (-3, 0, 2)] == ["policy[-3]", "policy[+0]", "policy[+2]"]
