"""Iteratively reweighted least squares, each step on the absorption engine.

At means mu = exp(eta) Newton's step regresses (y - mu) / mu on regressors and effects, with weights w mu: the fitted
values are the change of eta. Eta is in their span from the start, so that only its change is fitted and a step costs
no digits; regressors stay without the effects of the last weights, which is near what the next weights leave. A step
that raises the deviance is halved. The absorption's tolerance follows the square of the step, as errors of Newton's
method do. Source: Correia, Guimaraes and Zylkin (2020), Stata Journal 20(1), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engine.arrays import Array, check_shape
from engine.estimate.absorb import AbsorptionPlan, absorb
from engine.estimate.ppml.likelihood import deviance

_STEP = 1e-8  # of eta, root mean square by mu: the error that it leaves is of the order of its square
_LARGEST_STEP = 1e-4  # of any row's eta: huge means hide in their mean square what small ones still move
_LOOSEST, _TIGHTEST = 1e-4, 1e-12  # tolerances of the absorption
_ENOUGH = 1e-10  # tolerance at which a step may be the last
_MOST_ITERATIONS, _MOST_HALVINGS = 100, 12
_SWEEPS = 5  # over the effects before the first step
_RISE = 1e-10  # of the deviance, relative: rounding
_LARGEST = 300.0  # of eta, either sign: means that can still be squared
_DEPENDENT = 1e-12  # eigenvalue, relative, of regressors that depend on each other; they are refused later


@dataclass(frozen=True)
class PoissonProblem:
    """Rows without singletons and without separated ones.

    Attributes
    ----------
    outcome : float64 ``[n_rows]``
        From zero up.
    regressors : float64 ``[n_rows, K]``
    plan : AbsorptionPlan
        Of the effects; it keeps every row, and its weights are replaced.
    weights, offset : float64 ``[n_rows]``
    """

    outcome: Array
    regressors: Array
    plan: AbsorptionPlan
    weights: Array
    offset: Array

    def __post_init__(self) -> None:
        n_rows = len(self.outcome)
        check_shape("regressors", self.regressors, (n_rows, None))
        check_shape("weights", self.weights, (n_rows,))
        check_shape("offset", self.offset, (n_rows,))


@dataclass(frozen=True)
class PoissonSolution:
    """Where the iteration ended.

    Attributes
    ----------
    values : float64 ``[K]``
    eta, mean : float64 ``[n_rows]``
        Linear predictor, offset included, and its exponential.
    deviance : float
    iterations : int
    step : float
        Root mean square of the last change of eta, by mean.
    largest_change : float
        The largest last change of any row's eta.
    converged : bool
        ``step`` and ``largest_change`` are below their tolerances, and the effects were absorbed as closely.
    """

    values: Array
    eta: Array
    mean: Array
    deviance: float
    iterations: int
    step: float
    largest_change: float
    converged: bool


@dataclass(frozen=True)
class _Iterate(PoissonSolution):
    """A solution on the way.

    ``residuals`` ``[n_rows, K]`` differ from the regressors by effects, eta from offset and regressors times values;
    ``tolerance`` of the next absorption.
    """

    residuals: Array
    tolerance: float


def solve_poisson(problem: PoissonProblem, start: tuple[Array, Array] | None = None) -> PoissonSolution:
    """Iterate to the estimate; whether it converged is a value of the result.

    Parameters
    ----------
    problem : PoissonProblem
    start : (float64 ``[K]``, float64 ``[n_rows]``), optional
        Coefficients and eta of a solution of more rows; by default means that are scaled to the levels' sums.
    """
    values, eta = start or (np.zeros(problem.regressors.shape[1]), _scaled_to_levels(problem))
    state = _state_at(problem, values, eta)
    while state.iterations < _MOST_ITERATIONS and not state.converged:
        following = _next(problem, state)
        if following is None:
            break
        state = following
    return state


def _scaled_to_levels(problem: PoissonProblem) -> Array:
    """Eta of effects alone, nearly: means scaled to the sum of the outcome in every level, one effect after another.

    Rows with small means start near them; from means that are too large Newton's method comes down by one a step.
    """
    outcome, weights = problem.outcome * problem.weights, problem.weights
    eta = problem.offset - problem.offset.max()  # the effects have the level
    eta = eta + np.log(outcome.sum() / (weights @ np.exp(eta)))
    for _ in range(_SWEEPS):
        for effect in problem.plan.effects:
            mean, codes = weights * np.exp(eta), effect.codes
            sums = [
                sum(np.bincount(column, values, effect.size) for column in codes.T)
                for values in (outcome, mean)
            ]
            ratio = np.divide(sums[0], sums[1], out=np.ones(effect.size), where=(sums[0] > 0) & (sums[1] > 0))
            eta = eta + np.log(ratio)[codes].sum(axis=1) / effect.members
    return np.asarray(np.clip(eta, -_LARGEST, _LARGEST))


def _state_at(problem: PoissonProblem, values: Array, eta: Array) -> _Iterate:
    mean = np.exp(eta)
    return _Iterate(
        values=values,
        eta=eta,
        mean=mean,
        deviance=deviance(problem.outcome, mean, problem.weights),
        iterations=0,
        step=np.inf,
        largest_change=np.inf,
        converged=False,
        residuals=problem.regressors,
        tolerance=_LOOSEST,
    )


def _next(problem: PoissonProblem, state: _Iterate) -> _Iterate | None:
    """One step of Newton's method; None where no part of it lowers the deviance."""
    working = problem.outcome / state.mean - 1.0
    weights = problem.weights * state.mean
    plan = problem.plan.reweighted(weights)
    absorbed = absorb(np.column_stack([state.residuals, working]), plan, tolerance=state.tolerance)
    residuals, left = absorbed.residuals[:, :-1], absorbed.residuals[:, -1]
    slopes = least_squares(residuals, left, weights)
    change = working - (left - residuals @ slopes)
    share, n_halvings = 1.0, 0
    while True:
        eta = np.clip(state.eta + share * change, -_LARGEST, _LARGEST)
        mean = np.exp(eta)
        new_deviance = deviance(problem.outcome, mean, problem.weights)
        limit = state.deviance + _RISE * (abs(state.deviance) + weights.sum())
        if new_deviance <= limit:
            break
        if n_halvings == _MOST_HALVINGS:
            return None
        share, n_halvings = share / 2, n_halvings + 1
    step, largest_change = float(np.sqrt(weights @ change**2 / weights.sum())), float(np.abs(change).max())
    return replace(
        state,
        values=state.values + share * slopes,
        eta=eta,
        mean=mean,
        deviance=new_deviance,
        residuals=np.array(residuals),
        tolerance=float(np.clip(step**2 / 10, _TIGHTEST, _LOOSEST)),
        iterations=state.iterations + 1,
        step=step,
        largest_change=largest_change,
        converged=step <= _STEP
        and largest_change <= _LARGEST_STEP
        and absorbed.error[-1] <= max(state.tolerance, _ENOUGH),
    )


def least_squares(residuals: Array, left: Array, weights: Array) -> Array:
    """Coefficients ``[K]``; of regressors that depend on each other, those of the least length."""
    weighted = residuals * weights[:, None]
    moments, products = residuals.T @ weighted, weighted.T @ left
    diagonal = np.sqrt(np.diag(moments))
    size = np.where(diagonal > 0, diagonal, 1.0)
    values, vectors = np.linalg.eigh(moments / size[:, None] / size)
    usable = values > _DEPENDENT
    inverse = (vectors[:, usable] / values[usable]) @ vectors[:, usable].T
    return np.asarray(inverse @ (products / size) / size)
