"""Covariances and joint tests of event years, against pyfixest and plain arithmetic."""

from __future__ import annotations

import warnings
from typing import Any

import draw_worlds as worlds
import numpy as np
import oracle_draws as oracle
import pyfixest
import pytest
from scipy import stats
from strategies import run_panel

import engine
from engine.infer.wald import wald

EVENT: dict[str, Any] = {"estimator": "event_study", "base": -1, "window": [-3, 2]}


@pytest.fixture(scope="module")
def results() -> engine.Results:
    return run_panel(worlds.panel(), model=EVENT)


def test_the_matrix_has_the_errors_of_the_estimates(results: engine.Results) -> None:
    estimates, frame = results.estimates, results.frames["covariance"]
    for code, rows in frame.groupby("errors", sort=False):
        matrix = rows.pivot(index="term", columns="other", values="covariance")
        of_code = estimates[estimates["errors"] == code].set_index("term")["std_error"]
        matrix = matrix.loc[of_code.index, of_code.index].to_numpy()
        np.testing.assert_allclose(np.sqrt(np.diag(matrix)), of_code, rtol=1e-12)
        np.testing.assert_allclose(matrix, matrix.T, rtol=1e-9, atol=1e-12 * np.abs(matrix).max())
    assert set(frame["errors"]) == set(estimates["errors"])


def test_tests_are_those_of_the_peer(results: engine.Results) -> None:
    """The pair-clustered one, of leads and of lags, by pyfixest on finished rows."""
    frame = worlds.panel()
    long, terms = oracle.relabelled(
        worlds.oracle_grid(frame), worlds.observed_adoption(frame), rule="exactly_one", event=(-1, (-3, 2))
    )
    names = {term: f"event_{place}" for place, term in enumerate(terms)}
    long = long.rename(columns=names).assign(pair=lambda d: d["city_i"] + d["city_j"])
    regressors = ["edu", "dense", *names.values()]
    model = pyfixest.feols(f"y ~ {' + '.join(regressors)} | pair + year", long, vcov={"CRV1": "pair"})
    tests = results.frames["joint"]
    tests = tests[tests["errors"] == "pair"].set_index("test")
    order = list(model.coef().index)
    for test, is_of in (
        ("before adoption", lambda time: time < 0),
        ("from adoption on", lambda time: time >= 0),
    ):
        chosen = [names[term] for term in terms if is_of(int(term.split("[")[1].rstrip("]")))]
        restrictions = np.array([[float(name == tested) for name in order] for tested in chosen])
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # that some of the coefficients are tested makes it a chi-squared test
            model.wald_test(R=restrictions)
        f = model._wald_statistic / len(chosen)
        assert tests.at[test, "terms"] == len(chosen)
        assert tests.at[test, "statistic"] == pytest.approx(f, rel=1e-8)
        p = stats.f.sf(f, len(chosen), long["pair"].nunique() - 1)
        assert tests.at[test, "p_value"] == pytest.approx(p, rel=1e-6)


def test_the_denominator_has_the_fewest_degrees_of_freedom(results: engine.Results) -> None:
    estimates = results.estimates[results.estimates["errors"] == "dyadic_cr2"].set_index("term")
    tests = results.frames["joint"]
    (dof,) = tests.loc[(tests["errors"] == "dyadic_cr2") & (tests["test"] == "before adoption"), "dof"]
    leads = [term for term in estimates.index if "[-" in term]
    assert dof == pytest.approx(estimates.loc[leads, "dof"].min(), rel=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_wald_by_hand(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_terms, scale = int(rng.integers(1, 5)), 10.0 ** rng.uniform(-9, 9)
    steps = rng.normal(size=(20, n_terms)) * np.geomspace(1, scale, n_terms)
    matrix, values = steps.T @ steps, rng.normal(size=n_terms) * np.geomspace(1, scale, n_terms)
    found = wald(values, matrix, 7.5)
    expected = values @ np.linalg.inv(matrix) @ values / n_terms
    assert found.statistic == pytest.approx(expected, rel=1e-6)
    assert found.p_value == pytest.approx(stats.f.sf(expected, n_terms, 7.5), rel=1e-6)


@pytest.mark.parametrize("matrix", [np.ones((2, 2)), np.diag([1.0, 0.0]), np.full((2, 2), np.nan)])
def test_without_a_variance_there_is_no_test(matrix: np.ndarray[Any, Any]) -> None:
    found = wald(np.array([1.0, 2.0]), matrix, 5.0)
    assert np.isnan([found.statistic, found.p_value]).all()


def test_more_coefficients_than_degrees_of_freedom_are_not_tested() -> None:
    assert np.isnan(wald(np.ones(3), np.eye(3), 2.5).p_value)
    assert np.isfinite(wald(np.ones(3), np.eye(3), 3.0).p_value)


def test_errors_of_few_groups_say_that_they_test_no_event_years_together() -> None:
    """Three provinces have two degrees of freedom, for three leads."""
    model = {
        "estimator": "event_study",
        "window": [-4, 1],
        "errors": ["dyadic", {"block_jackknife": {"by": "province"}}],
    }
    results = run_panel(worlds.panel(), model=model)
    tests = results.frames["joint"].set_index(["errors", "test"])["p_value"]
    assert np.isnan(tests["block_jackknife:province", "before adoption"])
    assert np.isfinite(tests["dyadic", "before adoption"])
    assert any(
        "3 event years are not tested together under block_jackknife:province" in text
        for text in results.manifest["warnings"]
    )


def test_other_estimators_have_no_event_years() -> None:
    results = run_panel(worlds.panel(), model={"errors": ["pair", "dyadic_cr2"]})
    assert "joint" not in results.frames
    assert len(results.frames["covariance"]) == 2 * 3**2


def test_a_replaced_variance_has_no_joint_test() -> None:
    """City sums in place of a variance that is not positive, and covariances that are differences: no one matrix."""
    n_replaced = 0
    for seed in range(12):
        frame = worlds.panel(seed, n_cities=11)
        model = {**EVENT, "errors": ["dyadic", "pair"]}
        results = run_panel(frame, model=model, pairs={"exclude": "both_treated"})
        told = [text for text in results.manifest["warnings"] if "not positive" in text]
        tests = results.frames["joint"]
        of_dyadic = tests[tests["errors"] == "dyadic"].set_index("test")["statistic"]
        for name, sign in (("before adoption", "[-"), ("from adoption on", "[+")):
            if name in of_dyadic and any(f"policy{sign}" in text for text in told):
                n_replaced += 1
                assert np.isnan(of_dyadic[name])
        assert np.isfinite(tests[tests["errors"] == "pair"]["statistic"]).all()
    assert n_replaced
