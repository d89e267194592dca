"""Poisson regressions on rows, as the weighted least squares that they are at their solution.

With means mu and weights w, least squares of ln mu - offset + (y - mu) / mu on regressors and effects, with weights
w mu, has the coefficients of the Poisson fit; its bread is the inverse Hessian and its scores are those of the
likelihood, w (y - mu) x. So whatever errors and influences are made of rows come out as for least squares.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engine.arrays import AnyIntegers, Array, Flags
from engine.errors import InputError
from engine.estimate.absorb import absorb, prepare
from engine.estimate.absorbed_fit import LeftOut, RowProblem, RowStage, row_stage
from engine.estimate.fit import LOOSEN, solve_identified
from engine.estimate.ppml import (
    PoissonProblem,
    PoissonSolution,
    Separation,
    find_separated,
    pseudo_r2,
    solve_poisson,
)

_TOLERANCE = 1e-12  # of the last step of a refit
_WIDEST = 1e20  # largest positive outcome by the smallest


@dataclass(frozen=True)
class PoissonSummary:
    """Numbers of a Poisson fit.

    Attributes
    ----------
    deviance, pseudo_r2 : float
        With the weights of the rows, which have mean one.
    iterations : int
    separated : int
        Rows left out because no finite estimate exists for them.
    separated_in_levels : int
        Those in a level whose outcomes are all zero.
    separation_settled : bool
        It is certain that there are no more.
    """

    deviance: float
    pseudo_r2: float
    iterations: int
    separated: int
    separated_in_levels: int
    separation_settled: bool


@dataclass(frozen=True)
class PoissonStage:
    """A Poisson fit, ready for `absorbed_fit.row_fit`.

    Attributes
    ----------
    working : RowStage
        Of the least squares that has the fit's coefficients.
    sample : RowProblem
        The rows of the fit, with outcome and weights as they are.
    offset, eta : float64 ``[n_rows]``
        Of those rows; the linear predictor includes the offset.
    values : float64 ``[K]``
    summary : PoissonSummary
    """

    working: RowStage
    sample: RowProblem
    offset: Array
    eta: Array
    values: Array
    summary: PoissonSummary


def poisson_stage(problem: RowProblem, offset: Array | None = None) -> PoissonStage:
    """Leave out separated rows and singletons, and fit.

    Parameters
    ----------
    problem : RowProblem
        With the outcome in levels.
    offset : float64 ``[n_rows]``, optional
        Added to the linear predictor with coefficient one: the logarithm of exposure.

    Raises
    ------
    InputError
        Where an outcome is negative, none is positive, they differ by more than the numbers can hold, no row is left,
        or the iteration does not converge.
    """
    _refuse_negative(problem.columns[:, -1])
    if len(problem.columns) == 0:
        raise InputError("no observed row is left", remedy=LOOSEN)
    offset = np.zeros(len(problem.columns)) if offset is None else offset
    n_rows, present = len(offset), _without_singletons(problem)
    _refuse_zeros(problem.columns[:, -1], present)
    separation = _separation(problem.only(present))
    present[np.flatnonzero(present)[separation.separated]] = False
    present[np.flatnonzero(present)[~_without_singletons(problem.only(present))]] = False
    _refuse_zeros(problem.columns[:, -1], present)
    _refuse_span(problem.columns[present, -1])
    sample, offset = problem.only(present), offset[present]
    solution = solve_poisson(_poisson_problem(sample, offset))
    _refuse_unconverged(solution)
    outcome, weights = sample.columns[:, -1], sample.rows.weights
    working = row_stage(working_problem(sample, offset, solution.eta))
    n_singletons = n_rows - len(offset) - int(separation.separated.sum())
    return PoissonStage(
        working=replace(working, absorption=replace(working.absorption, singletons=n_singletons)),
        sample=sample,
        offset=offset,
        eta=solution.eta,
        values=solution.values,
        summary=PoissonSummary(
            deviance=solution.deviance / float(weights.mean()),  # rows that left had a part in their mean
            pseudo_r2=pseudo_r2(outcome, solution.mean, weights, offset),
            iterations=solution.iterations,
            separated=int(separation.separated.sum()),
            separated_in_levels=separation.in_levels,
            separation_settled=separation.settled,
        ),
    )


def working_problem(sample: RowProblem, offset: Array, eta: Array) -> RowProblem:
    """The weighted least squares whose solution is the next step of Newton's method from ``eta``."""
    mean = np.exp(eta)
    outcome = eta - offset + (sample.columns[:, -1] / mean - 1.0)
    rows = replace(sample.rows, weights=sample.rows.weights * mean)
    return replace(sample, rows=rows, columns=np.column_stack([sample.columns[:, :-1], outcome]))


def _refuse_negative(outcome: Array) -> None:
    if (outcome < 0).any():
        raise InputError(
            f"the outcome is negative in {(outcome < 0).sum():,} rows",
            remedy="estimator poisson takes outcomes from zero up",
        )


def _refuse_zeros(outcome: Array, present: Flags) -> None:
    """Where the rows that are left have no positive outcome."""
    if (outcome[present] > 0).any():
        return
    without = " but in rows that are alone in a level, or separated" if (outcome > 0).any() else ""
    raise InputError(
        f"every outcome is zero{without}", remedy="estimator poisson needs some that are positive"
    )


def _without_singletons(problem: RowProblem) -> Flags:
    return np.array(prepare(problem.effects).design.kept)


def _separation(problem: RowProblem, threads: int | None = None) -> Separation:
    columns = problem.columns
    return find_separated(columns[:, -1], columns[:, :-1], problem.effects, threads)


def _poisson_problem(sample: RowProblem, offset: Array, threads: int | None = None) -> PoissonProblem:
    return PoissonProblem(
        outcome=sample.columns[:, -1],
        regressors=sample.columns[:, :-1],
        plan=prepare(sample.effects, singletons="keep", threads=threads),
        weights=sample.rows.weights,
        offset=offset,
    )


def _refuse_span(outcome: Array) -> None:
    """Outcomes beside which others are no more than rounding."""
    least, largest = outcome[outcome > 0].min(), outcome.max()
    if largest > _WIDEST * least:
        raise InputError(
            f"the outcome runs from {least:.3g} to {largest:.3g}: its small values are lost beside the large ones",
            remedy="look for zeros written as tiny numbers, and for rows in other units",
        )


def _refuse_unconverged(solution: PoissonSolution) -> None:
    if not solution.converged:
        raise InputError(
            f"the Poisson regression did not converge: after {solution.iterations} iterations the linear predictor "
            f"still changes by up to {solution.largest_change:.1e}",
            remedy="rescale regressors of very different size, look at the offset, or use coarser effects",
        )


@dataclass(frozen=True)
class PoissonLeaveOut:
    """Input of every leave-one-unit-out refit of one cell.

    Attributes
    ----------
    sample : RowProblem
    offset, eta : float64 ``[n_rows]``
    values : float64 ``[K]``
        Coefficients of all rows, with ``eta`` the start of every refit.
    scale : float64 ``[K]``
        Length of the regressors once the effects are removed, by the weights of the fit.
    """

    sample: RowProblem
    offset: Array
    eta: Array
    values: Array
    scale: Array


def poisson_leave_outs(stage: PoissonStage) -> PoissonLeaveOut:
    """The refits of a fit."""
    x, weights = stage.working.residuals[:, :-1], stage.working.problem.rows.weights
    return PoissonLeaveOut(stage.sample, stage.offset, stage.eta, stage.values, np.sqrt(weights @ x**2))


def poisson_leave_out_units(samples: PoissonLeaveOut, units: AnyIntegers) -> LeftOut:
    """Refits without each of some units, separation looked for anew, each started from the fit of all rows.

    NaN where a coefficient is not identified without the unit, or no positive outcome is left.
    """
    rows, n_terms = samples.sample.rows, len(samples.values)
    estimates, unconverged = np.full((len(units), n_terms), np.nan), 0
    for number, unit in enumerate(units):
        present = (rows.first != unit) & (rows.second != unit)
        if not (samples.sample.columns[present, -1] > 0).any():
            continue
        separated = _separation(samples.sample.only(present), threads=1).separated
        present[np.flatnonzero(present)[separated]] = False
        sample, offset = samples.sample.only(present), samples.offset[present]
        problem = _poisson_problem(sample, offset, threads=1)
        solution = solve_poisson(problem, (samples.values, samples.eta[present]))
        unconverged += not solution.converged
        estimates[number] = _last_step(sample, offset, solution.eta, problem, samples.scale)
    return LeftOut((estimates,), unconverged)


def _last_step(sample: RowProblem, offset: Array, eta: Array, problem: PoissonProblem, scale: Array) -> Array:
    working = working_problem(sample, offset, eta)
    weights = working.rows.weights
    absorbed = absorb(working.columns, problem.plan.reweighted(weights), tolerance=_TOLERANCE)
    q = absorbed.residuals.T @ (absorbed.residuals * weights[:, None])
    return solve_identified(q[None, :-1, :-1], q[None, :-1, -1], scale)[0]
