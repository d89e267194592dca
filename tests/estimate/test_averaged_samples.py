"""Averages over cohorts in samples without cities, against jobs on panels without them."""

from __future__ import annotations

from typing import Any

import draw_worlds as worlds
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pytest
import reference
from strategies import COHORTS, city_panel, run_panel
from test_sun_abraham import interacted

ESTIMATORS = {"sun_abraham": [-2, 2], "extended_twfe": [0, 2]}
EXACT = 1e-8
PAIRS = {"exclude": "both_treated"}


def estimates(frame: pd.DataFrame, model: dict[str, Any], **blocks: Any) -> pd.Series:
    """Coefficients by term."""
    found = run_panel(frame, model=model, **{"pairs": PAIRS, "controls": {}, **blocks}).estimates
    return found.drop_duplicates("term").set_index("term")["estimate"]


def jackknife_of_jobs(frame: pd.DataFrame, model: dict[str, Any], groups: pd.Series) -> pd.Series:
    """The jackknife's errors from a job on the panel without each group of cities."""
    model = {**model, "errors": ["pair"]}
    whole = estimates(frame, model)
    steps = [estimates(frame[groups != group], model) - whole for group in sorted(groups.unique())]
    squares = sum(step.reindex(whole.index) ** 2 for step in steps)
    return np.sqrt((len(steps) - 1) / len(steps) * squares)


def grouped_panel() -> pd.DataFrame:
    """Of the cohorts one is one city; kinds of cities of which some pairs are few."""
    frame = city_panel(3, 14)
    cities = sorted(frame["city"].unique())
    adopted = dict.fromkeys(cities, np.nan)
    adopted |= dict(zip(cities[:5], [COHORTS[0]] + [COHORTS[1]] * 4, strict=True))
    kind = dict(zip(cities, "aabbbccdeabbcc", strict=True))
    return frame.assign(pilot_year=frame["city"].map(adopted), kind=frame["city"].map(kind))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_refit_drops_the_rows_that_are_alone_without_the_city(estimator: str) -> None:
    """Effects of pairs of kinds by year: without some cities, rows of others are alone in a level."""
    frame = grouped_panel()
    model = {
        "estimator": estimator,
        "window": ESTIMATORS[estimator],
        "fixed_effects": ["pair", "kind-pair x year"],
    }
    found = run_panel(frame, model={**model, "errors": ["jackknife"]}, pairs=PAIRS, controls={})
    expected = jackknife_of_jobs(frame, model, frame["city"])
    error = found.estimates.set_index("term")["std_error"]
    assert found.manifest["counts"][0]["singletons"]
    np.testing.assert_allclose(error, expected[error.index], rtol=EXACT)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_block_that_has_a_whole_cohort_takes_it_along_and_is_told(estimator: str) -> None:
    frame = grouped_panel()
    model = {"estimator": estimator, "window": ESTIMATORS[estimator]}
    blocks = frame["city"].map(
        dict(zip(sorted(frame["city"].unique()), "xyyyyzzzxxzzxx", strict=True))
    )  # the other cohort is all of y
    frame = frame.assign(block=blocks)
    found = run_panel(
        frame, model={**model, "errors": [{"block_jackknife": {"by": "block"}}]}, pairs=PAIRS, controls={}
    )
    error = found.estimates.set_index("term")["std_error"]
    np.testing.assert_allclose(error, jackknife_of_jobs(frame, model, blocks)[error.index], rtol=EXACT)
    told = [text for text in found.manifest["warnings"] if "has a whole cohort behind policy" in text]
    assert len(told) == 1
    assert "block_jackknife:block" in told[0]


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("effects", [["pair", "year"], ["pair", "kind x year"]])
def test_a_class_without_a_cohort_is_the_panel_of_its_cities(estimator: str, effects: list[str]) -> None:
    frame = grouped_panel().assign(kind="one")
    first = sorted(frame["city"].unique())[0]  # all of the first cohort
    frame["is_other"] = (frame["city"] != first).astype(float)
    model = {
        "estimator": estimator,
        "window": ESTIMATORS[estimator],
        "fixed_effects": effects,
        "errors": ["pair"],
    }
    split = {**PAIRS, "split": {"by": "is_other", "rule": "indicator", "pairs": "high"}}
    of_class = estimates(frame, model, pairs=split)
    of_panel = estimates(frame[frame["city"] != first], model)
    assert len(of_panel) > 2
    np.testing.assert_allclose(of_class, of_panel[of_class.index], rtol=EXACT)


def test_influence_through_shares_is_the_derivative_by_the_weight_of_a_citys_rows() -> None:
    frame, window = worlds.panel(), (-2, 1)
    model = {"estimator": "sun_abraham", "window": list(window), "errors": ["dyadic"]}
    fit = worlds.first_pass(frame, model=model).results[0].fit
    long, _ = oracle.relabelled(worlds.oracle_grid(frame), worlds.observed_adoption(frame))
    adopted = long[["adoption_i", "adoption_j"]].min(axis=1)
    rows, names, weights = interacted(long, ["edu", "dense"], window, adopted)
    values = reference.estimate(rows, names).coefficients
    count, step = rows[names].sum().to_numpy(), 1e-6
    cities = sorted(frame["city"].unique())
    for place, time in enumerate(weights, start=2):
        member = weights[time] > 0
        for number, city in enumerate(cities):
            of_city = rows[(rows[["city_i", "city_j"]] == city).any(axis=1)][names].sum().to_numpy()
            average, lighter = (
                np.average(values[member], weights=(count - less * of_city)[member]) for less in (0.0, step)
            )
            assert fit.share_influence is not None
            np.testing.assert_allclose(
                fit.share_influence[number, place], (average - lighter) / step, rtol=1e-4, atol=1e-8
            )
    of_pairs = fit.city_first + fit.city_second
    np.testing.assert_allclose(fit.city_influence - of_pairs, fit.share_influence)
