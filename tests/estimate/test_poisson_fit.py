"""Poisson fits of rows against pyfixest, literal sums over pairs of pairs, and refits without each unit."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pyfixest
import pytest
from poisson_designs import flows, row_problem
from pyfixest.demeaners import LsmrDemeaner

from engine.errors import InputError
from engine.estimate.absorb import Effect
from engine.estimate.absorbed_fit import RowProblem, leave_out_cities, leave_out_setting, row_fit
from engine.estimate.poisson_fit import (
    PoissonStage,
    poisson_leave_out_units,
    poisson_leave_outs,
    poisson_stage,
)
from engine.estimate.ppml import iteration
from engine.estimate.terms import column_terms
from engine.float64 import double_precision
from engine.infer.errors import covariances, dyadic

PEER = 1e-7
"""Coefficients against pyfixest, whose iteration stops when the deviance changes by 1e-13 of itself and whose demeaning
stops at 1e-14; the deviance is flat at the solution, so that coefficients have half of those digits."""
PEER_ERRORS = 1e-6
"""Errors move with the means, which move with the coefficients."""

TIGHTEST = LsmrDemeaner(fixef_atol=1e-14, fixef_btol=1e-14, fixef_maxiter=10_000)
X = ("x", "z")
DESIGNS: dict[str, dict[str, Any]] = {
    "three effects": {"effects": ("pair", "one_year", "other_year")},
    "weights": {"effects": ("pair", "one_year", "other_year"), "weights": "w"},
    "offset": {"effects": ("pair", "year"), "offset": "log_size"},
    "weights and offset": {"effects": ("one_year", "other_year"), "weights": "w", "offset": "log_size"},
    "many zeros": {"effects": ("pair", "one_year", "other_year"), "zeros": 0.7, "n_units": 12},
    "four effects": {"effects": ("pair", "one_year", "other_year", "group"), "missing": 0.3},
    "undirected": {"effects": ("pair", "year"), "directed": False, "missing": 0.3},
    "complete": {"effects": ("pair", "year"), "directed": False, "missing": 0.0, "zeros": 0.1},
}


def fitted(
    frame: pd.DataFrame, keys: dict[str, Any], regressors: tuple[str, ...] = X
) -> tuple[PoissonStage, Any, pd.DataFrame, int]:
    """Stage and estimate of a design, and the table in the order of its rows."""
    directed = keys.get("directed", True)
    problem, frame, n_units = row_problem(
        frame, regressors, keys["effects"], directed=directed, weights=keys.get("weights")
    )
    offset = frame[keys["offset"]].to_numpy() if "offset" in keys else None
    with double_precision():
        stage = poisson_stage(problem, offset)
        estimate = row_fit(
            stage.working,
            column_terms(regressors),
            n_units=n_units,
            directed=directed,
            both_treated_kept=True,
        )
    return stage, estimate, frame, n_units


def peer(frame: pd.DataFrame, keys: dict[str, Any]) -> Any:
    with warnings.catch_warnings():  # of the rows that it leaves out
        warnings.simplefilter("ignore", UserWarning)
        return pyfixest.fepois(
            f"y ~ {' + '.join(X)} | {' + '.join(keys['effects'])}",
            frame,
            vcov={"CRV1": "pair"},
            weights=keys.get("weights"),
            offset=keys.get("offset"),
            iwls_tol=1e-13,
            iwls_maxiter=200,
            separation_check=["fe", "ir"],
            demeaner=TIGHTEST,
        )


def flows_of(keys: dict[str, Any], seed: int = 3) -> pd.DataFrame:
    options = {name: keys[name] for name in ("directed", "missing", "zeros", "n_units") if name in keys}
    return flows(seed, **options)


@pytest.mark.parametrize("name", DESIGNS)
def test_against_pyfixest(name: str) -> None:
    keys = DESIGNS[name]
    stage, estimate, frame, _ = fitted(flows_of(keys), keys)
    model = peer(frame, keys)
    assert estimate.n_obs == model._N
    np.testing.assert_allclose(estimate.values, model.coef(), rtol=PEER)
    errors = {covariance.kind: covariance.std_error for covariance in covariances(estimate, ["pair", "city"])}
    np.testing.assert_allclose(errors["pair"], model.se(), rtol=PEER_ERRORS)
    theirs = np.diag(model.vcov({"CRV1": "one + other"})._vcov)
    if (theirs > 0).all():
        np.testing.assert_allclose(errors["city"], np.sqrt(theirs), rtol=PEER_ERRORS)
    # Weights have mean one over the rows of the table there, in the deviance over those of the fit.
    scale = frame["w"].mean() * stage.sample.rows.weights.mean() if "weights" in keys else 1.0
    np.testing.assert_allclose(stage.summary.deviance * scale, model.deviance, rtol=1e-9)
    if "weights" not in keys and "offset" not in keys:
        np.testing.assert_allclose(stage.summary.pseudo_r2, model._pseudo_r2, rtol=1e-9)


def test_the_designs_have_separated_rows_singletons_and_few_iterations() -> None:
    stages = [fitted(flows_of(keys), keys)[0] for keys in DESIGNS.values()]
    assert sum(stage.summary.separated > 0 for stage in stages) >= 3
    assert sum(stage.working.absorption.singletons > 0 for stage in stages) >= 1
    assert all(stage.summary.separation_settled for stage in stages)
    assert max(stage.summary.iterations for stage in stages) <= 12


def test_pseudo_r2_by_its_definition() -> None:
    """With weights and offset: against the fit of a constant beside the offset, found by bisection of its score."""
    keys = DESIGNS["weights and offset"]
    stage, _, _, _ = fitted(flows_of(keys), keys)
    outcome, weights = stage.sample.columns[:, -1], stage.sample.rows.weights
    low, high = -50.0, 50.0
    for _ in range(200):
        middle = (low + high) / 2
        score = weights @ (outcome - np.exp(stage.offset + middle))
        low, high = (middle, high) if score > 0 else (low, middle)

    def gain(eta: Any) -> float:
        return float(weights @ (outcome * eta - np.exp(eta)))

    from scipy.special import gammaln

    constant = float(weights @ gammaln(outcome + 1))
    expected = 1 - (gain(stage.eta) - constant) / (gain(stage.offset + low) - constant)
    np.testing.assert_allclose(stage.summary.pseudo_r2, expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["weights", "undirected"])
def test_dyadic_error_is_the_double_sum_over_rows(name: str) -> None:
    """Rows whose pairs share a unit, looked up row by row; scores are those of the likelihood, dummies written out."""
    keys = DESIGNS[name]
    stage, estimate, _, _ = fitted(flows_of(keys), keys)
    rows, outcome = stage.sample.rows, stage.sample.columns[:, -1]
    dummies = [
        (effect.codes[:, None] == np.unique(effect.codes)).astype(float) for effect in stage.sample.effects
    ]
    columns = np.hstack([stage.sample.columns[:, :-1], *dummies])
    mean = np.exp(stage.eta)
    hessian = columns.T @ (columns * (rows.weights * mean)[:, None])
    scores = columns * (rows.weights * (outcome - mean))[:, None]
    assert np.abs(scores.sum(axis=0)).max() < 1e-6 * np.abs(scores).sum(axis=0).max()
    influence = (scores @ np.linalg.pinv(hessian, rcond=1e-12))[:, : len(X)]
    ends = np.stack([rows.first, rows.second], axis=1)
    shares = (ends[:, None, :, None] == ends[None, :, None, :]).any(axis=(2, 3))
    expected = influence.T @ shares @ influence
    n_units, n_obs = estimate.n_units, len(outcome)
    factor = n_units / (n_units - 1) * (n_obs - 1) / (n_obs - estimate.n_parameters_city)
    whole, _ = dyadic.forms(estimate)  # before the guard of variances that are not positive
    np.testing.assert_allclose(whole, expected * factor, rtol=1e-6, atol=1e-8 * np.abs(whole).max())


@pytest.mark.parametrize("name", ["offset", "undirected"])
def test_samples_without_each_unit(name: str) -> None:
    """Refits equal fits of the table without the unit's rows; a step is nearer to them than where it starts.

    Newton's error after a step is of the order of the square of the step: 5 times that, in the units of the largest.
    """
    keys = DESIGNS[name]
    stage, estimate, frame, n_units = fitted(flows_of(keys), keys)
    units = np.arange(n_units)
    with double_precision():
        refits = poisson_leave_out_units(poisson_leave_outs(stage), units)
        settings = leave_out_setting(stage.working, [column_terms(X)])
        steps = leave_out_cities(settings, units).estimates[0]
    assert refits.unconverged == 0
    names = sorted(set(frame["one"]) | set(frame["other"]))
    for unit in units[:2]:
        left = frame[(frame["one"] != names[unit]) & (frame["other"] != names[unit])]
        np.testing.assert_allclose(refits.estimates[0][unit], peer(left, keys).coef(), rtol=1e-6)
    moved = np.abs(refits.estimates[0] - estimate.values).max()
    assert np.abs(refits.estimates[0] - steps).max() < 5 * moved**2


# -- bad input ---------------------------------------------------------------------------------------------


def small(**columns: Any) -> RowProblem:
    problem, _, _ = row_problem(flows(1, n_units=6).assign(**columns), X, ("pair", "year"))
    return problem


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"y": -1.0}, "the outcome is negative in"),
        ({"y": 0.0}, "every outcome is zero"),
    ],
)
def test_outcomes_that_no_mean_can_have(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        poisson_stage(small(**columns))


def test_positive_outcomes_only_in_rows_that_are_left_out() -> None:
    """The one positive row is alone in its pair: without it nothing is left to estimate."""
    frame = flows(1, n_units=6)
    frame = pd.concat(
        [frame.assign(y=0.0), frame.iloc[:1].assign(one="u90", other="u91", pair="u90_u91", y=3.0)]
    )
    problem, _, _ = row_problem(frame.reset_index(drop=True), X, ("pair", "year"))
    with pytest.raises(InputError, match="every outcome is zero but in rows that are alone in a level"):
        poisson_stage(problem)


def test_an_exporter_without_exports_is_left_out() -> None:
    frame = flows(1, n_units=8)
    frame.loc[frame["one"] == "u03", "y"] = 0.0
    keys = DESIGNS["three effects"]
    stage, estimate, _, _ = fitted(frame, keys)
    assert stage.summary.separated_in_levels >= (frame["one"] == "u03").sum() * 0.7
    assert estimate.n_obs == peer(frame, keys)._N
    np.testing.assert_allclose(estimate.values, peer(frame, keys).coef(), rtol=PEER)


def test_a_regressor_that_separates_is_unidentified_by_name() -> None:
    """One that is on only where the outcome is zero: without those rows it does not vary."""
    frame = flows(2, n_units=8)
    frame["z"] = ((frame["y"] == 0) & (frame.index % 2 == 0)).astype(float)
    with double_precision():
        problem, _, n_units = row_problem(frame, X, ("pair", "year"))
        stage = poisson_stage(problem)
    assert stage.summary.separated >= frame["z"].sum() * 0.5
    with pytest.raises(InputError, match="'z' has no variation left"):
        row_fit(stage.working, column_terms(X), n_units=n_units, directed=True, both_treated_kept=True)


def test_every_row_separated_or_alone() -> None:
    frame = flows(2, n_units=5, missing=0.0)
    problem, _, _ = row_problem(frame.assign(y=np.where(frame.index == 7, 1.0, 0.0)), X, ("pair", "year"))
    with double_precision(), pytest.raises(InputError, match="no row is left: each is alone in a level"):
        poisson_stage(problem)


def test_an_iteration_that_does_not_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iteration, "_MOST_ITERATIONS", 2)
    with double_precision(), pytest.raises(InputError, match="did not converge: after 2 iterations"):
        poisson_stage(small())


def test_means_of_very_different_size() -> None:
    """Flows over sixteen orders of magnitude, and a start far from them, still converge."""
    frame = flows(4, n_units=8)
    size = np.random.default_rng(0).normal(scale=4.0, size=8)
    exporter = frame["one"].str[1:].astype(int)
    frame["y"] *= np.exp(size[exporter] + size[frame["other"].str[1:].astype(int)])
    keys = DESIGNS["three effects"]
    stage, estimate, _, _ = fitted(frame, keys)
    np.testing.assert_allclose(estimate.values, peer(frame, keys).coef(), rtol=1e-6)
    assert stage.summary.iterations < 20


def test_halving(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start so far off that a whole step raises the deviance ends at the same coefficients."""
    problem = small()
    with double_precision():
        expected = poisson_stage(problem)
        monkeypatch.setattr(
            iteration,
            "_scaled_to_levels",
            lambda started: np.full(len(started.outcome), np.log(started.outcome.max()) - 12.0),
        )
        stage = poisson_stage(problem)
    assert stage.summary.iterations > expected.summary.iterations
    np.testing.assert_allclose(stage.values, expected.values, rtol=1e-8)


def test_effects_through_both_ends() -> None:
    """Unit x year through either member of an unordered pair, against dummies in a literal Newton iteration."""
    problem, _, _ = row_problem(flows(5, n_units=7, directed=False, zeros=0.1), X, ("pair",), directed=False)
    rows = problem.rows
    codes = np.stack([rows.first, rows.second], axis=1) * 10 + rows.year[:, None]
    pair = problem.effects[0]
    problem = RowProblem(rows, problem.terms, problem.columns, (pair, Effect("unit x year", codes)))
    with double_precision():
        stage = poisson_stage(problem)
    sample = stage.sample
    pairs = (sample.effects[0].codes[:, None] == np.unique(sample.effects[0].codes)).astype(float)
    both = sum((column[:, None] == np.unique(codes)).astype(float) for column in sample.effects[1].codes.T)
    columns, outcome = np.hstack([sample.columns[:, :-1], pairs, both]), sample.columns[:, -1]
    slopes = np.linalg.lstsq(columns, np.log(outcome + outcome.mean() / 10), rcond=None)[0]
    for _ in range(60):
        mean = np.exp(columns @ slopes)
        root = np.sqrt(mean)
        slopes += np.linalg.lstsq(columns * root[:, None], (outcome - mean) / root, rcond=1e-12)[0]
    np.testing.assert_allclose(stage.values, slopes[: len(X)], rtol=1e-8)


@pytest.mark.parametrize("size", [1e14, 1e16])
def test_huge_means_hide_no_steps_of_others(size: float) -> None:
    """Pairs whose regressors stand still tell nothing of the coefficients, whatever their outcomes."""
    frame = flows(4, n_units=7)
    without = fitted(frame, {"effects": ("pair",)})[1].values
    large = frame["pair"].isin(frame["pair"].unique()[:2])
    frame = frame.assign(
        y=np.where(large, size * (1 + frame["y"]), frame["y"]),
        **{name: np.where(large, 1.0, frame[name]) for name in X},
    )
    still = fitted(frame[~large].reset_index(drop=True), {"effects": ("pair",)})[1].values
    assert np.abs(still - without).max() > 1e-3
    np.testing.assert_allclose(fitted(frame, {"effects": ("pair",)})[1].values, still, rtol=1e-9)


def test_outcomes_beside_which_others_are_lost() -> None:
    with pytest.raises(InputError, match="its small values are lost beside the large ones"):
        poisson_stage(small(y=np.where(np.arange(len(flows(1, n_units=6))) == 9, 1e30, 2.0)))


@pytest.mark.parametrize("level", [-1000.0, 1000.0])
def test_the_level_of_an_offset_is_of_the_effects(level: float) -> None:
    frame, keys = flows(3), DESIGNS["offset"]
    moved = frame.assign(log_size=frame["log_size"] + level)
    np.testing.assert_allclose(fitted(moved, keys)[1].values, fitted(frame, keys)[1].values, rtol=1e-9)
