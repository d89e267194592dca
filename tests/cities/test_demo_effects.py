"""The effects that `china_demo` is made with, and the filters that give them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from engine.cities import builtin
from engine.cities.demo_effects import MOST_HETEROGENEOUS, deviation_filters, true_effects


@pytest.mark.parametrize("cohorts", [(2015, 2016, 2018, 2019), (2020, 2022)])
@pytest.mark.parametrize("last_year", [2019, 2020, 2021, 2022, 2023, 2040])
@pytest.mark.parametrize("effect", [-0.2, -0.07, 0.0, 0.07, 0.2])
def test_filters_hold_the_stated_variances_in_every_cohort_and_year(
    effect: float, last_year: int, cohorts: tuple[int, ...]
) -> None:
    years = np.arange(2010, last_year + 1, dtype=np.int64)
    filters = deviation_filters(years, true_effects(effect, years, cohorts))
    variance = (filters**2).sum(2)
    rise = -0.5 * np.log((variance[1:] / variance[0] + 1) / 2)
    stated = np.where(years >= np.array(cohorts)[:, None], effect, 0.0)
    np.testing.assert_allclose(rise, stated, atol=1e-9)
    np.testing.assert_allclose(filters.sum(1), 0, atol=1e-12)
    np.testing.assert_allclose(np.einsum("t,gts->gs", years - years.mean(), filters), 0, atol=1e-11)


@pytest.mark.parametrize("last_year", [2019, 2023, 2040])
@pytest.mark.parametrize("effect", [-MOST_HETEROGENEOUS, 0.03, MOST_HETEROGENEOUS])
def test_filters_hold_effects_that_grow_and_differ(effect: float, last_year: int) -> None:
    years = np.arange(2010, last_year + 1, dtype=np.int64)
    cohorts = (2015, 2016, 2018, 2019)
    effects = true_effects(effect, years, cohorts, heterogeneous=True)
    variance = (deviation_filters(years, effects) ** 2).sum(2)
    np.testing.assert_allclose(-0.5 * np.log((variance[1:] / variance[0] + 1) / 2), effects, atol=1e-9)
    np.testing.assert_allclose(effects[0, 5:8], effect * 1.5 * np.array([1.0, 1.3, 1.6]))
    assert not effects[3, :9].any()


def test_the_truth_of_effects_that_differ() -> None:
    truth = builtin.truth("china_demo", heterogeneous=True)
    assert list(truth) == ["2015", "2016", "2018", "2019"]
    assert truth["2018"] == pytest.approx({"2018": 0.07 * 1.2, "2019": 0.07 * 1.2 * 1.3})
    assert builtin.truth("china_demo") == builtin.truth("euro") == {}
    later = builtin.truth("china_demo", heterogeneous=True, later_pilots=True, last_year=2021)
    assert list(later)[4:] == ["2020"]


def test_effects_that_differ_move_no_city_that_never_adopts() -> None:
    plain, differing = (builtin.load("china_demo", heterogeneous=option) for option in (False, True))
    never = plain["pilot_year"].isna()
    pd.testing.assert_frame_equal(plain[never], differing[never], check_exact=True)
    assert not plain[~never].equals(differing[~never])
