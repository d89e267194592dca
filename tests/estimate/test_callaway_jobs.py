"""Jobs with effects by cohort and year: frames, filters, sweeps with other estimators, and what is refused."""

from __future__ import annotations

from typing import Any

import draw_worlds as worlds
import literal_cohorts as literal
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pytest
from strategies import PANEL_JOB, run_panel
from tolerances import BRUTE

import engine
from engine.errors import InputError

OPTIONS: dict[str, Any] = {"control": "never", "base_period": "varying", "anticipation": 0}
PAIR: dict[str, Any] = {"estimator": "callaway_santanna", "errors": ["pair"]}
EXACTLY_ONE = {"adoption": "pilot_year", "rule": "exactly_one"}
NO_FILTER: dict[str, Any] = {
    "pairs": {"exclude": "none"},
    "treatment": {"adoption": "pilot_year", "rule": "either"},
}


def run(frame: pd.DataFrame | None = None, **blocks: Any) -> engine.Results:
    blocks = {"controls": {}, "model": PAIR, **blocks}
    return run_panel(worlds.panel() if frame is None else frame, **blocks)


@pytest.fixture(scope="module")
def results() -> engine.Results:
    return run(model={**PAIR, "errors": ["pair", "dyadic"], "options": {"base_period": "universal"}})


def test_averages_and_event_years_are_terms(results: engine.Results) -> None:
    terms = list(dict.fromkeys(results.estimates["term"]))
    assert terms[:4] == ["simple", "group", "calendar", "dynamic"]
    events = [f"policy[{time:+d}]" for time in range(-5, 5) if time != -1]
    assert terms[4:] == events
    assert set(results.estimates["n_adopters"]) == {8.0}
    joint = results.frames["joint"].set_index(["test", "errors"])["terms"]
    assert joint["before adoption", "pair"] == 4
    assert joint["from adoption on", "pair"] == 5


def test_event_study_has_the_universal_base_at_zero_and_the_varying_one_has_none(
    results: engine.Results,
) -> None:
    assert results.event_study is not None
    rows = results.event_study[results.event_study["errors"] == "pair"].set_index("event_time")
    assert rows.index.tolist() == list(range(-5, 5))
    assert (rows.loc[-1, ["estimate", "std_error"]] == 0).all()
    assert results.manifest["cells"][0]["event_study"] == {"base": -1, "window": None, "ends": "drop"}
    early = run(model={**PAIR, "options": {"base_period": "universal", "anticipation": 1}})
    assert early.event_study is not None
    assert early.event_study.set_index("event_time").loc[-2, "std_error"] == 0
    varying = run()
    assert varying.event_study is not None
    assert (varying.event_study["std_error"] > 0).all()
    assert varying.manifest["cells"][0]["event_study"]["base"] is None


def test_cells_average_to_the_terms(results: engine.Results) -> None:
    """Of cells from adoption on, by their pairs; the covariances of cells are those of their own frame."""
    cells = results.frames["group_time"]
    assert set(cells["errors"]) == {"pair", "dyadic"}
    cells = cells[cells["errors"] == "pair"]
    assert sorted(set(zip(cells["cohort"], cells["year"], strict=True))) == [
        (cohort, year) for cohort in (2013, 2015) for year in range(2010, 2018) if year != cohort - 1
    ]
    after = cells[cells["year"] >= cells["cohort"]]
    simple = np.average(after["estimate"], weights=after["n_pairs"])
    estimates = results.estimates[results.estimates["errors"] == "pair"].set_index("term")
    np.testing.assert_allclose(estimates.loc["simple", "estimate"], simple, rtol=1e-12)
    margin = (cells["conf_high"] - cells["conf_low"]) / cells["std_error"] / 2
    np.testing.assert_allclose(margin, 2.014103, rtol=1e-6)  # t(45), 97.5%: 46 pairs
    assert after.groupby("cohort")["n_pairs"].first().sum() < estimates["n_pairs"].iloc[0]


def test_a_sweep_beside_other_estimators_changes_nothing() -> None:
    names = ["twfe", "event_study", "sun_abraham", "extended_twfe", "callaway_santanna"]
    model = {"errors": ["pair"], "options": {"control": "not_yet"}}
    swept = run(model=model, sweep={"model.estimator": names})
    alone = run(model={**PAIR, "options": {"control": "not_yet"}})
    columns = ["term", "estimate", "std_error", "dof", "n_obs"]
    rows = swept.estimates[swept.estimates["estimator"] == "callaway_santanna"][columns]
    pd.testing.assert_frame_equal(rows.reset_index(drop=True), alone.estimates[columns])
    assert set(swept.frames["group_time"]["model.estimator"]) == {"callaway_santanna"}


@pytest.mark.slow
def test_many_cells_of_one_pass_have_the_errors_of_one() -> None:
    """More than sixteen cells take products of pair statistics in place of a second pass."""
    levels = [round(0.6 + 0.01 * number, 2) for number in range(18)]
    model = {**PAIR, "errors": ["pair", "dyadic_cr2"]}
    many = run(model=model, sweep={"model.confidence": levels}).estimates
    alone = run(model=model).estimates
    for _, rows in many.groupby("cell"):
        np.testing.assert_allclose(rows["std_error"], alone["std_error"], rtol=1e-9)


def pair_table(frame: pd.DataFrame, shift: int = 0) -> tuple[np.ndarray[Any, Any], ...]:
    """Years, shifted adoption years of pairs, and outcomes, of the design of `strategies.PANEL_JOB`."""
    long, _ = oracle.relabelled(worlds.oracle_grid(frame), worlds.observed_adoption(frame))
    long = long.assign(adopted=long[["adoption_i", "adoption_j"]].min(axis=1) + shift)
    wide = long.pivot(index=["city_i", "city_j", "adopted"], columns="year", values="y")
    return wide.columns.to_numpy(), wide.index.get_level_values("adopted").to_numpy(), wide.to_numpy()


@pytest.mark.parametrize(
    ("treatment", "shift", "since"),
    [
        pytest.param({"around": 2}, 0, range(-1, 3), id="around"),
        pytest.param(
            {"shift": -2, "drop_treated": True}, -2, range(-9, 2), id="false timing", marks=pytest.mark.slow
        ),
    ],
)
def test_filters_leave_the_cells_that_have_rows(treatment: dict[str, Any], shift: int, since: range) -> None:
    frame = worlds.panel()
    found = run(frame, treatment={**EXACTLY_ONE, **treatment}).estimates.set_index("term")["estimate"]
    years, adopted, y = pair_table(frame, shift)
    effects = literal.cells(years, adopted, y, np.ones(len(y)), **OPTIONS)
    effects = {(g, t): value for (g, t), value in effects.items() if t - g in since}
    size = {g: (adopted == g).sum() for g, _ in effects}
    expected = literal.averages(effects, size)
    assert found.index.tolist() == list(expected)
    np.testing.assert_allclose(found, list(expected.values()), rtol=0, atol=BRUTE)


@pytest.mark.parametrize("gap", [2011, 2012])
@pytest.mark.parametrize("base_period", ["varying", "universal"])
def test_a_year_without_rows_is_no_base_and_draws_go_on(gap: int, base_period: str) -> None:
    """The year before a cohort adopts may be missing: its base is the last year that it has."""
    frame = worlds.panel()
    frame = frame[frame["year"] != gap]
    options = {"base_period": base_period}
    results = run(
        frame,
        model={**PAIR, "options": options},
        panel={"source": "cities.parquet", "balance": "keep"},
        inference={"permutation": {"reps": 9}, "bootstrap": {"kind": "node", "reps": 9}},
    )
    years, adopted, y = pair_table(frame)
    effects = literal.cells(
        years, adopted, y, np.ones(len(adopted)), control="never", base_period=base_period, anticipation=0
    )
    size = {cohort: float((adopted == cohort).sum()) for cohort, _ in effects}
    expected = literal.averages(effects, size)
    values = results.estimates.set_index("term")["estimate"]
    for name in ("simple", "group", "calendar", "dynamic"):
        np.testing.assert_allclose(values[name], expected[name], rtol=1e-9, atol=1e-12)
    drawn = results.inference[results.inference["method"].isin(["permutation", "node"])]
    assert len(drawn)
    assert (drawn["reps"] > 0).all()


def test_a_cohort_that_the_screen_removes_has_no_cells() -> None:
    """Its cities are so small that none of their pairs is above the median force; without it the job is the same."""
    frame = worlds.panel()
    small = frame["city"].isin(frame.loc[frame["pilot_year"] == 2013, "city"])
    frame["population"] = frame["population"].where(~small, 1e-12)
    results = run(frame)
    assert set(results.frames["group_time"]["cohort"]) == {2015}
    assert results.estimates["estimate"].notna().all()


def test_a_cohort_of_one_city_is_told_where_cities_are_left_out() -> None:
    frame = worlds.panel()
    late = frame.loc[frame["pilot_year"] == 2015, "city"].unique()[1:]
    frame["pilot_year"] = frame["pilot_year"].mask(frame["city"].isin(late), 2013)
    model = {**PAIR, "errors": ["jackknife"]}
    results = run(frame, model=model)
    text = "every pair of the cohorts 2015 has one city in common: without it they have no weight"
    assert any(text in warning for warning in results.manifest["warnings"])
    errors = results.estimates.set_index("term")["std_error"]
    assert errors[["simple", "group", "calendar", "dynamic"]].notna().all()
    assert not any(text in warning for warning in run(frame).manifest["warnings"])


def test_multiplier_draws_are_of_the_averages() -> None:
    results = run(inference={"bootstrap": {"kind": "multiplier", "reps": 99}})
    spread = results.inference.query("method == 'bootstrap_se'").set_index("term")["statistic"]
    node = results.inference.query("method == 'target_se_node'").set_index("term")["statistic"]
    assert {"simple", "dynamic", "policy[+0]"} <= set(spread.index)
    assert (spread / node).between(0.7, 1.3).all()


def everyone(year: float) -> pd.DataFrame:
    frame = worlds.panel()
    return frame.assign(pilot_year=frame["pilot_year"].fillna(year))


def always() -> pd.DataFrame:
    frame = worlds.panel()
    return frame.assign(pilot_year=frame["pilot_year"].replace(2013, 2010))


def without_reference() -> pd.DataFrame:
    """Never-treated cities are so small that the screen leaves only pairs with an adopter."""
    frame = worlds.panel()
    large = frame["pilot_year"].notna()
    return frame.assign(
        population=np.where(large, 1e12, 1e-12), latitude=frame["latitude"].where(large, 44.0)
    )


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "controls": (None, {"controls": PANEL_JOB["controls"]}, "has no controls; set model.controls: "),
    "a lag": (None, {"model": {**PAIR, "lag": 1}}, "has no lag; treatment.shift moves"),
    "effects": (
        None,
        {"model": {**PAIR, "fixed_effects": ["pair", "year", "distance:2 x year"]}},
        r"has the effects \[pair, year\] only",
    ),
    "matching": (
        None,
        {"controls": PANEL_JOB["controls"], "model": {**PAIR, "controls": []}, "matching": {"unit": "pair"}},
        "has no matched samples",
    ),
    "spatial errors": (
        None,
        {"model": {**PAIR, "errors": [{"spatial": {"distance": 500}}]}},
        "spatial errors are not defined for estimator callaway_santanna",
    ),
    "a window": (None, {"model": {**PAIR, "window": [-2, 2]}}, "model.window: has no meaning in this job"),
    "a base year": (None, {"model": {**PAIR, "base": -2}}, "model.base: has no meaning in this job"),
    "options of another": (
        None,
        {"model": {"estimator": "twfe", "options": {"control": "never"}}},
        "model.options: has no meaning in this job: it is for estimators callaway_santanna, stacked, ",
    ),
    "missing rows": (lambda: worlds.panel(1, holes=True), {}, "differ in their observed years"),
    "anticipation": (
        None,
        {"model": {**PAIR, "options": {"anticipation": 9}}},
        "model.options.anticipation: pairs that adopt in 2013 are not observed before 2004",
    ),
    "anticipation and around": (
        None,
        {
            "treatment": {**EXACTLY_ONE, "around": 1},
            "model": {**PAIR, "options": {"anticipation": 1}},
        },
        "pairs that adopt in 2013 are not observed before 2012, when effects may begin",
    ),
    "none never treated": (
        lambda: everyone(2016),
        NO_FILTER,
        "model.options.control: no pair of the sample is",
    ),
    "one cohort": (
        lambda: worlds.panel().assign(pilot_year=2014.0),
        {**NO_FILTER, "model": {**PAIR, "options": {"control": "not_yet"}}},
        "every pair of the sample is of one cohort",
    ),
    "no effect before the last": (
        lambda: everyone(2014).assign(pilot_year=lambda table: table["pilot_year"].replace(2015, 2014)),
        {**NO_FILTER, "model": {**PAIR, "options": {"control": "not_yet", "anticipation": 1}}},
        "no pair is observed after adoption beside one that is not treated yet",
    ),
    "always treated": (always, {}, "pairs that adopt in 2010 are not observed before they do"),
    "no reference": (without_reference, {}, "the filters of pairs leave none that is never treated"),
    "terms of the table": (None, {"table": {"keep": ["nonsense"]}}, "leave no term"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_estimated_is_refused(name: str) -> None:
    frame, blocks, message = REFUSED[name]
    with pytest.raises(InputError, match=message):
        run(None if frame is None else frame(), **blocks)
