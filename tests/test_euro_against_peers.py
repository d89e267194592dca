"""The euro jobs: real data, 68 years, against pyfixest and brute force."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import reference
from peers import against_brute_force, against_pyfixest, against_refits, cell

import engine
from engine.cities import builtin

JOBS = Path(__file__).parents[1] / "jobs"
CONTROLS = {"size": ("gdp_real", True), "income": ("income", True)}
COLUMNS = [["euro"], ["size", "euro"], ["size", "income", "euro"]]


def long(rule: str, first: int = 1952) -> pd.DataFrame:
    """Pairs of countries to 2019; growth rates are differences of logs."""
    table = builtin.load("euro").sort_values(["city", "year"])
    table["growth"] = np.log(table["gdp_real"]).groupby(table["city"]).diff()
    table["income"] = table["gdp_real"] / table["population"]
    return reference.pair_panel(
        table[table["year"].between(first, 2019)],
        series="growth",
        adoption="euro_year",
        rule=rule,
        term="euro",
        controls=CONTROLS,
    ).long


@pytest.mark.parametrize("rule", ["both", "either", "count"])
def test_rules(rule: str) -> None:
    results = engine.run(JOBS / "euro.yaml", overrides=[f"treatment.rule={rule}"])
    rows = long(rule)
    assert len(rows) == 231 * 68
    for column, names in enumerate(COLUMNS):
        against_pyfixest(cell(results, column), rows, names)
        against_brute_force(cell(results, column), rows, names, kinds=["dyadic"])


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["both", "either", "count"])
def test_rules_jackknife_by_refits(rule: str) -> None:
    results = engine.run(JOBS / "euro.yaml", overrides=[f"treatment.rule={rule}"])
    against_refits(results, long(rule), COLUMNS)


@pytest.mark.parametrize(("rule", "ends", "first"), [("both", "bin", 1952), ("either", "drop", 1988)])
def test_event_study(rule: str, ends: str, first: int) -> None:
    """Twenty event years, 22 countries: covariances of less than full rank, which the engine makes non-negative."""
    overrides = [f"treatment.rule={rule}", f"model.ends={ends}", f"years=[{first}, 2019]"]
    results = engine.run(JOBS / "euro_event_study.yaml", overrides=overrides)
    rows, dummies = reference.event_dummies(
        long(rule, first), rule=rule, base=-1, window=(-10, 10), ends=ends, term="euro"
    )
    against_pyfixest(cell(results), rows, dummies)
    against_brute_force(cell(results), rows, dummies)
