"""Imputation against literal two-stage moment conditions, refits, double sums, extended regressions and pyfixest."""

from __future__ import annotations

import importlib
from functools import cache, partial, partialmethod
from pathlib import Path
from typing import Any

import draw_worlds as worlds
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pyfixest
import pytest
from literal_imputation import PAIR, literal_imputation, literal_interaction, literal_jackknife, usable
from pyfixest.demeaners import LsmrDemeaner
from strategies import run_panel
from tolerances import BRUTE, PEER

import engine
from engine.errors import InputError
from engine.estimate.imputed_fit import EventRows, WindowSums, fit_imputation
from engine.estimate.terms import Term
from engine.infer.wald import wald
from engine.pairs.moments import Layout

DF_HET = Path(__file__).parents[3] / "shared" / "data" / "oracles" / "df_het.parquet"
ERRORS = ["pair", "city", "dyadic", "jackknife"]
CONTROLS = ["edu", "dense"]
NO_SCREEN: dict[str, Any] = {"exclude": "both_treated"}
EITHER: dict[str, Any] = {
    "pairs": {"exclude": "none"},
    "treatment": {"adoption": "pilot_year", "rule": "either"},
}
TIGHTEST = LsmrDemeaner(fixef_atol=1e-14, fixef_btol=1e-14, fixef_maxiter=10_000)
PEER_OF_UNITS = 5e-7
"""Of figures that are known to six digits."""


def model(window: tuple[int, int] = (-3, 9), **keys: Any) -> dict[str, Any]:
    return {"estimator": "imputation", "window": list(window), "errors": ERRORS, **keys}


@cache
def three_cohorts(n_never: int = 7, *, holes: bool = False) -> pd.DataFrame:
    """Years 2010 to 2017; cohorts of 2013, 2015 and 2016."""
    frame = worlds.panel(5, holes=holes)
    years = np.resize([2013, 2015, 2015, 2016, 2013, 2015, 2016, 2013, 2016], worlds.N_CITIES - n_never)
    codes = np.concatenate([years, np.full(n_never, np.nan)])
    codes = np.random.default_rng(1).permutation(codes)
    return frame.assign(pilot_year=np.repeat(codes, frame["year"].nunique()))


def pair_years(frame: pd.DataFrame, *, rule: str = "exactly_one", exclude: bool = True) -> pd.DataFrame:
    long, _ = oracle.relabelled(
        worlds.oracle_grid(frame, gravity=False),
        worlds.observed_adoption(frame),
        rule=rule,
        exclude=exclude,
    )
    return long.assign(adopted=long[["adoption_i", "adoption_j"]].min(axis=1))


def covariance(results: engine.Results, errors: str, terms: list[str]) -> np.ndarray:
    rows = results.frames["covariance"]
    rows = rows[rows["errors"] == errors]
    return rows.pivot(index="term", columns="other", values="covariance").loc[terms, terms].to_numpy()


def check(
    results: engine.Results, long: pd.DataFrame, columns: list[str], leads: list[int], last: int = 9
) -> None:
    """Values, sizes and covariances under every type that the estimator has."""
    long = usable(long, columns)
    arguments = columns, leads, last
    literal = literal_imputation(long, *arguments)
    terms = list(literal.coefficients.index)
    assert list(dict.fromkeys(results.estimates["term"])) == terms
    rows = results.estimates.drop_duplicates("term").set_index("term")
    np.testing.assert_allclose(rows["estimate"], literal.coefficients, rtol=BRUTE, atol=BRUTE)
    sizes = (literal.n_obs, len(literal.influences), len(literal.cities))
    assert tuple(rows.iloc[0][["n_obs", "n_pairs", "n_units"]]) == sizes
    expected = {
        "pair": literal.pair(),
        "dyadic": literal.dyadic(),
        "jackknife": literal_jackknife(literal, long, *arguments),
    }
    two_way = literal.two_way()
    if (np.diag(two_way) > 0).all():
        expected["city"] = two_way
    for errors, matrix in expected.items():
        if errors == "dyadic" and (np.diag(matrix) <= 0).any():
            continue
        np.testing.assert_allclose(
            covariance(results, errors, terms), matrix, rtol=0, atol=BRUTE * matrix.max(), err_msg=errors
        )


@pytest.mark.parametrize(("controls", "last"), [([], 9), (CONTROLS, 1)])
@pytest.mark.parametrize("holes", [False, True])
def test_against_two_stages_on_rows(controls: list[str], last: int, holes: bool) -> None:
    frame = three_cohorts(holes=holes)
    results = run_panel(frame, model=model((-3, last), controls=controls), pairs=NO_SCREEN)
    check(results, pair_years(frame), controls, [-3, -2, -1], last)


def test_where_everyone_adopts_rows_end_before_the_last_cohort_which_has_no_leads() -> None:
    frame = three_cohorts(n_never=0)
    results = run_panel(frame, model=model((-2, 9)), **EITHER)
    long = pair_years(frame, rule="either", exclude=False)
    long = long[long["year"] < 2016].assign(adopted=long["adopted"].where(long["adopted"] < 2016, np.inf))
    check(results, long, CONTROLS, [-2, -1])


def test_a_window_that_reaches_back_has_the_first_event_year_as_reference() -> None:
    frame = three_cohorts()
    results = run_panel(frame, model=model((-9, 0), controls=["edu"]), pairs=NO_SCREEN)
    check(results, pair_years(frame), ["edu"], [-5, -4, -3, -2, -1], 0)


def test_a_lag_moves_treatment_and_controls() -> None:
    frame = three_cohorts()
    results = run_panel(frame, model=model((-2, 9), lag=1), pairs=NO_SCREEN)
    long = pair_years(frame).sort_values([*PAIR, "year"])
    long[CONTROLS] = long.groupby(PAIR)[CONTROLS].shift(1)
    long = long[long["year"] > long["year"].min()]
    check(results, long.assign(adopted=long["adopted"] + 1), CONTROLS, [-2, -1])


def test_rows_outside_the_window_are_dropped() -> None:
    frame = three_cohorts()
    results = run_panel(frame, model=model((-2, 1), ends="drop", controls=["dense"]), pairs=NO_SCREEN)
    long = pair_years(frame)
    event = long["year"] - long["adopted"]
    check(results, long[event.between(-2, 1) | np.isinf(event)], ["dense"], [-1])


@pytest.mark.parametrize("rule", ["exactly_one", "either", "both"])
@pytest.mark.parametrize(("controls", "last"), [([], 9), (CONTROLS, 1)])
@pytest.mark.parametrize("holes", [False, True])
def test_the_default_error_against_dense_algebra(
    rule: str, controls: list[str], last: int, holes: bool
) -> None:
    frame = three_cohorts(holes=holes)
    exclude = "both_treated" if rule == "exactly_one" else "none"
    blocks = {"pairs": {"exclude": exclude}, "treatment": {"adoption": "pilot_year", "rule": rule}}
    keys = {"controls": controls, "errors": ["dyadic_cr2"]}
    estimates = run_panel(frame, model=model((-3, last), **keys), **blocks).estimates
    long = pair_years(frame, rule=rule, exclude=exclude != "none")
    if rule == "both":
        long["adopted"] = long[["adoption_i", "adoption_j"]].max(axis=1)
    long = usable(long, controls)
    variance, dof = literal_interaction(long, controls, [-3, -2, -1], last, takes_both=rule == "both")
    np.testing.assert_allclose(estimates["std_error"], np.sqrt(variance), rtol=BRUTE)
    np.testing.assert_allclose(estimates["dof"], dof, rtol=BRUTE)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_extended_regression_without_controls_and_holes(seed: int) -> None:
    """Values, and errors by pair and city but for the part of the cohorts' shares, which that takes as fixed."""
    frame = worlds.panel(seed)
    blocks = {"window": [-2, 9], "errors": ["jackknife"]}
    for controls in ([], CONTROLS):
        values = []
        for estimator in ("imputation", "extended_twfe"):
            found = run_panel(frame, model={"estimator": estimator, "controls": controls, **blocks}).estimates
            found = found.set_index("term").filter(regex=r"\[\+", axis=0)
            values.append(found[["estimate", "std_error"]].to_numpy())
        if controls:
            assert np.abs(values[0] - values[1]).max() > 1e-4
        else:
            np.testing.assert_allclose(values[0], values[1], rtol=1e-10)


def test_against_two_stages_of_pyfixest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values, and Gardner's errors by pair, to which the peer adds no factor.

    Its first stage leaves out pairs with a single untreated row, so that panels with gaps are compared with literal
    sums alone; and it stops at 1e-6 unless told otherwise.
    """
    stages = importlib.import_module("pyfixest.did.did2s")
    monkeypatch.setattr(stages, "feols", partial(stages.feols, demeaner=TIGHTEST))
    monkeypatch.setattr(stages.Feols, "fixef", partialmethod(stages.Feols.fixef, atol=1e-14, btol=1e-14))
    frame = three_cohorts()
    long = usable(pair_years(frame), CONTROLS)
    event = (long["year"] - long["adopted"]).where(np.isfinite(long["adopted"]), -1)
    names = [f"e{time:.0f}" for time in sorted(set(event[event >= 0]))]
    data = long.assign(
        unit=long.groupby(PAIR).ngroup(),
        treated=(event >= 0).astype(int),
        **{name: (event == float(name[1:])).astype(float) for name in names},
    ).reset_index(drop=True)
    results = run_panel(frame, model=model(errors=["pair"]), pairs=NO_SCREEN)
    rows = results.estimates.set_index("term")
    literal = literal_imputation(long, CONTROLS, [-3, -2, -1], 9)
    factor = literal.factor(len(literal.influences))
    for second, expected in (
        (["treated"], ["simple"]),
        (names, [f"policy[+{name[1:]}]" for name in names]),
    ):
        fit = pyfixest.did2s(
            data,
            yname="y",
            first_stage=f"~ {' + '.join(CONTROLS)} | unit + year",
            second_stage=f"~ 0 + {' + '.join(second)}",
            treatment="treated",
            cluster="unit",
        )
        np.testing.assert_allclose(rows.loc[expected, "estimate"], fit.coef()[second], rtol=PEER)
        errors = rows.loc[expected, "std_error"] / np.sqrt(factor)
        np.testing.assert_allclose(errors, fit.se()[second], rtol=PEER)


@pytest.mark.realdata
@pytest.mark.skipif(not DF_HET.exists(), reason="the panel df_het lies beside the project and is absent")
def test_the_panel_of_did2s_by_state() -> None:
    """1,500 units, each a pair of a city of its own: 2.230482 (0.024709) of the R package and of pyfixest."""
    frame = pd.read_parquet(DF_HET)
    wide = frame.pivot(index="unit", columns="year", values="dep_var")
    y, years = wide.to_numpy(), wide.columns.to_numpy()
    first = frame.groupby("unit")[["g", "state"]].first().loc[wide.index]
    adopted = first["g"].where(first["g"] > 0, np.inf).fillna(np.inf).to_numpy()
    cohorts = np.unique(adopted)
    untreated = (years < cohorts[:, None]).astype(float)
    kind = np.searchsorted(cohorts, adopted)
    window = untreated[kind]
    deviations = y - (window * y).sum(axis=1, keepdims=True) / window.sum(axis=1, keepdims=True)
    counts = np.tile([1.0, len(years), 0.0, 0.0], (len(y), 1))
    squares = (window * deviations**2).sum(axis=1, keepdims=True)
    by_city = np.zeros((2, len(y), len(cohorts), 5 + len(years)))
    by_city[0, np.arange(len(y)), kind] = np.concatenate([counts, deviations, squares], axis=1)
    sums = WindowSums(Layout(len(years), 1, balanced=True), untreated, by_city)
    events = EventRows((Term("treated", 0, 0),), (1.0 - untreated)[:, :, None])
    estimate = fit_imputation(sums, (), [], Term("simple", 0), events).estimate
    by_state = pd.DataFrame(estimate.city_first).groupby(first["state"].to_numpy()).sum()
    np.testing.assert_allclose(estimate.values[0], 2.230482, atol=PEER_OF_UNITS)
    np.testing.assert_allclose(np.sqrt((by_state[0] ** 2).sum()), 0.024709, atol=PEER_OF_UNITS)


def test_leads_are_tested_together() -> None:
    frame = three_cohorts()
    results = run_panel(frame, model=model(errors=["pair"]), pairs=NO_SCREEN)
    joint = results.frames["joint"].set_index("test").loc["before adoption"]
    literal = literal_imputation(pair_years(frame), CONTROLS, [-3, -2, -1], 9)
    names = ["policy[-3]", "policy[-2]", "policy[-1]"]
    places = [literal.coefficients.index.get_loc(name) for name in names]
    matrix = literal.pair()[np.ix_(places, places)]
    expected = wald(literal.coefficients[names].to_numpy(), matrix, len(literal.influences) - 1)
    np.testing.assert_allclose(joint["statistic"], expected.statistic, rtol=1e-8)
    np.testing.assert_allclose(joint["p_value"], expected.p_value, rtol=1e-6)
    assert results.event_study is not None
    assert results.event_study["event_time"].tolist() == [-3, -2, -1, 0, 1, 2, 3, 4]


@pytest.mark.parametrize("estimator", ["imputation", "extended_twfe"])
def test_cells_that_drop_other_rows_have_passes_of_their_own(estimator: str) -> None:
    blocks = {"estimator": estimator, "window": [-2, 1], "controls": [], "errors": ["pair"]}
    swept = run_panel(three_cohorts(), model=blocks, pairs=NO_SCREEN, sweep={"model.ends": ["bin", "drop"]})
    for ends, rows in swept.estimates.groupby("model.ends"):
        alone = run_panel(three_cohorts(), model={**blocks, "ends": ends}, pairs=NO_SCREEN).estimates
        np.testing.assert_allclose(rows["estimate"], alone["estimate"], rtol=BRUTE)
        assert rows["n_obs"].tolist() == alone["n_obs"].tolist()


def test_effects_of_every_pair_year_are_found_whatever_controls_do_to_treated_rows() -> None:
    """Untreated outcomes follow controls exactly, treated ones do not: the extended regression is mistaken there."""
    frame = three_cohorts()
    long = pair_years(frame)
    truth = np.where(long["year"] >= long["adopted"], 1.0 + 0.3 * (long["year"] - long["adopted"]), 0.0)
    bent = np.where(long["year"] >= long["adopted"], 2.0 * long["edu"], 0.0)
    exact = 0.7 * long["edu"] + long["year"] % 3 + long.groupby(PAIR).ngroup() % 5
    found = literal_imputation(long.assign(y=exact + truth + bent), ["edu"], [], 9)
    treated = long["year"] >= long["adopted"]
    np.testing.assert_allclose(found.coefficients["edu"], 0.7, rtol=1e-9)
    np.testing.assert_allclose(found.coefficients["simple"], (truth + bent)[treated].mean(), rtol=1e-9)


def test_pairs_without_untreated_rows_are_left_out_and_told() -> None:
    frame = three_cohorts()
    city = frame.loc[frame["pilot_year"] == 2013, "city"].iloc[0]
    frame = frame.assign(output=frame["output"].mask((frame["city"] == city) & (frame["year"] < 2013)))
    results = run_panel(frame, model=model((-3, 9), controls=[]), pairs=NO_SCREEN)
    check(results, pair_years(frame), [], [-3, -2, -1])
    (told,) = [text for text in results.manifest["warnings"] if "have no untreated" in text]
    assert "7 pairs" in told


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ({"model": model((-5, -2))}, "the window ends 2 years before adoption"),
        ({"model": model(base=-2)}, "model.base: has no meaning in this job"),
        (
            {"model": model(errors=[{"spatial": {"distance": 300}}])},
            "spatial errors are not defined for estimator imputation",
        ),
        ({"model": model(), "matching": {"unit": "pair"}}, "estimator imputation has no matched samples"),
        (
            {"model": model(errors=[{"block_jackknife": {"by": "province"}}])},
            "block jackknives are not defined for estimator imputation",
        ),
        ({"model": model(fixed_effects=["pair", "province x year"])}, "has the effects .pair, year. only"),
        (
            {"model": model(), "inference": {"bootstrap": {"kind": "wild", "reps": 9}}},
            "inference.bootstrap is not defined for estimator imputation",
        ),
    ],
)
def test_what_it_does_not_have_is_refused(blocks: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_panel(three_cohorts(), **blocks)


def test_a_control_that_untreated_rows_do_not_identify_is_refused() -> None:
    frame = three_cohorts()
    constant_before = frame["schools"].where(frame["year"] >= 2013, 3.0)
    frame = frame[frame["pilot_year"].isin([2013]) | frame["pilot_year"].isna()].assign(
        schools=constant_before
    )
    never = frame["pilot_year"].isna()
    frame.loc[never, "schools"] = 3.0
    with pytest.raises(
        InputError, match="'edu' has no variation left once pair and year effects are removed"
    ):
        run_panel(frame, model=model((-2, 9), controls=["edu"]), pairs=NO_SCREEN)
